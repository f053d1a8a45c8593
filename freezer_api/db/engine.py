# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""The database: one engine, transactions that read and ones that write."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import copy
import time
from typing import Any
from typing import TypeVar

from oslo_config import cfg
from oslo_db import api as db_api
from oslo_db import exception as db_exception
from oslo_db.sqlalchemy import enginefacade
import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy import orm

from freezer_api.db.admin import collation_repair
from freezer_api.db import deadlines
from freezer_api.db import search_index
from freezer_api.domain import quota

Result = TypeVar('Result')

_WRITES = 'freezer_writes'


def _begin_immediate(engine: sa.Engine) -> None:
    """Let a writer on SQLite wait its turn.

    A transaction that reads first and writes later gets 'database is locked'
    at once when another wrote in between, whatever the busy timeout. Taking
    the write lock at the start makes it wait instead.
    """

    @sa.event.listens_for(engine, 'before_cursor_execute', retval=True)
    def before(connection: sa.Connection, cursor: Any, statement: str,
               parameters: Any, context: Any,
               executemany: bool) -> tuple[str, Any]:
        if (statement == 'BEGIN'
                and connection.get_execution_options().get(_WRITES)):
            statement = 'BEGIN IMMEDIATE'
        return statement, parameters


def _write_ahead(engine: sa.Engine) -> None:
    """Let readers on SQLite go on while somebody writes.

    The file remembers it, so that one connection says it for all.
    """

    @sa.event.listens_for(engine, 'connect', once=True)
    def connect(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute('PRAGMA journal_mode = WAL')
        cursor.close()


def _read_committed(engine: sa.Engine) -> None:
    """Have MySQL lock rows and no gaps between them, as PostgreSQL does.

    By default a row that is locked by an index keeps others from adding rows
    beside it: an INSERT of one tenant would wait for a claim of another.
    """

    @sa.event.listens_for(engine, 'connect')
    def connect(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute('SET SESSION TRANSACTION ISOLATION LEVEL '
                       'READ COMMITTED')
        cursor.close()


class _Attempts:
    """Tries a transaction again that another one was in the way of.

    :param seconds: for how long
    """

    def __init__(self, seconds: int) -> None:
        self._until = time.monotonic() + seconds

    def run(self, attempt: Callable[[], Result]) -> Result:
        """Return what an attempt returns.

        :raises freezer_api.db.deadlines.DeadlineExceeded: when each took too
            long
        """
        retry = db_api.wrap_db_retry(
            max_retries=12, retry_interval=0.05, inc_retry_interval=True,
            max_retry_interval=1, jitter=True,
            exception_checker=self._is_worth_another)

        def checked() -> Result:
            try:
                return attempt()
            except (db_exception.DBError, exc.OperationalError) as error:
                reason = deadlines.reason(error)
                if reason is None:
                    raise
                raise deadlines.DeadlineExceeded(reason) from error

        return retry(checked)()

    def _is_worth_another(self, error: BaseException) -> bool:
        return time.monotonic() < self._until and isinstance(error, (
            db_exception.DBDeadlock, db_exception.DBConnectionError,
            db_exception.DBDuplicateEntry, deadlines.DeadlineExceeded))


def _whole_unicode(connection: str | None) -> str | None:
    """Speak to MySQL in all of Unicode, where the URL names no charset.

    The default of oslo.db is three bytes a character: a 500 for an emoji.
    """
    if connection is None:
        return None
    url = sa.make_url(connection)
    if (url.get_backend_name() not in ('mysql', 'mariadb')
            or 'charset' in url.query):
        return connection
    return url.update_query_dict({'charset': 'utf8mb4'}).render_as_string(
        hide_password=False)


class Database:
    """Sessions on the database of a configuration.

    :raises oslo_db.exception.DBError: from any use, on a failing database
    """

    def __init__(self, conf: cfg.ConfigOpts, bounded: bool = True) -> None:
        """
        :param bounded: whether [deadlines] hold; they do not for commands of
            an operator, who waits for as long as his database takes
        """
        facade = enginefacade.transaction_context()
        facade.configure(**{
            name: getattr(conf.database, name) for name in (
                'connection', 'sqlite_synchronous', 'mysql_sql_mode',
                'mysql_wsrep_sync_wait', 'connection_recycle_time',
                'max_pool_size', 'max_retries', 'retry_interval',
                'max_overflow', 'pool_timeout', 'connection_debug',
                'connection_trace')})
        # thread_checkin lets green threads take turns; there are none.
        facade.configure(
            sqlite_fk=True, thread_checkin=False,
            connection=_whole_unicode(conf.database.connection))
        self.engine: sa.Engine = facade.writer.get_engine()
        # oslo.db logs what fails, with the documents of users in it.
        self.engine.hide_parameters = True
        if self.engine.dialect.name == 'sqlite':
            _write_ahead(self.engine)
            _begin_immediate(self.engine)
        is_mysql = self.engine.dialect.name in ('mysql', 'mariadb')
        if is_mysql:
            collation_repair.listen(self.engine)
            _read_committed(self.engine)
        self._retry = conf.deadlines.retry
        self._writers = self.engine.execution_options(**{_WRITES: True})
        if bounded:
            limits = deadlines.Deadlines.of(conf)
            deadlines.install(self.engine, limits)
            self._writers = self._writers.execution_options(
                **{deadlines.LOCK: limits.lock})
        # Connections of the pool, which oslo.db has opened, have none of that.
        self.engine.dispose()
        if is_mysql:
            with self.engine.connect() as connection:
                collation_repair.refresh(connection)

    def for_schedulers(self) -> Database:
        """Return the database for work of a bounded number of rows.

        What schedulers claim and report has to be written however slow the
        database is. The limits of single statements hold.
        """
        other = copy.copy(self)
        other._writers = self._writers.execution_options(
            **{deadlines.LOCK: None})
        return other

    @contextlib.contextmanager
    def read(self) -> Iterator[orm.Session]:
        """A session whose changes, if any, are thrown away."""
        with self.engine.connect() as connection:
            # Ended once, by the connection. The session would end one of its
            # own, and the connection, knowing nothing of it, one more.
            connection.begin()
            with orm.Session(connection, expire_on_commit=False,
                             join_transaction_mode='rollback_only',
                             ) as session:
                yield session

    def write(self, work: Callable[[orm.Session], Result],
              limits: quota.Limits | None = None) -> Result:
        """Run ``work`` in one transaction and return what it returns.

        It runs again from the start when the database says that it lost a
        deadlock or the connection, that another transaction has just added
        the row that it adds, and which it then finds, or that a deadline has
        passed. So it must do nothing but database work.

        :param limits: what the change is held to; None for one that no limit
            may stop
        :raises freezer_api.db.deadlines.DeadlineExceeded: when that did not
            help; nothing is written
        :raises freezer_api.domain.quota.Exceeded: nothing is changed
        :raises freezer_api.domain.quota.LimitsUnknown: nothing is changed
        """

        def attempt() -> Result:
            with (search_index.Session(self._writers, limits) as session,
                  session.begin()):
                return work(session)

        return _Attempts(self._retry).run(attempt)

    def write_rows(self, work: Callable[[sa.Connection], Result]) -> Result:
        """Run ``work`` as :meth:`write` does, without a session.

        ``work`` must update search terms and usage itself.
        """

        def attempt() -> Result:
            with self._writers.begin() as connection:
                return work(connection)

        return _Attempts(self._retry).run(attempt)

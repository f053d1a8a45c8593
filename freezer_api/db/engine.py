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
from typing import Any
from typing import TypeVar

from oslo_config import cfg
from oslo_db import api as db_api
from oslo_db import exception as db_exception
from oslo_db.sqlalchemy import enginefacade
import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import terms

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


def _lost_race(error: BaseException) -> bool:
    return isinstance(error, db_exception.DBDuplicateEntry)


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

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        facade = enginefacade.transaction_context()
        facade.configure(**{
            name: getattr(conf.database, name) for name in (
                'connection', 'sqlite_synchronous', 'mysql_sql_mode',
                'connection_recycle_time', 'max_pool_size', 'max_retries',
                'retry_interval', 'max_overflow', 'pool_timeout',
                'connection_debug', 'connection_trace')})
        # thread_checkin lets green threads take turns; there are none.
        facade.configure(
            sqlite_fk=True, thread_checkin=False,
            connection=_whole_unicode(conf.database.connection))
        self.engine: sa.Engine = facade.writer.get_engine()
        if self.engine.dialect.name == 'sqlite':
            _write_ahead(self.engine)
            _begin_immediate(self.engine)
        self._writers = self.engine.execution_options(**{_WRITES: True})

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

    def write(self, work: Callable[[orm.Session], Result]) -> Result:
        """Run ``work`` in one transaction and return what it returns.

        It runs again from the start when the database says that it lost a
        deadlock or the connection, or that another transaction has just added
        the row that it adds, and which it then finds. So it must do nothing
        but database work.
        """

        @db_api.wrap_db_retry(max_retries=8, retry_interval=0.05,
                              inc_retry_interval=True, max_retry_interval=1,
                              jitter=True, retry_on_deadlock=True,
                              retry_on_disconnect=True,
                              exception_checker=_lost_race)
        def attempt() -> Result:
            with orm.Session(self._writers,
                             expire_on_commit=False) as session:
                terms.follow(session)
                with session.begin():
                    return work(session)

        return attempt()

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

"""Deadlines of transactions and their statements.

The server ends a statement that takes too long or waits too long for a lock.
A transaction of a user's request has a deadline in addition. One third of it
is for the first statement, one for the time in which further statements may
begin, and one for the last statement, so that no lock is held for longer.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from oslo_config import cfg
import sqlalchemy as sa

# Execution option: seconds for which a transaction may hold locks.
LOCK = 'freezer_lock_seconds'

_SINCE = 'freezer_first_statement_at'
_LIMIT = 'freezer_statement_seconds'
_PARTS = 3

# Error numbers of MySQL: lock wait timeout; statement timeout, of MariaDB and
# of MySQL.
_LOCK_WAIT = 1205
_TOO_LONG = (1969, 3024)
# Error codes of PostgreSQL: lock_not_available, query_canceled.
_LOCK_NOT_AVAILABLE = '55P03'
_CANCELED = '57014'


class DeadlineExceeded(Exception):
    """A transaction took too long and was rolled back."""


@dataclasses.dataclass(frozen=True)
class Deadlines:
    """The configured deadlines, in seconds; see freezer_api.conf.deadlines."""

    lock: float
    lock_wait: int
    statement: int
    idle_transaction: int
    retry: int

    @classmethod
    def of(cls, conf: cfg.ConfigOpts) -> Deadlines:
        """Read the options."""
        return cls(**{field.name: conf.deadlines[field.name]
                      for field in dataclasses.fields(cls)})


def reason(error: BaseException | None) -> str | None:
    """Return which deadline has ended a transaction, None for none.

    :param error: an error of the driver or of this module, or the one of
        SQLAlchemy or oslo.db that wraps it
    """
    while error is not None:
        if isinstance(error, DeadlineExceeded):
            return str(error)
        number = error.args[0] if error.args else None
        state = getattr(error, 'sqlstate', None)
        if number == _LOCK_WAIT or state == _LOCK_NOT_AVAILABLE:
            return 'A statement waited too long for a lock.'
        if number in _TOO_LONG or state == _CANCELED:
            return 'A statement took too long.'
        error = (getattr(error, 'inner_exception', None)
                 or getattr(error, 'orig', None))
    return None


def install(engine: sa.Engine, deadlines: Deadlines) -> None:
    """Apply the deadlines to all connections of an engine.

    If the execution option LOCK of a transaction is set, it holds locks for
    at most this number of seconds.
    """
    sa.event.listen(engine, 'connect', _Connect(engine.dialect, deadlines))
    transactions = _Transactions(engine.dialect, deadlines.statement)
    sa.event.listen(engine, 'begin', transactions.begin)
    sa.event.listen(engine, 'before_cursor_execute', transactions.before)
    sa.event.listen(engine, 'after_cursor_execute', transactions.after)


class _Connect:
    """Sets the limits of a new connection."""

    def __init__(self, dialect: sa.Dialect, deadlines: Deadlines) -> None:
        self._dialect = dialect
        self._deadlines = deadlines

    def __call__(self, connection: Any, record: Any) -> None:
        limits = self._limits()
        if limits:
            cursor = connection.cursor()
            for name, value in limits.items():
                cursor.execute(f'SET {name} = {value}')
            cursor.close()
            connection.commit()

    def _limits(self) -> dict[str, int]:
        wanted = self._deadlines
        if self._dialect.name == 'postgresql':
            return {'statement_timeout': wanted.statement * 1000,
                    'lock_timeout': wanted.lock_wait * 1000,
                    'idle_in_transaction_session_timeout':
                        wanted.idle_transaction * 1000}
        if getattr(self._dialect, 'is_mariadb', False):
            return {'max_statement_time': wanted.statement,
                    'innodb_lock_wait_timeout': wanted.lock_wait,
                    'idle_write_transaction_timeout': wanted.idle_transaction}
        if self._dialect.name == 'mysql':
            # It applies only to statements that read.
            return {'max_execution_time': wanted.statement * 1000,
                    'innodb_lock_wait_timeout': wanted.lock_wait}
        return {}


class _Transactions:
    """Applies the deadlines to the transactions of an engine."""

    def __init__(self, dialect: sa.Dialect, statement: int) -> None:
        self._dialect = dialect
        self._statement = statement

    def begin(self, connection: sa.Connection) -> None:
        """Set the limit of the statements of a transaction."""
        connection.info.pop(_SINCE, None)
        seconds = connection.get_execution_options().get(LOCK)
        limit = (self._statement if seconds is None
                 else min(self._statement, seconds / _PARTS))
        if self._dialect.name == 'postgresql':
            if limit != self._statement:
                self._set(connection, 'SET LOCAL statement_timeout = '
                          f'{int(limit * 1000)}')
        elif getattr(self._dialect, 'is_mariadb', False):
            # The limit persists on the connection.
            if limit != connection.info.get(_LIMIT, self._statement):
                self._set(connection, f'SET max_statement_time = {limit:.3f}')
            connection.info[_LIMIT] = limit

    def _set(self, connection: sa.Connection, statement: str) -> None:
        cursor = connection.connection.cursor()
        cursor.execute(statement)
        cursor.close()

    def before(self, connection: sa.Connection, cursor: Any, statement: str,
               *rest: Any) -> None:
        """Refuse a statement after the deadline.

        :raises DeadlineExceeded: after the deadline
        """
        seconds = connection.get_execution_options().get(LOCK)
        since = connection.info.get(_SINCE)
        if (seconds is not None and since is not None
                and time.monotonic() - since > seconds / _PARTS):
            raise DeadlineExceeded(
                f'A transaction would hold locks for more than {seconds} '
                'seconds.')

    def after(self, connection: sa.Connection, *rest: Any) -> None:
        """Store the end of the first statement, which may have waited."""
        connection.info.setdefault(_SINCE, time.monotonic())

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

"""The lock that allows one upgrade of a database at a time.

The server releases its lock when the connection ends. On a server that belongs
to a cluster, freezer_api.db.admin.galera_lock is held in addition.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import hashlib
import os
import sqlite3
import time

import sqlalchemy as sa

from freezer_api.db.admin import galera_lock

POSTGRESQL_LOCK = 0x667265657A6572
#: The message about a database whose lock another process holds.
BUSY = 'another process is upgrading the database, or locks it'

# Seconds for which a request of the API may lock a SQLite database.
_MOMENT = 2.0


class Busy(Exception):
    """Another process held the lock until the timeout."""

    def __init__(self) -> None:
        super().__init__(BUSY)


@contextlib.contextmanager
def held(engine: sa.Engine, timeout: int) -> Iterator[sa.Connection]:
    """Hold the lock, and yield a connection.

    The connection is in a transaction on SQLite only.

    :param timeout: seconds to wait for another process
    :raises Busy: if another process still holds the lock after that time
    :raises freezer_api.db.admin.galera_lock.Lost: when the connection is used
        after the lock of the cluster was lost
    """
    with engine.connect() as connection, contextlib.ExitStack() as stack:
        if engine.dialect.name == 'sqlite':
            stack.enter_context(_begin_sqlite(connection))
        elif engine.dialect.name == 'postgresql':
            _lock_postgresql(connection, timeout)
            connection.commit()
        else:
            end = time.monotonic() + timeout
            _lock_mysql(connection, timeout)
            node = galera_lock.node_of(connection)
            connection.commit()
            if node is not None:
                lock = stack.enter_context(
                    galera_lock.GaleraLock(engine.url, node))
                if not lock.take(end):
                    raise Busy
                sa.event.listen(engine, 'before_cursor_execute', lock.check)
        yield connection


def _begin_sqlite(connection: sa.Connection) -> sa.RootTransaction:
    try:
        return connection.begin()
    except sa.exc.OperationalError as error:
        if (getattr(error.orig, 'sqlite_errorcode', None)
                != sqlite3.SQLITE_BUSY):
            raise
        raise Busy from None


def mysql_lock_name(url: sa.URL) -> str:
    """Return the name of the lock of a database.

    MySQL locks are global to the server. Their names have at most 64
    characters and are case-insensitive.
    """
    digest = hashlib.sha256(str(url.database).encode()).hexdigest()
    return f'freezer-{digest[:32]}'


def _lock_mysql(connection: sa.Connection, timeout: int) -> None:
    taken = connection.execute(
        sa.text('SELECT GET_LOCK(:name, :timeout)'),
        {'name': mysql_lock_name(connection.engine.url), 'timeout': timeout})
    if taken.scalar() != 1:
        raise Busy


def _lock_postgresql(connection: sa.Connection, timeout: int) -> None:
    limit = sa.text("SELECT set_config('lock_timeout', :value, false)")
    connection.execute(limit, {'value': f'{timeout}s'})
    try:
        connection.execute(sa.text('SELECT pg_advisory_lock(:key)'),
                           {'key': POSTGRESQL_LOCK})
    except sa.exc.OperationalError as error:
        if getattr(error.orig, 'sqlstate', None) != '55P03':
            raise
        raise Busy from None
    connection.execute(limit, {'value': '0'})


def _is_written(connection: sa.Connection) -> bool:
    """Whether a process writes to a SQLite database for longer than a moment.

    A reader cannot detect a writer, because the database is in WAL mode.
    """
    path = connection.engine.url.database
    if path in (None, '', ':memory:') or not os.path.exists(str(path)):
        return False
    # Use another connection: the given one may be in a transaction.
    with contextlib.closing(sqlite3.connect(
            str(path), timeout=_MOMENT, isolation_level=None)) as probe:
        try:
            probe.execute('BEGIN IMMEDIATE')
            probe.execute('ROLLBACK')
        except sqlite3.OperationalError as error:
            return error.sqlite_errorcode == sqlite3.SQLITE_BUSY
    return False


def is_held(connection: sa.Connection) -> bool:
    """Return whether another process is upgrading the database now."""
    if connection.dialect.name == 'sqlite':
        return _is_written(connection)
    if connection.dialect.name == 'postgresql':
        return bool(connection.scalar(sa.text(
            "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' "
            'AND granted AND ((classid::bigint << 32) | objid::bigint) = :key '
            'AND database = (SELECT oid FROM pg_database '
            'WHERE datname = current_database())'),
            {'key': POSTGRESQL_LOCK}))
    if connection.scalar(
            sa.text('SELECT IS_USED_LOCK(:name)'),
            {'name': mysql_lock_name(connection.engine.url)}) is not None:
        return True
    node = galera_lock.node_of(connection)
    return node is not None and galera_lock.is_held(connection, node)

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

"""One upgrade of a database at a time.

The locks of the servers end with the connection, however it ends. Where the
server is one of a cluster, freezer_api.db.cluster_lock holds beside.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import hashlib
import sqlite3
import time

import sqlalchemy as sa

from freezer_api.db import cluster_lock

POSTGRESQL_LOCK = 0x667265657A6572
_BUSY = 'another process is upgrading the database, or locks it'


class Busy(Exception):
    """Somebody else had the lock for all the time there was."""

    def __init__(self) -> None:
        super().__init__(_BUSY)


@contextlib.contextmanager
def held(engine: sa.Engine, timeout: int) -> Iterator[sa.Connection]:
    """A connection while which no other upgrade of the database runs.

    On SQLite it is in a transaction, elsewhere in none.

    :param timeout: seconds to wait for another one
    :raises Busy: it took longer
    :raises freezer_api.db.cluster_lock.Lost: from a use of the connection
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
            node = cluster_lock.node_of(connection)
            connection.commit()
            if node is not None:
                lock = stack.enter_context(
                    cluster_lock.ClusterLock(engine.url, node))
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

    Locks belong to the server, have names of 64 characters at most, and are
    not told apart by case.
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


def is_held(connection: sa.Connection) -> bool:
    """Whether somebody upgrades the database of a connection right now."""
    if connection.dialect.name == 'sqlite':
        return False  # Whoever upgrades a file excludes others anyway.
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
    node = cluster_lock.node_of(connection)
    return node is not None and cluster_lock.is_held(connection, node)

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

"""One upgrade at a time on a Galera cluster, through any of its nodes.

A lock of the server is local to its node. A row is shared: if two nodes change
it at the same time, the cluster accepts one change.

A row is not released when its process ends. So the holder increments ``beats``
in it, and waiting processes increment a second row. A holder without any
increment during many increments of a waiting process has ended. No clocks are
compared, and while a change of a table blocks all writes of the cluster, there
are no increments. On the holder's own node no wait is necessary: a process
that holds the lock of that server knows that the holder of the row does not.

A process that was suspended notices that it has lost the row, and stops before
its next statement.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import threading
import time
from typing import Any
import uuid

import sqlalchemy as sa
from sqlalchemy import schema

TABLE = sa.Table(
    'upgrade_locks', sa.MetaData(),
    sa.Column('id', sa.String(16), primary_key=True),
    sa.Column('holder', sa.String(36)),
    sa.Column('node', sa.String(36)),
    sa.Column('beats', sa.BigInteger, nullable=False),
    mysql_engine='InnoDB')

_HELD, _WAITED = 'held', 'waited'

# Seconds between two increments, and how many a holder may miss.
BEAT = 1.0
MISSED = 30

# A deadlock, such as a conflict between nodes, or a lock wait timeout.
_LOST_RACES = frozenset((1205, 1213))


class Lost(Exception):
    """Another process has acquired the lock."""

    def __init__(self) -> None:
        super().__init__(
            'the upgrade was suspended for so long that another process '
            'continued it: run it again when that process has ended')


def node_of(connection: sa.Connection) -> str | None:
    """Return the ID of a server's cluster node; None without a cluster."""
    if not connection.execute(sa.text(
            "SHOW VARIABLES WHERE Variable_name = 'wsrep_on' "
            "AND Value = 'ON'")).all():
        return None
    return str(connection.execute(sa.text(
        "SHOW STATUS LIKE 'wsrep_gcomm_uuid'")).one()[1])


def is_held(connection: sa.Connection, node: str,
            pause: Callable[[float], object] = time.sleep) -> bool:
    """Return whether a process on another node upgrades the database.

    It takes some seconds if a process does, or was killed.

    :param node: the connection's own node, on which no process upgrades
    :param pause: waits for a number of seconds
    """
    if not sa.inspect(connection).has_table(TABLE.name):
        return False
    query = sa.select(TABLE.c.holder, TABLE.c.node, TABLE.c.beats).where(
        TABLE.c.id == _HELD)
    connection.rollback()  # A new transaction sees later changes.
    first = connection.execute(query).first()
    if first is None or first.holder is None or first.node == node:
        return False
    for _ in range(5):
        pause(BEAT)
        connection.rollback()
        if connection.execute(query).first() != first:
            return True
    return False


class GaleraLock:
    """The lock of a database, as a context manager.

    :param url: of the database, through any node
    :param node: the node on which the process holds the server's lock
    :param beat: seconds between two increments
    """

    def __init__(self, url: sa.URL, node: str, beat: float = BEAT) -> None:
        self._holder = uuid.uuid4().hex
        self._node = node
        self._beat = beat
        self._engine = sa.create_engine(
            url, poolclass=sa.pool.NullPool, isolation_level='AUTOCOMMIT')
        self._mutex = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, daemon=True)
        self._lost = False
        self._last = 0.0

    def __enter__(self) -> GaleraLock:
        self._connection = self._engine.connect()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
        # If it fails, other processes notice the missing increments.
        with contextlib.suppress(sa.exc.SQLAlchemyError):
            self._changed(_HELD, TABLE.c.holder == self._holder,
                          holder=None, node=None)
        self._connection.close()

    def take(self, end: float) -> bool:
        """Wait for the lock; return whether it has been acquired.

        :param end: deadline in seconds of the monotonic clock
        """
        self._make_rows()
        seen, missed = None, 0
        while True:
            row = self._connection.execute(sa.select(
                TABLE.c.holder, TABLE.c.node, TABLE.c.beats).where(
                    TABLE.c.id == _HELD)).one()
            if row != seen:
                seen, missed = row, 0
            if ((row.holder is None or row.node == self._node
                 or missed >= MISSED) and self._changed(
                     _HELD, TABLE.c.beats == row.beats,
                     TABLE.c.holder.is_not_distinct_from(row.holder),
                     holder=self._holder, node=self._node)):
                self._last = time.monotonic()
                self._thread.start()
                return True
            if time.monotonic() >= end:
                return False
            self._end.wait(self._beat)
            missed += self._changed(_WAITED)

    def _make_rows(self) -> None:
        self._connection.execute(schema.CreateTable(
            TABLE, if_not_exists=True))
        for row_id in (_HELD, _WAITED):
            while not self._connection.execute(sa.select(TABLE.c.id).where(
                    TABLE.c.id == row_id)).all():
                self._attempt(sa.insert(TABLE).prefix_with('IGNORE').values(
                    id=row_id, beats=0))

    def check(self, *statement: Any) -> None:
        """Check that the lock is still held.

        :raises Lost: if it is not
        """
        if self._lost or (time.monotonic() - self._last > 5 * self._beat
                          and not self._still_held()):
            raise Lost

    def _keep_alive(self) -> None:
        """Increment ``beats`` until the end or the loss of the lock."""
        while not self._end.wait(self._beat):
            try:
                if not self._still_held():
                    return
            except sa.exc.SQLAlchemyError:
                self._lost = True  # No increment reaches the others.
                return

    def _still_held(self) -> bool:
        with self._mutex:
            while not self._lost:
                if self._changed(_HELD, TABLE.c.holder == self._holder):
                    self._last = time.monotonic()
                    return True
                # The lock is lost, or a conflict with another change.
                self._lost = self._connection.scalar(
                    sa.select(TABLE.c.holder).where(
                        TABLE.c.id == _HELD)) != self._holder
            return False

    def _changed(self, row_id: str, *where: sa.ColumnElement[bool],
                 **values: Any) -> bool:
        return self._attempt(sa.update(TABLE).where(
            TABLE.c.id == row_id, *where).values(
                beats=TABLE.c.beats + 1, **values))

    def _attempt(self, statement: sa.Update | sa.Insert) -> bool:
        """Return whether a statement changed a row on all nodes."""
        try:
            return bool(self._connection.execute(statement).rowcount)
        except sa.exc.OperationalError as error:
            if (error.orig is None
                    or error.orig.args[0] not in _LOST_RACES):
                raise
            return False

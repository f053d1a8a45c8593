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

"""One upgrade at a time on a Galera cluster, whichever nodes they go through.

A lock of the server holds on its own node only. A row holds on all of them:
of two nodes that change it at a time, the cluster lets one through.

Nothing takes a row away from a process that is gone. So the holder counts
``beats`` in it, and whoever waits counts in a row beside. A holder who has
written nothing while another has written many times is gone. No clocks are
compared, and while a change of a table keeps all of the cluster from writing,
nobody counts. On its own node nobody has to wait for it: who holds the lock of
that server knows that the row's holder does not.

A process that was only asleep finds that the row is not its own any more, and
stops before its next statement.
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

# Seconds between two writes, and how many of another's a holder may miss.
BEAT = 1.0
MISSED = 30

# A deadlock, of which a conflict between nodes is one, or a wait too long.
_LOST_RACES = frozenset((1205, 1213))


class Lost(Exception):
    """Somebody else has taken the lock meanwhile."""

    def __init__(self) -> None:
        super().__init__(
            'the upgrade was held up for so long that another process took '
            'it over: run it again when that one has ended')


def node_of(connection: sa.Connection) -> str | None:
    """Return which node of a cluster a server is; None for a single one."""
    if not connection.execute(sa.text(
            "SHOW VARIABLES WHERE Variable_name = 'wsrep_on' "
            "AND Value = 'ON'")).all():
        return None
    return str(connection.execute(sa.text(
        "SHOW STATUS LIKE 'wsrep_gcomm_uuid'")).one()[1])


def is_held(connection: sa.Connection, node: str,
            pause: Callable[[float], object] = time.sleep) -> bool:
    """Return whether somebody on another node upgrades the database.

    It takes some seconds where somebody does, or has been killed.

    :param node: the connection's own, on which nobody does
    """
    if not sa.inspect(connection).has_table(TABLE.name):
        return False
    query = sa.select(TABLE.c.holder, TABLE.c.node, TABLE.c.beats).where(
        TABLE.c.id == _HELD)
    connection.rollback()  # What was read shows what was there then.
    first = connection.execute(query).first()
    if first is None or first.holder is None or first.node == node:
        return False
    for _ in range(5):
        pause(BEAT)
        connection.rollback()
        if connection.execute(query).first() != first:
            return True
    return False


class ClusterLock:
    """The lock of a database, to be used as a context.

    :param url: of the database, through any node
    :param node: on which the lock of the server is held for it
    :param beat: seconds between two writes
    """

    def __init__(self, url: sa.URL, node: str, beat: float = BEAT) -> None:
        self._me = uuid.uuid4().hex
        self._node = node
        self._beat = beat
        self._engine = sa.create_engine(
            url, poolclass=sa.pool.NullPool, isolation_level='AUTOCOMMIT')
        self._turn = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._lost = False
        self._last = 0.0

    def __enter__(self) -> ClusterLock:
        self._connection = self._engine.connect()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
        # Where it fails, others find that nobody is there.
        with contextlib.suppress(sa.exc.SQLAlchemyError):
            self._changed(_HELD, TABLE.c.holder == self._me,
                          holder=None, node=None)
        self._connection.close()

    def take(self, end: float) -> bool:
        """Wait for the lock; return whether it was free in time.

        :param end: until when, by the monotonic clock
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
                     holder=self._me, node=self._node)):
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
        """Make sure that the lock is still held.

        :raises Lost: it is not
        """
        if self._lost or (time.monotonic() - self._last > 5 * self._beat
                          and not self._still_held()):
            raise Lost

    def _go_on(self) -> None:
        """Show that the holder is there."""
        while not self._end.wait(self._beat):
            try:
                if not self._still_held():
                    return
            except sa.exc.SQLAlchemyError:
                self._lost = True  # Others cannot see it any more.
                return

    def _still_held(self) -> bool:
        with self._turn:
            while not self._lost:
                if self._changed(_HELD, TABLE.c.holder == self._me):
                    self._last = time.monotonic()
                    return True
                # Lost, or lost a race with somebody who lost it.
                self._lost = self._connection.scalar(
                    sa.select(TABLE.c.holder).where(
                        TABLE.c.id == _HELD)) != self._me
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

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

"""How long readers and writers of each table wait while something goes on.

They are in a process of their own, so that they do not wait for the work of
this one.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
from multiprocessing import connection as pipes
import random
import threading
import time
from types import TracebackType

import sqlalchemy as sa

TABLES = ('jobs', 'actions', 'sessions', 'clients', 'backups')
_PAUSE = 0.02
_ROWS = 2000
# It takes the lock of a row and writes nothing.
_STATEMENTS = {
    'read': 'SELECT updated_at FROM {} WHERE id = :id',
    'write': 'UPDATE {} SET updated_at = updated_at WHERE id = :id',
}


@dataclasses.dataclass(frozen=True)
class Wait:
    """What readers or writers of a table met with.

    :ivar seconds: that the longest waited
    :ivar refused: how many were turned down, to end a deadlock
    """

    seconds: float
    refused: int


# By table, for reading and writing.
Waits = dict[str, dict[str, Wait]]


class Waiting:
    """Readers and writers at work, as a context."""

    def __init__(self, url: str) -> None:
        context = multiprocessing.get_context('spawn')
        self._pipe, other = context.Pipe()
        self._process = context.Process(
            target=_work, args=(url, other), daemon=True)

    def __enter__(self) -> Waiting:
        self._process.start()
        self._pipe.recv()
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._pipe.send(False)
        self._process.join(30)
        self._process.kill()

    def longest(self) -> Waits:
        """Return the longest waits since this was asked before."""
        self._pipe.send(True)
        found: Waits = self._pipe.recv()
        return found


class _Worker(threading.Thread):
    """Reads or writes one row of a table after the other."""

    def __init__(self, engine: sa.Engine, table: str, kind: str,
                 end: threading.Event) -> None:
        super().__init__(daemon=True)
        self.table, self.kind = table, kind
        self._engine, self._end = engine, end
        self._lock = threading.Lock()
        self._longest, self._refused = 0.0, 0

    def run(self) -> None:
        statement = sa.text(_STATEMENTS[self.kind].format(self.table))
        chosen = random.Random(1)  # noqa: S311
        with self._engine.connect() as connection:
            ids = connection.scalars(sa.text(
                f'SELECT id FROM {self.table} ORDER BY RAND(1) '
                f'LIMIT {_ROWS}')).all()
            connection.rollback()
            while not self._end.wait(_PAUSE):
                with self._lock:
                    start = time.monotonic()
                    try:
                        connection.execute(statement,
                                           {'id': chosen.choice(ids)})
                        connection.commit()
                    except sa.exc.OperationalError:
                        # As InnoDB ends a deadlock.
                        connection.rollback()
                        self._refused += 1
                    self._longest = max(self._longest,
                                        time.monotonic() - start)

    def longest(self) -> Wait:
        """Return the longest wait, and begin anew."""
        with self._lock:  # What waits by now counts, too.
            found = Wait(self._longest, self._refused)
            self._longest, self._refused = 0.0, 0
        return found


def _work(url: str, pipe: pipes.Connection) -> None:
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    end = threading.Event()
    workers = [_Worker(engine, table, kind, end)
               for table in TABLES for kind in _STATEMENTS]
    for worker in workers:
        worker.start()
    pipe.send(True)
    while pipe.recv():
        found: Waits = {table: {} for table in TABLES}
        for worker in workers:
            found[worker.table][worker.kind] = worker.longest()
        pipe.send(found)
    end.set()

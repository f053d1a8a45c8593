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

"""How long others wait for each table while something goes on.

Threads of another process read, change and add rows. They leave nothing
behind: a change changes nothing, and what was added is rolled back.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
from multiprocessing import connection as pipes
import random
import threading
import time
from types import TracebackType
import uuid

import sqlalchemy as sa

TABLES = ('jobs', 'actions', 'sessions', 'clients', 'backups')
_PAUSE = 0.02
_ROWS = 2000
_STATEMENTS = {
    'read': 'SELECT updated_at FROM {} WHERE id = :id',
    # It locks a row and writes nothing.
    'write': 'UPDATE {} SET updated_at = updated_at WHERE id = :id',
    'insert': 'INSERT INTO {} (id, {}, created_at, deleted) '
              'VALUES (:new, :{}, UTC_TIMESTAMP(), 0)',
}
KINDS = tuple(_STATEMENTS)
# A new row goes into the indexes beside another one.
_INDEXED = {'jobs': ('project_id', 'client_id'), 'actions': ('project_id',),
            'sessions': ('project_id',), 'backups': ('project_id',),
            'clients': ('project_id', 'client_id')}


@dataclasses.dataclass(frozen=True)
class Wait:
    """What one kind of user of a table met with.

    :ivar seconds: the longest wait
    :ivar refused: number of statements refused to end a deadlock
    """

    seconds: float
    refused: int


# By table and kind.
Waits = dict[str, dict[str, Wait]]


class Waiting:
    """The process with all of them, as a context manager."""

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
        """Return the longest waits since the last call."""
        self._pipe.send(True)
        found: Waits = self._pipe.recv()
        return found


class _Worker(threading.Thread):
    """Reads, changes or adds one row of a table after the other."""

    def __init__(self, engine: sa.Engine, table: str, kind: str,
                 end: threading.Event) -> None:
        super().__init__(daemon=True)
        self.table, self.kind = table, kind
        self._engine, self._end = engine, end
        self._lock = threading.Lock()
        self._longest, self._refused = 0.0, 0

    def run(self) -> None:
        indexed = _INDEXED[self.table]
        statement = sa.text(_STATEMENTS[self.kind].format(
            self.table, ', '.join(indexed), ', :'.join(indexed)))
        chosen = random.Random(1)  # noqa: S311
        with self._engine.connect() as connection:
            # Which columns need a value changes from revision to revision.
            connection.execute(sa.text("SET SESSION sql_mode = ''"))
            rows = [dict(row) for row in connection.execute(sa.text(
                f'SELECT id, {", ".join(indexed)} FROM {self.table} '
                f'ORDER BY RAND(1) LIMIT {_ROWS}')).mappings()]
            connection.rollback()
            while not self._end.wait(_PAUSE):
                with self._lock:
                    start = time.monotonic()
                    try:
                        connection.execute(statement, {
                            'new': uuid.uuid4().hex, **chosen.choice(rows)})
                        if self.kind == 'insert':
                            connection.rollback()
                        else:
                            connection.commit()
                    except sa.exc.OperationalError:
                        # As InnoDB ends a deadlock.
                        connection.rollback()
                        self._refused += 1
                    self._longest = max(self._longest,
                                        time.monotonic() - start)

    def longest(self) -> Wait:
        """Return the longest wait, and begin anew."""
        with self._lock:  # The present wait counts, too.
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

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

"""What is looked at: processes and tables, again and again."""

from __future__ import annotations

import collections
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import contextlib
import dataclasses
import os
import pathlib
import threading
import time

import sqlalchemy as sa

from benchmarks.fire import database
from benchmarks.soak import flatness
from freezer_api.db import models

#: What a figure of a kind may grow by.
ALLOWED = {
    'RSS, MiB': flatness.Allowed(0.03, 2),
    'files': flatness.Allowed(0, 1),
    # A scheduler keeps up to twelve connections to each of three services,
    # as many as it has workers and four.
    'sockets': flatness.Allowed(0, 2, limit=3 * 12 + 2),
    'threads': flatness.Allowed(0, 1),
    'trust sessions': flatness.Allowed(0, 0.5),
    'rows': flatness.Allowed(0.05, 5),
}

#: Of each table, what has to stay. A deleted row stays until ``freezer-manage
#: db purge``, and each firing makes a backup that is deleted later.
_LIVE = ('backups',)

Figures = dict[tuple[str, str], float]


def of_processes(pids: Iterable[int]) -> dict[str, float]:
    """Return what some processes have, summed up."""
    found: collections.Counter[str] = collections.Counter()
    for pid in pids:
        proc = pathlib.Path('/proc', str(pid))
        status = dict(
            line.split(':', 1)
            for line in proc.joinpath('status').read_text().splitlines())
        found['RSS, MiB'] += int(status['VmRSS'].split()[0])
        found['threads'] += int(status['Threads'])
        for name in os.listdir(proc / 'fd'):
            # It may be closed by now.
            with contextlib.suppress(FileNotFoundError):
                is_socket = os.readlink(
                    proc / 'fd' / name).startswith('socket:')
                found['sockets' if is_socket else 'files'] += 1
    return {**found, 'RSS, MiB': found['RSS, MiB'] / 1024}


def of_tables(made: database.Database) -> dict[str, float]:
    """Return how many rows each table has."""
    found = {}
    for table in models.Base.metadata.sorted_tables:
        query = sa.select(sa.func.count()).select_from(table)
        if table.name in _LIVE:
            query = query.where(table.c.deleted == sa.false())
        [[found[table.name]]] = made.rows(str(query.compile(
            compile_kwargs={'literal_binds': True})))
    return found


class Looks:
    """A thread that looks, and what it has seen.

    :param take: takes one look
    :param limits: rows that a table may have in any case
    :ivar series: (seconds, value) by what it is of and what it is
    """

    def __init__(self, take: Callable[[], Figures], every: float,
                 limits: Mapping[str, float]) -> None:
        self.series: dict[tuple[str, str], list[tuple[float, float]]] = (
            collections.defaultdict(list))
        self._take = take
        self._limits = limits
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Looks:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(self._every):
            now = time.monotonic()
            # Our connection is cut with the others.
            with contextlib.suppress(sa.exc.OperationalError):
                for name, value in self._take().items():
                    self.series[name].append((now, value))

    def verdicts(self) -> Mapping[tuple[str, str], flatness.Verdict]:
        """Judge all series."""
        return {
            name: flatness.judge(points, dataclasses.replace(
                ALLOWED[name[1]], limit=self._limits.get(
                    name[0], ALLOWED[name[1]].limit)))
            for name, points in self.series.items()}

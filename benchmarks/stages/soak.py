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

"""Hours of work in some minutes, and whether anything grows by it.

The environment is that of chaos, with two schedulers. Jobs fire many times as
often as usual, old backups are pruned and old runs trimmed. From time to time
something stands still or is cut off, but no measured process is restarted.
Memory, files, threads and rows are observed all the while; an invariant is
broken where one of them grows in the second half.
"""

from __future__ import annotations

import argparse
import collections
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import pathlib
import threading
import time

import sqlalchemy as sa

from benchmarks.environment import database
from benchmarks.environment import keystone
from benchmarks.observation import flatness
from benchmarks.observation import processes
from benchmarks import report
from benchmarks.stages.chaos import environment as environments
from benchmarks.stages.chaos import faults
from benchmarks.stages.chaos import invariants
from benchmarks.stages.chaos import trial
from freezer_api.db import models
from tools.cloud import progress

# No measured process ends by these.
_KINDS = (faults.Kind.NAP, faults.Kind.SLEEP, faults.Kind.JOIN,
          faults.Kind.DATABASE, faults.Kind.CINDER, faults.Kind.KEYSTONE)

# Backups are this old when they are pruned, in days: three minutes.
_AGE = 0.002

#: The invariants that can be checked where runs are trimmed.
_CHECKED = (invariants.leases, invariants.stale, invariants.complaints)

#: What a figure of a kind may grow by.
_ALLOWED = {
    'RSS, MiB': flatness.Allowed(0.03, 2),
    'files': flatness.Allowed(0, 1),
    # A scheduler keeps up to twelve connections to each of three services,
    # as many as it has workers and four.
    'sockets': flatness.Allowed(0, 2, limit=3 * 12 + 2),
    'threads': flatness.Allowed(0, 1),
    'trust sessions': flatness.Allowed(0, 0.5),
    'rows': flatness.Allowed(0.05, 5),
}

#: What a value is of, and its kind.
_Values = dict[tuple[str, str], float]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--engine', choices=sorted(database.SERVERS),
                        default='mariadb', help='database (%(default)s)')
    parser.add_argument('--server', metavar='URL',
                        help='database server, if not that of this machine')
    parser.add_argument('--minutes', type=float, default=30)
    parser.add_argument('--hours', type=float, default=8,
                        help='whose firings these minutes have')
    parser.add_argument('--jobs', type=int, default=40)
    parser.add_argument('--interval', type=int, default=320,
                        help='seconds between two firings of a job in these '
                             'hours')
    parser.add_argument('--projects', type=int, default=5)
    parser.add_argument('--schedulers', type=int, default=2)
    parser.add_argument('--keep-runs', type=int, default=20,
                        help='of each job; older ones are trimmed')
    parser.add_argument('--pause', type=float, default=45,
                        help='seconds between two faults, in the mean')
    parser.add_argument('--every', type=float, default=10,
                        help='seconds between two observations')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--patience', type=float, default=15,
                        help='seconds of allowance for a busy machine')


def run(chosen: argparse.Namespace, home: pathlib.Path,
        tell: progress.Progress) -> Iterator[report.Item]:
    if chosen.quick:
        chosen.minutes, chosen.hours, chosen.every, chosen.jobs = 1, 0.2, 2, 10
    seconds = 60 * chosen.minutes
    interval = max(1, round(
        chosen.interval * seconds / (3600 * chosen.hours)))
    size = environments.Size(chosen.jobs, chosen.projects, chosen.schedulers,
                             interval, prunes=1, keep_days=_AGE)
    lease = environments.TUNED['lease_seconds']
    with (keystone.running(home / 'cloud', chosen.projects, tell) as made,
          environments.running(
              made, chosen.engine, chosen.server, home, size, tell,
              scheduling={'keep_runs_last': chosen.keep_runs},
              ) as environment):
        with tell.step(f'{chosen.jobs} jobs, a firing of each in '
                       f'{interval} s'):
            begin = environment.create_jobs(size, chosen.seed, seconds)
        one = trial.Trial(environment, begin, tell)
        time.sleep(max(0.0, begin - time.time()))
        with _Observer(lambda: _observe(environment), chosen.every) as seen:
            one.run(faults.draw(
                chosen.seed, seconds, environment.names, environment.guest,
                lease, chosen.pause, _KINDS), seconds)
        ended = time.time()
        with tell.step('waiting for the last runs'):
            one.drain(6 * lease)
            one.stop()
        found = one.observe(ended)
    # Rows of runs are trimmed; their changes are not.
    states = {change.run_id: change.state for change in found.changes}
    for name, value in {
            'seconds between two firings of a job': interval,
            'runs': len(states),
            **{f'runs with state {state}': count for state, count in sorted(
                collections.Counter(states.values()).items())},
            'backups in Cinder': len(found.taken),
            'backups that are left': len(found.backups),
            'faults': len(found.windows),
            'answers of 500 and more': len(found.errors)}.items():
        yield report.Figure(name, value)
    verdicts = seen.verdicts({
        # What the rules of retention leave, and three of each job more: what
        # is too old goes with the next backup, or the next maintenance.
        'backups': chosen.jobs * (86_400 * _AGE / interval + 3),
        'job_runs': chosen.jobs * (chosen.keep_runs + 3)})
    yield report.Table('', [
        ('', '', 'first', 'median', 'most', 'growth', 'allowed'),
        *((whose, what, f'{each.first:.1f}', f'{each.middle:.1f}',
           f'{each.most:.1f}', f'{each.growth:+.2f}', f'{each.allowed:.2f}')
          for (whose, what), each in verdicts.items())])
    yield report.Invariant('nothing grows in the second half', [
        f'{whose}: {what}' for (whose, what), each in verdicts.items()
        if not each.flat])
    limits = invariants.Limits(environments.TUNED['claim_interval'],
                               chosen.patience)
    for name, rule in invariants.INVARIANTS.items():
        if rule in _CHECKED:
            yield report.Invariant(name, list(rule(found, limits)))


def _observe(environment: environments.Environment) -> _Values:
    found: _Values = {}
    groups = {'API': environment.api.pids, **{
        name: [environment.schedulers[name].pid]
        for name in environment.names}}
    for whose, pids in groups.items():
        used = processes.Usage.of_all(pids)
        sockets, files = processes.open_files(pids)
        for what, value in (('RSS, MiB', used.resident / 1024),
                            ('threads', used.threads), ('files', files),
                            ('sockets', sockets)):
            found[whose, what] = value
    for name in environment.names:
        found[name, 'trust sessions'] = environment.schedulers[name].sessions
    with environment.database.engine.connect() as connection:
        for table in models.Base.metadata.sorted_tables:
            query = sa.select(sa.func.count()).select_from(table)
            # A deleted row stays until ``freezer-manage db purge``, and each
            # firing makes a backup that is deleted later.
            if table.name == 'backups':
                query = query.where(table.c.deleted == sa.false())
            found[table.name, 'rows'] = connection.scalar(query) or 0
    return found


class _Observer:
    """A thread that observes values again and again."""

    def __init__(self, observe: Callable[[], _Values], every: float) -> None:
        self._series: dict[tuple[str, str], list[tuple[float, float]]] = (
            collections.defaultdict(list))
        self._observe = observe
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> _Observer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._over.wait(self._every):
            now = time.monotonic()
            # This connection is cut with the others.
            with contextlib.suppress(sa.exc.OperationalError):
                for name, value in self._observe().items():
                    self._series[name].append((now, value))

    def verdicts(self, limits: Mapping[str, float],
                 ) -> dict[tuple[str, str], flatness.Verdict]:
        """Judge all series.

        :param limits: rows that a table may have in any case
        """
        return {
            name: flatness.judge(points, dataclasses.replace(
                _ALLOWED[name[1]], limit=limits.get(
                    name[0], _ALLOWED[name[1]].limit)))
            for name, points in self._series.items()}

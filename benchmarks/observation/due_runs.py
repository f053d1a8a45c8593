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

"""Due runs on their way through our schedulers and API to Cinder.

The database tells when a run is claimed, in whole seconds, and Cinder when it
was asked for a backup.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import statistics
import time
from typing import Any

from benchmarks.environment import cinder as cinders
from benchmarks.environment import deployment
from benchmarks.environment import side_by_side
from benchmarks import report
from tools.cloud import errors

# Jobs become due so many seconds after the database says so: a scheduler has
# asked since then, as it has of jobs that were scheduled days ago.
_AHEAD = 10
_POLL = 1
_DAY = 86_400
_ROWS = ('SELECT project_id, job_id, state, nominal_at, time_started, '
         'time_ended FROM job_runs WHERE nominal_at >= {}')


@dataclasses.dataclass(frozen=True)
class NoisyNeighbours:
    """Jobs of a few projects, all due a second before the first firing."""

    jobs: int
    projects: int


@dataclasses.dataclass(frozen=True)
class DueRuns:
    """Times of some firings, in seconds after the first.

    :ivar wanted: number of firings
    :ivar succeeded: number of runs that ended well
    :ivar claimed: when each run was claimed
    :ivar late: how long after its firing Cinder was asked for each backup
    :ivar submitted: when that was
    :ivar first: when that was for the first run of each project
    :ivar spent: from the first firing to the last end
    :ivar peaks: most KiB of the schedulers, and of the API
    """

    wanted: int
    succeeded: int
    claimed: list[float]
    late: list[float]
    submitted: list[float]
    first: dict[str, float]
    spent: deployment.Reading
    peaks: tuple[int, int]

    @property
    def rate(self) -> float:
        """Requests for backups a second."""
        return len(self.submitted) / max(self.submitted)


def fire(environment: side_by_side.Environment, count: int, seconds: int = 0,
         finish_every: float = cinders.FAST, at_once: int = 0,
         schedulers: int = 1, noisy: NoisyNeighbours | None = None,
         **configured: object) -> DueRuns:
    """Have our jobs fire, and wait until all runs have ended.

    :param seconds: within which they fire; 0 for in one second
    :param finish_every: see ``cinder.running``, as for ``at_once``
    :param noisy: what is due besides, and is not observed
    :param configured: options of the schedulers
    :raises tools.cloud.errors.QuickstartError: no scheduler claims, or Cinder
        is asked for nothing
    """
    one, patience = environment.ours, environment.chosen.patience
    base = one.api.database
    with cinders.running(environment.cloud, 0, finish_every,
                         at_once) as cinder:
        one.stop()
        one.reset()
        one.start(schedulers, **configured)
        _until(lambda: one.proxy.seen()[deployment.CLAIM] >= schedulers,
               patience)
        if one.proxy.seen()[deployment.CLAIM] < schedulers:
            raise errors.QuickstartError('our schedulers have claimed nothing')
        at = int(time.time()) + _AHEAD
        base.fire_jobs(count, at, seconds)
        if noisy is not None:
            base.fire_of_few_projects(noisy.jobs, noisy.projects, at - 1)
        one.reset()
        time.sleep(max(0, at - time.time()))
        before = one.read()
        if noisy is None:
            _until(lambda: cinder.count()['finished'] >= count, patience)
            # The ends of the last backups still have to be reported.
            patience = min(patience, 30)
        else:
            time.sleep(seconds)

        def number(condition: str) -> int:
            [(found,)] = base.rows('SELECT COUNT(*) FROM job_runs WHERE '
                                   + condition)
            return int(found)

        _until(lambda: number(
            f"nominal_at >= {at} AND state = 'success'") >= count, patience)
        after = one.read()
        if noisy is not None:
            # What was claimed still ends.
            base.postpone(at + _DAY)
            _until(lambda: not number(f'nominal_at >= {at - 1} AND '
                                      'time_ended IS NULL'), patience)
        one.stop()
        found = observe(base.rows(_ROWS.format(at)),
                        cinder.record()['taken'], at, count,
                        after.since(before),
                        (after.schedulers.most, after.api.most))
    if not found.submitted:
        raise errors.QuickstartError('Cinder was asked for nothing')
    return found


def _until(done: Callable[[], bool], patience: float) -> None:
    end = time.monotonic() + patience
    while not done() and time.monotonic() < end:
        time.sleep(_POLL)


def observe(rows: Sequence[Sequence[Any]],
            accepted: Sequence[Mapping[str, Any]], at: int, wanted: int,
            spent: deployment.Reading, peaks: tuple[int, int]) -> DueRuns:
    """Combine rows of runs with what Cinder accepted.

    :param rows: project, job, state, nominal time, start and end of each run
    :param at: the first firing, in epoch seconds
    """
    runs = {job_id: (project_id, nominal)
            for project_id, job_id, _, nominal, *_ in rows}
    late, submitted = [], []
    first: dict[str, float] = {}
    for one in accepted:
        job_id = one['metadata']['freezer_job_id']
        if job_id not in runs:
            continue
        project_id, nominal = runs[job_id]
        late.append(one['at'] - nominal)
        submitted.append(one['at'] - at)
        first.setdefault(project_id, one['at'] - at)
    return DueRuns(
        wanted, sum(row[2] == 'success' for row in rows),
        sorted(row[4] - at for row in rows), sorted(late), sorted(submitted),
        first, spent, peaks)


def figures(environment: side_by_side.Environment, found: DueRuns, what: str,
            aims: Mapping[str, report.Aim]) -> Iterator[report.Figure]:
    """Yield the figures of due runs.

    :param what: goes before the name of each
    """
    runs, spent = found.wanted, found.spent
    for name, value, unit in (
            ('runs that succeeded', found.succeeded, ''),
            ('claims a second, mean', len(found.claimed) / (
                max(found.claimed) + 1), ''),
            ('claims a second, at most',
             max(collections.Counter(found.claimed).values()), ''),
            ('until the last is claimed', max(found.claimed), 's'),
            ('requests for backups a second', found.rate, ''),
            ('until the last backup is asked for', max(found.submitted),
             's'),
            ('lateness of these, median',
             report.percentile(found.late, 0.5), 's'),
            ('lateness of these, 99th percentile',
             report.percentile(found.late, 0.99), 's'),
            ('first backup of a project, median',
             statistics.median(found.first.values()), 's'),
            ('first backup of the last project', max(found.first.values()),
             's'),
            ('requests to the API for each run', spent.asked.total() / runs,
             ''),
            ('logins for each run', spent.logins[deployment.LOGIN] / runs,
             ''),
            ('SQL statements for each run', spent.statements / runs, ''),
            ('CPU of the schedulers for each run',
             1000 * spent.schedulers.cpu / runs, 'ms'),
            ('CPU of the API for each run', 1000 * spent.api.cpu / runs, 'ms'),
            ('memory of the schedulers at the peak', found.peaks[0] / 1024,
             'MiB'),
            ('memory of the API at the peak', found.peaks[1] / 1024,
             'MiB')):
        yield environment.figure(f'{what}: {name}', value, unit,
                                 aim=aims.get(name))

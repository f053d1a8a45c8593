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

When a run is claimed the database tells, in whole seconds, and when Cinder
was asked for its backup, Cinder.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import statistics
import time

from benchmarks.cinder import process
from benchmarks.scale import deployment
from benchmarks.scale import figure
from benchmarks.scale import scene as scenes
from benchmarks.scale import settling
from tools.cloud import errors

#: Seconds between the moments at which a Cinder that is fast ends backups.
FAST = 0.2

# So long before their time it is known when jobs are due: a scheduler has
# asked since then, as it has of jobs that were scheduled days ago.
_AHEAD = 10
_LOOK = 1
_DAY = 86_400


@dataclasses.dataclass(frozen=True)
class Crowd:
    """Jobs of a few projects, all due a second before the first firing."""

    jobs: int
    projects: int


@dataclasses.dataclass(frozen=True)
class Flow:
    """What became of some firings; times are seconds after the first.

    :ivar runs: that were asked for
    :ivar ended: of them, well
    :ivar claimed: when each was claimed
    :ivar late: how long after its own firing Cinder was asked for each
    :ivar submitted: when that was
    :ivar first: when it was for the first run of each project
    :ivar spent: from the first firing to the last end
    :ivar peaks: most KiB that the schedulers, and the API, had in memory
    """

    runs: int
    ended: int
    claimed: list[float]
    late: list[float]
    submitted: list[float]
    first: dict[str, float]
    spent: deployment.Spent
    peaks: tuple[int, int]

    def late_at(self, share: float) -> float:
        """Return how late the runs of a share are at the most."""
        return percentile(self.late, share)


@contextlib.contextmanager
def cinder(scene: scenes.Scene, finish_every: float,
           at_once: int = 0) -> Iterator[process.FakeCinder]:
    """Another Cinder in the catalogue for a while, with any volume."""
    with process.served(0, finish_every, at_once) as made:
        process.stand_in(scene.cloud, made.url)
        try:
            yield made
        finally:
            process.stand_in(scene.cloud, scene.cinder.url)


def watch(one: deployment.Deployment, made: process.FakeCinder, count: int,
          seconds: int, patience: float, schedulers: int = 1,
          crowd: Crowd | None = None, **configured: object) -> Flow:
    """Have jobs fire, and see to it until all runs have ended.

    :param seconds: within which they fire; 0 for in one second
    :param patience: seconds after which it is enough
    :param crowd: what is due besides; of that, nothing is told
    :param configured: of the schedulers, see ``Deployment.start``
    :raises tools.cloud.errors.QuickstartError: no scheduler claims
    """
    one.stop()
    one.api.forget()
    one.start(schedulers, **configured)
    _until(lambda: one.api.seen()[settling.CLAIM] >= schedulers, patience)
    if one.api.seen()[settling.CLAIM] < schedulers:
        raise errors.QuickstartError('our schedulers have claimed nothing')
    at = int(time.time()) + _AHEAD
    known = made.count()['taken']
    one.world.side.arm(count, at, seconds)
    if crowd is not None:
        one.world.side.crowd(crowd.jobs, crowd.projects, at - 1)
    one.keystone.forget()
    one.api.forget()
    time.sleep(max(0, at - time.time()))
    before = one.read()
    if crowd is None:
        _until(lambda: made.count()['finished'] - known >= count, patience)
        # Cinder has ended the last; that has to be seen, and told.
        patience = min(patience, 30)
    else:
        time.sleep(seconds)
    _until(lambda: _ended(one, at) >= count, patience)
    after = one.read()
    if crowd is not None:
        # What is held still ends.
        one.world.side.calm(at + _DAY)
        _until(lambda: not _going(one, at - 1), patience)
    one.stop()
    return _flow(one, made, at, count, known, after.since(before),
                 (after.schedulers.most, after.api.most))


def _until(done: Callable[[], bool], patience: float) -> None:
    end = time.monotonic() + patience
    while not done() and time.monotonic() < end:
        time.sleep(_LOOK)


def _ended(one: deployment.Deployment, at: int) -> int:
    return sum(state == 'success'
               for _, _, state, *_ in one.world.side.runs(at))


def _going(one: deployment.Deployment, at: int) -> bool:
    return any(ended is None for *_, ended in one.world.side.runs(at))


def _flow(one: deployment.Deployment, made: process.FakeCinder, at: int,
          count: int, known: int, spent: deployment.Spent,
          peaks: tuple[int, int]) -> Flow:
    rows = {job_id: (project_id, state, nominal, started)
            for project_id, job_id, state, nominal, started, _
            in one.world.side.runs(at)}
    late, submitted = [], []
    first: dict[str, float] = {}
    for taken in made.record()['taken'][known:]:
        job_id = taken['metadata']['freezer_job_id']
        if job_id not in rows:
            continue
        project_id, _, nominal, _ = rows[job_id]
        late.append(taken['at'] - nominal)
        submitted.append(taken['at'] - at)
        first.setdefault(project_id, taken['at'] - at)
    return Flow(
        count, sum(state == 'success' for _, state, _, _ in rows.values()),
        sorted(started - at for _, _, _, started in rows.values()),
        sorted(late), sorted(submitted), first, spent, peaks)


def percentile(sorted_values: list[float], share: float) -> float:
    """Return the value that a share of them does not exceed."""
    return sorted_values[min(len(sorted_values) - 1,
                             int(share * len(sorted_values)))]


def told(scene: scenes.Scene, found: Flow, what: str,
         aims: dict[str, figure.Aim]) -> Iterator[figure.Figure]:
    """Yield the figures of due runs.

    :param what: goes before the name of each
    """
    if not found.submitted:
        raise errors.QuickstartError(f'{what}: Cinder was asked for nothing')
    runs = found.runs
    last = max(found.submitted)
    seconds = collections.Counter(found.claimed)
    for name, value, unit in (
            ('runs that ended well', found.ended, ''),
            ('claims a second, in the mean', len(found.claimed) / (
                max(found.claimed) + 1), ''),
            ('claims a second, at best', max(seconds.values()), ''),
            ('until the last is claimed', max(found.claimed), 's'),
            ('requests for backups a second', len(found.submitted) / last,
             ''),
            ('until the last backup is asked for', last, 's'),
            ('lateness of these, median', found.late_at(0.5), 's'),
            ('lateness of these, 99th percentile', found.late_at(0.99),
             's'),
            ('first backup of a project, median',
             statistics.median(found.first.values()), 's'),
            ('first backup of the last project', max(found.first.values()),
             's'),
            ('calls of the API for each run',
             found.spent.asked.total() / runs, ''),
            ('logins for each run',
             found.spent.logins[settling.LOGIN] / runs, ''),
            ('SQL statements for each run', found.spent.statements / runs,
             ''),
            ('CPU of the schedulers for each run',
             1000 * found.spent.schedulers / runs, 'ms'),
            ('CPU of the API for each run', 1000 * found.spent.api / runs,
             'ms'),
            ('memory of the schedulers at the peak', found.peaks[0] / 1024,
             'MiB'),
            ('memory of the API at the peak', found.peaks[1] / 1024,
             'MiB')):
        yield scene.figure(f'{what}: {name}', figure.OURS, value, unit,
                           aims.get(name))

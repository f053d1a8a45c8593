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

"""The firings of jobs, and what became of them."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
from typing import Any
from typing import Protocol

from freezer_api.domain import firing_plan

_WITH_REASON = ('missed', 'waiting', 'skipped', 'fail', 'aborted')


class Rows(Protocol):
    """A database."""

    def rows(self, query: str) -> Sequence[Any]:
        """Return the rows of a query."""


@dataclasses.dataclass(frozen=True)
class Job:
    """A job at the end; times in epoch seconds."""

    id: str
    schedule: Mapping[str, Any]
    created: int
    next_run_at: int | None
    run_id: str | None


@dataclasses.dataclass(frozen=True)
class Run:
    """A run at the end; times in epoch seconds.

    :ivar fence: how often it was claimed
    """

    id: str
    job_id: str
    nominal_at: int
    state: str
    reason: str | None = None
    time_started: int | None = None
    time_ended: int | None = None
    coalesced_until: int | None = None
    fence: int = 0


def jobs(database: Rows) -> list[Job]:
    return [Job(row[0], json.loads(row[1]), *row[2:])
            for row in database.rows(
                'SELECT id, schedule, time_created, next_run_at, run_id '
                'FROM jobs')]


def runs(database: Rows) -> list[Run]:
    return [Run(*row) for row in database.rows(
        'SELECT id, job_id, nominal_at, state, reason, time_started, '
        'time_ended, coalesced_until, fence FROM job_runs '
        'ORDER BY nominal_at')]


class Chain:
    """The firings of one job, one after the other.

    :param created: when the job was created, in epoch seconds
    :param since: the firings after that moment count
    :ivar after: the last moment whose firing is accounted for
    :ivar followed: number of runs
    """

    def __init__(self, job_id: str, schedule: Mapping[str, Any],
                 created: int, since: int) -> None:
        self._job_id = job_id
        self._plan = firing_plan.Plan(schedule, job_id)
        self._created = created
        self.after = since
        self.followed = 0

    def follow(self, found: Iterable[Run],
               until: int | None = None) -> Iterator[str]:
        """Follow further runs; yield what is wrong.

        :param found: in the order of their nominal time, all of those after
            the last one followed
        :param until: each firing up to that moment must have a run, or be
            part of one; None for all firings
        """
        for run in found:
            expected = self._next()
            if run.nominal_at != expected:
                yield (f'job {self._job_id}: run {run.id} is for '
                       f'{run.nominal_at}, the next firing was {expected}')
            if run.state in _WITH_REASON and not run.reason:
                yield (f'job {self._job_id}: {run.state} at '
                       f'{run.nominal_at} without a reason')
            # This run stands for what became due until then, too.
            self.after = max(self.after, run.nominal_at,
                             (run.coalesced_until or 0) - 1)
            self.followed += 1
        left = self._next()
        if left is not None and (until is None or left <= until):
            yield f'job {self._job_id}: its firing at {left} has no run'

    def _next(self) -> int | None:
        return self._plan.firing_after(self._created, self.after)


@dataclasses.dataclass
class Firings:
    """How many firings there were, and how often they were run.

    :ivar explained: not run, and its run or the run before it says why
    :ivar lost: not run, without an explanation
    :ivar surplus: runs beyond the first of each firing
    """

    once: int = 0
    repeated: int = 0
    explained: int = 0
    lost: int = 0
    surplus: int = 0

    def counts(self) -> dict[str, int]:
        return {'firings': self.once + self.repeated + self.explained
                + self.lost,
                'firings run once': self.once,
                'firings run more than once': self.repeated,
                'firings not run, with a reason': self.explained,
                'firings not run, without a reason': self.lost,
                'runs too many': self.surplus}


def of_starts(found: Iterable[Job],
              starts: Mapping[str, Sequence[float]]) -> Firings:
    """Count by the moments at which something was started.

    :param starts: epoch seconds by job; each belongs to the firing before it
    """
    result = Firings()
    for job in found:
        nominal = _nominal(job)
        counts = [0] * len(nominal)
        for moment in starts.get(job.id, ()):
            place = bisect.bisect_right(nominal, moment) - 1
            if place < 0:
                result.surplus += 1
            else:
                counts[place] += 1
        result.once += counts.count(1)
        result.lost += counts.count(0)
        result.repeated += sum(count > 1 for count in counts)
        result.surplus += sum(count - 1 for count in counts if count > 1)
    return result


def of_runs(found: Iterable[Job], of_jobs: Iterable[Run],
            backups: Mapping[str, int]) -> Firings:
    """Count by the rows of runs and the backups that were asked for.

    :param backups: by run
    """
    result = Firings()
    by_firing = {(run.job_id, run.nominal_at): run for run in of_jobs}
    for job in found:
        covered = 0
        for nominal in _nominal(job):
            run = by_firing.get((job.id, nominal))
            asked = 0
            if run is not None:
                asked = backups.get(run.id, 0)
                covered = max(covered, (run.coalesced_until or 0) - 1)
            result.surplus += max(0, asked - 1)
            result.once += asked == 1
            result.repeated += asked > 1
            if not asked:
                said = (nominal <= covered if run is None
                        else run.reason is not None)
                result.explained += said
                result.lost += not said
    return result


def _nominal(job: Job) -> list[int]:
    """Return all firings of a job, whose schedule has an end."""
    found: list[int] = []
    after = job.created - 1
    plan = firing_plan.Plan(job.schedule)
    while (firing := plan.firing_after(job.created, after)) is not None:
        found.append(firing)
        after = firing
    return found

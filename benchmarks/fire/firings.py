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

"""What became of the firings, counted in one way for any scheduler."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

from benchmarks.fire import evidence as known
from freezer_api.domain import plans


@dataclasses.dataclass
class Firings:
    """How many firings there were, and how often they were run.

    :ivar explained: not run, and a run or the run before it says why
    :ivar lost: not run, and nothing says so
    :ivar surplus: runs beyond the first of each firing
    """

    once: int = 0
    repeated: int = 0
    explained: int = 0
    lost: int = 0
    surplus: int = 0

    @property
    def total(self) -> int:
        return self.once + self.repeated + self.explained + self.lost

    def rows(self) -> dict[str, int]:
        return {'firings': self.total, 'run once': self.once,
                'run more than once': self.repeated,
                'passed over, and it is said why': self.explained,
                'not run, and nothing says so': self.lost,
                'runs too many': self.surplus}


def of_starts(jobs: Iterable[known.Job],
              starts: Mapping[str, Sequence[float]]) -> Firings:
    """Count by the moments at which something was begun.

    :param starts: epoch seconds by job; each belongs to the firing before it
    """
    found = Firings()
    for job in jobs:
        nominal = _nominal(job)
        counts = [0] * len(nominal)
        for moment in starts.get(job.id, ()):
            place = bisect.bisect_right(nominal, moment) - 1
            if place < 0:
                found.surplus += 1
            else:
                counts[place] += 1
        found.once += counts.count(1)
        found.lost += counts.count(0)
        found.repeated += sum(count > 1 for count in counts)
        found.surplus += sum(count - 1 for count in counts if count > 1)
    return found


def of_runs(jobs: Iterable[known.Job], runs: Iterable[known.Run],
            backups: Mapping[str, int]) -> Firings:
    """Count by the rows of runs and the backups that were asked for.

    :param backups: by run
    """
    found = Firings()
    by_firing = {(run.job_id, run.nominal_at): run for run in runs}
    for job in jobs:
        covered = 0
        for nominal in _nominal(job):
            run = by_firing.get((job.id, nominal))
            asked = 0
            if run is not None:
                asked = backups.get(run.id, 0)
                covered = max(covered, (run.covers_until or 0) - 1)
            found.surplus += max(0, asked - 1)
            found.once += asked == 1
            found.repeated += asked > 1
            if not asked:
                said = (nominal <= covered if run is None
                        else run.reason is not None)
                found.explained += said
                found.lost += not said
    return found


def _nominal(job: known.Job) -> list[int]:
    """All firings of a job, whose schedule has an end."""
    found: list[int] = []
    after = job.created - 1
    while True:
        firing = plans.Plan(job.schedule).firing_after(job.created, after)
        if firing is None:
            return found
        found.append(firing)
        after = firing

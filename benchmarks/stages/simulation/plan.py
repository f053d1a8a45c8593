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

"""The plan of a week: which schedules there are, and what fails."""

from __future__ import annotations

import dataclasses
import enum
import random

HOUR = 3600
DAY = 24 * HOUR
WEEK = 7 * DAY

#: A Monday, 00:00 UTC.
BEGIN = 1_800_230_400


@dataclasses.dataclass(frozen=True)
class Mix:
    """How often jobs fire; what is none of these is weekly.

    :ivar monthly: of a thousand jobs; each four weeks, or on a day of the
        month
    :ivar daily: of a thousand jobs
    :ivar hourly: likewise
    """

    monthly: int = 0
    daily: int = 49
    hourly: int = 1

    def a_week(self, jobs: int) -> int:
        """Return the firings of a week."""
        weekly = 1000 - self.monthly - self.daily - self.hourly
        return jobs * (self.monthly + 4 * weekly + 28 * self.daily
                       + 672 * self.hourly) // 4000


class Kind(enum.Enum):
    """A kind of fault."""

    RESTART = 'the schedulers are restarted, one after another'
    KILL = 'a scheduler is killed and comes back after ten minutes'
    LOSS = 'a scheduler is killed and does not come back'
    UNAVAILABLE = 'the API is unavailable for an hour'
    CINDER = 'Cinder fails for a tenth of the projects, for six hours'


#: When, in sevenths of the whole time, and for how many seconds.
EVENTS: tuple[tuple[Kind, float, int], ...] = (
    (Kind.RESTART, 1.50, 0), (Kind.KILL, 2.10, 600), (Kind.LOSS, 2.60, 0),
    (Kind.UNAVAILABLE, 3.08, HOUR), (Kind.CINDER, 4.40, 6 * HOUR),
    (Kind.RESTART, 5.50, 0))


@dataclasses.dataclass(frozen=True)
class Event:
    """A fault.

    :ivar at: epoch seconds
    :ivar until: likewise
    """

    kind: Kind
    at: int
    until: int


def events(seconds: int) -> list[Event]:
    """Return the faults of a simulation of so many seconds."""
    found = []
    for kind, sevenths, length in EVENTS:
        at = BEGIN + int(sevenths * seconds / 7)
        found.append(Event(kind, at, at + length))
    return found


def is_failing(project_id: str) -> bool:
    """Whether a project is one that Cinder fails for."""
    return project_id.endswith('7')


class Cinder:
    """How long a backup takes, and how it ends.

    It continues a backup also after the death of the scheduler.

    :param median: seconds that a backup takes
    """

    def __init__(self, seed: int, median: float = 90) -> None:
        self._chance = random.Random(seed)  # noqa: S311
        self._median = median
        self._ends: dict[str, int] = {}
        self._failed: set[str] = set()

    def begin(self, run_id: str, project_id: str, now: int,
              failing: bool) -> int:
        """Return when the backup of a run is over, if begun only now."""
        if run_id not in self._ends:
            length = self._chance.lognormvariate(0, 1) * self._median
            if failing and is_failing(project_id):
                length = 5
                self._failed.add(run_id)
            self._ends[run_id] = now + int(min(max(length, 2), 2 * HOUR))
        return self._ends[run_id]

    def over(self, run_id: str) -> bool:
        """Forget a backup; return whether it is a good one."""
        del self._ends[run_id]
        good = run_id not in self._failed
        self._failed.discard(run_id)
        return good

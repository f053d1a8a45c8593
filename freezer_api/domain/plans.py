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

"""When a job becomes due: its schedule, under the operator's rules.

The schedule alone says when a job fires. An operator may have it claimed a
little later (jitter), and a continuous job that fails waits longer and longer
for its next run (back-off). Neither shifts a firing: what a run is called
after, and what follows it, is the time that the schedule names.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import datetime
import enum
import functools
import hashlib
from typing import Any

from freezer_api.domain import schedule as schedules

# The part of the time until the next firing that jitter takes at the most.
_JITTER_PART = 10

# From the year 1 to the end of 9999.
_FIRST = -62_135_596_800
_LAST = 253_402_300_799


class Overlap(enum.StrEnum):
    """What becomes of firings that come while a run of their job goes on."""

    SKIP = 'skip'
    WAIT = 'wait'


@dataclasses.dataclass(frozen=True)
class Rules:
    """What an operator sets; all times in seconds.

    :ivar delay: until a new job that was given no event can become due
    :ivar window: within which a late firing is still run
    :ivar coalesce: whether the late firings of a job become one run;
        otherwise each is one, and they are run one after the other
    :ivar jitter: by which a job becomes due later than it fires, at the most
    :ivar backoff: until a continuous job runs again that failed once; twice
        as long after each further failure
    :ivar backoff_max: the longest of those waits
    :ivar minimum: from one firing of a job that is run to the next, and from
        the start of a continuous run to the next; 0 for none. A run that
        fails within that time fails at once, and its job waits as a
        continuous one does.
    """

    delay: int = 5
    window: int = 3600
    coalesce: bool = True
    overlap: Overlap = Overlap.SKIP
    jitter: int = 0
    backoff: int = 60
    backoff_max: int = 3600
    minimum: int = 0

    @property
    def end_passes_over(self) -> bool:
        """Whether the end of a run passes over all that came during it.

        Where late firings have runs of their own, each is looked at when its
        turn has come.
        """
        return self.coalesce and self.overlap is Overlap.SKIP

    def wait(self, failures: int) -> int:
        """Return the wait after so many failures in succession."""
        if failures < 1:
            return 0
        # Beyond that no wait is any longer, and the numbers grow large.
        return min(self.backoff_max, self.backoff << min(failures - 1, 32))


@dataclasses.dataclass(frozen=True)
class Plan:
    """When one job fires and becomes due.

    A firing is searched once: a plan that was asked before a transaction
    costs nothing in it.

    :ivar schedule: what the user wrote of the schedule
    """

    schedule: Mapping[str, Any]
    job_id: str = ''
    rules: Rules = Rules()

    @functools.cached_property
    def parsed(self) -> schedules.Schedule:
        """The schedule, read.

        :raises freezer_api.domain.schedule.ScheduleError: on one that cannot
            be understood
        """
        return schedules.parse(self.schedule)

    @property
    def continuous(self) -> bool:
        """Whether the job runs again whenever a run is over."""
        try:
            return isinstance(self.parsed, schedules.Continuous)
        except schedules.ScheduleError:
            return False

    def firing_after(self, anchor: int, after: int) -> int | None:
        """Return the first firing that is later than ``after``.

        :param anchor: when the job was created, from where intervals count
        :raises freezer_api.domain.schedule.ScheduleError: see parsed
        """
        asked = anchor, after
        if asked not in self._known:
            firing = schedules.next_firing(
                self.parsed, aware(anchor), aware(after))
            self._known[asked] = (
                None if firing is None else int(firing.timestamp()))
        return self._known[asked]

    @functools.cached_property
    def _known(self) -> dict[tuple[int, int], int | None]:
        """The firings that were searched so far."""
        return {}

    def due_at(self, anchor: int, firing: int | None) -> int | None:
        """Return when a firing becomes due: then or a little later.

        By how much follows from the job's id. It is less than a tenth of the
        time until the next firing, so that none overtakes another.

        :param anchor: see firing_after
        """
        if firing is None or not self.rules.jitter:
            return firing
        try:
            most = self._jitter(anchor, firing)
        except schedules.ScheduleError:
            most = 0
        return firing + int(self._share * (most + 1))

    def _jitter(self, anchor: int, firing: int) -> int:
        """By how many seconds a firing may be late at the most."""
        parsed, most = self.parsed, self.rules.jitter
        if isinstance(parsed, schedules.Interval):
            return min(most, parsed.seconds // _JITTER_PART)
        if not isinstance(parsed, schedules.Cron):
            return 0
        following = self.firing_after(anchor, firing)
        if following is None:
            return most
        return min(most, (following - firing) // _JITTER_PART)

    @functools.cached_property
    def _share(self) -> float:
        """A number from 0 to below 1 that is the job's for ever."""
        digest = hashlib.sha256(self.job_id.encode()).digest()
        return int.from_bytes(digest[:6]) / 2 ** 48


def aware(epoch: int) -> datetime.datetime:
    """Return a time, or the nearest one that there is.

    Rows of former releases hold any number that a client wrote.
    """
    return datetime.datetime.fromtimestamp(
        min(max(epoch, _FIRST), _LAST), datetime.UTC)

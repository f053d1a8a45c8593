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

"""When a job becomes due: its schedule and the operator's rules.

The schedule determines when a job fires. The rules can delay the claim
(jitter), and the next run of a continuous job that fails (back-off). Neither
changes a firing: the nominal time of a run, and the firings after it, are
those of the schedule.
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

# Jitter is at most one part in this many of the time until the next firing.
_JITTER_PART = 10

# From the year 1 to the end of 9999.
_FIRST = -62_135_596_800
_LAST = 253_402_300_799


class Overlap(enum.StrEnum):
    """Treatment of firings during a run of their job."""

    SKIP = 'skip'
    WAIT = 'wait'


@dataclasses.dataclass(frozen=True)
class Rules:
    """The operator's rules; all times in seconds.

    :ivar delay: time until a new job without an event can become due
    :ivar window: maximum delay at which a late firing is still run
    :ivar coalesce: whether the late firings of a job become one run;
        otherwise each has its own run, one after the other
    :ivar jitter: maximum delay of the due time after a firing
    :ivar backoff: delay after the first failure of a continuous job; it
        doubles with each further failure
    :ivar backoff_max: maximum of that delay
    :ivar minimum: minimum time between two firings of a job that are run, and
        between the starts of two continuous runs; 0 for none. If a run fails
        within this time, its job waits as a continuous one does.
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
        """Whether the end of a run skips all firings during the run.

        If late firings have runs of their own, each is examined in its turn.
        """
        return self.coalesce and self.overlap is Overlap.SKIP

    def wait(self, failures: int) -> int:
        """Return the delay after a number of successive failures."""
        if failures < 1:
            return 0
        # Larger shifts only create large numbers.
        return min(self.backoff_max, self.backoff << min(failures - 1, 32))


@dataclasses.dataclass(frozen=True)
class Plan:
    """When one job fires and becomes due.

    Firings are cached: after a first search outside of a transaction, the
    search is free within it.

    :ivar schedule: the user's part of the schedule
    """

    schedule: Mapping[str, Any]
    job_id: str = ''
    rules: Rules = Rules()

    @functools.cached_property
    def parsed(self) -> schedules.Schedule:
        """The parsed schedule.

        :raises freezer_api.domain.schedule.ScheduleError: if it is invalid
        """
        return schedules.parse(self.schedule)

    @property
    def continuous(self) -> bool:
        """Whether the job runs again after the end of each run."""
        try:
            return isinstance(self.parsed, schedules.Continuous)
        except schedules.ScheduleError:
            return False

    def firing_after(self, anchor: int, after: int) -> int | None:
        """Return the first firing after a time; all in epoch seconds.

        :param anchor: creation time of the job, from which intervals count
        :raises freezer_api.domain.schedule.ScheduleError: see parsed
        """
        asked = anchor, after
        if asked not in self._known:
            firing = schedules.next_firing(
                self.parsed, *map(aware, asked))
            self._known[asked] = (
                None if firing is None else int(firing.timestamp()))
        return self._known[asked]

    @functools.cached_property
    def _known(self) -> dict[tuple[int, int], int | None]:
        """The cached firings."""
        return {}

    def due_at(self, anchor: int, firing: int | None) -> int | None:
        """Return when a firing becomes due: at once, or after a jitter.

        The jitter is derived from the job's ID. It is less than a tenth of
        the time until the next firing, so that firings keep their order.

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
        """Return the maximum jitter of a firing, in seconds."""
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
        """A number in [0, 1) that is constant for the job."""
        digest = hashlib.sha256(self.job_id.encode()).digest()
        return int.from_bytes(digest[:6]) / 2 ** 48


def aware(epoch: int) -> datetime.datetime:
    """Return a time, limited to the range of datetime.

    Rows of earlier releases contain any number that a client wrote.
    """
    return datetime.datetime.fromtimestamp(
        min(max(epoch, _FIRST), _LAST), datetime.UTC)


def iso(epoch: int) -> str:
    """Return a time as ISO text in UTC."""
    return aware(epoch).strftime('%Y-%m-%dT%H:%M:%SZ')

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

"""The runs that wait until a time."""

from __future__ import annotations

import heapq
import itertools

from freezer_scheduler.runs import claimed_run

# Obsolete entries that are not worth a cleaning.
_STALE = 100

# Time, number, and the run; None if only something is due.
_Entry = tuple[float, int, claimed_run.ClaimedRun | None]


class DelayQueue:
    """Entries in the order of their times.

    Adding a run again replaces its earlier entry.
    """

    def __init__(self) -> None:
        self._heap: list[_Entry] = []
        self._numbers = itertools.count(1)
        self._most = _STALE

    def put(self, at: float, claimed: claimed_run.ClaimedRun | None) -> None:
        """Add a run, or only that something is due."""
        if len(self._heap) > self._most:
            # Otherwise a run that has ended stays until its time.
            self._heap = [entry for entry in self._heap if _counts(entry)]
            heapq.heapify(self._heap)
            self._most = 2 * len(self._heap) + _STALE
        number = next(self._numbers)
        if claimed is not None:
            claimed.due = number
        heapq.heappush(self._heap, (at, number, claimed))

    @property
    def at(self) -> float | None:
        """The time of the first entry."""
        return self._heap[0][0] if self._heap else None

    def is_due(self, now: float) -> bool:
        """Return whether an entry is due that is not obsolete."""
        while self._heap and not _counts(self._heap[0]):
            heapq.heappop(self._heap)
        return bool(self._heap) and self._heap[0][0] <= now

    def take(self) -> claimed_run.ClaimedRun | None:
        """Remove and return the first entry."""
        return heapq.heappop(self._heap)[2]


def _counts(entry: _Entry) -> bool:
    _at, number, claimed = entry
    return claimed is None or (claimed.due == number and not claimed.busy)

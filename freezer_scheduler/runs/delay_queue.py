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

"""What is due, and when."""

from __future__ import annotations

import heapq
import itertools
from typing import Generic
from typing import Protocol
from typing import TypeVar

# Entries left behind that are not worth a cleaning.
_STALE = 100

# What goes on at once does so before what could begin in so many seconds
# before: the request for a backup is not to wait until all others have been
# prepared. Nothing is held up by that for longer.
_AHEAD = 30


class Dated(Protocol):
    """What can be due.

    :ivar due: which entry is its last; 0 where it is not to be due any more
    :ivar busy: whether it is not to be due now
    """

    due: int
    busy: bool


Item = TypeVar('Item', bound=Dated)


class DelayQueue(Generic[Item]):
    """Entries by time. Of one item only the last counts."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Item | None]] = []
        self._numbers = itertools.count(1)
        self._most = _STALE

    def put(self, at: float, item: Item | None) -> None:
        """Enter an item, or only that something is due."""
        if len(self._heap) > self._most:
            # What has ended would be kept until it would have been due.
            self._heap = [entry for entry in self._heap if _counts(entry)]
            heapq.heapify(self._heap)
            self._most = 2 * len(self._heap) + _STALE
        number = next(self._numbers)
        if item is not None:
            item.due = number
        heapq.heappush(self._heap, (at, number, item))

    def go_on(self, now: float, after: float, item: Item) -> None:
        """Enter an item that has begun, for so many seconds from now."""
        self.put(now + after if after > 0 else now - _AHEAD, item)

    @property
    def at(self) -> float | None:
        """When to look again."""
        return self._heap[0][0] if self._heap else None

    def is_due(self, now: float) -> bool:
        """Return whether the first entry that counts is due."""
        while self._heap and not _counts(self._heap[0]):
            heapq.heappop(self._heap)
        return bool(self._heap) and self._heap[0][0] <= now

    def take(self) -> Item | None:
        """Take the first entry."""
        return heapq.heappop(self._heap)[2]


def _counts(entry: tuple[float, int, Dated | None]) -> bool:
    _at, number, item = entry
    return item is None or (item.due == number and not item.busy)

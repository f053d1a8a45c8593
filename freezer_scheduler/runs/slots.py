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

"""The slots of claimed runs, and the projects that line up for them.

The projects take turns. A run has a slot for each of its volumes that is
under way. The owner of this holds a lock.

A slot is for what goes on. One whose run has waited for an answer for long
counts for its project alone, until the run goes on, so that services that
hang leave the slots to others. Where Cinder is known to be at work, that is so
for as many as half of the slots: no more backups are made at one time than one
and a half times the limit, even where Cinder is slow for everybody.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
from typing import Generic
from typing import Protocol
from typing import TypeVar

from freezer_scheduler.freezer import messages


@dataclasses.dataclass(frozen=True)
class Limits:
    """How many slots there are."""

    total: int
    per_project: int


class Counted(Protocol):
    """What can have slots.

    :ivar sure: for how many of those Cinder is known to be at work
    :ivar slots: how many slots it has
    :ivar unanswered: whether it waits for an answer for long, or did so the
        last time
    :ivar queued: whether it waits for its first one
    """

    run: messages.Run
    sure: int
    slots: int
    unanswered: bool
    queued: bool

    @property
    def under_way(self) -> int:
        """How many of its volumes are."""


Item = TypeVar('Item', bound=Counted)


class Slots(Generic[Item]):
    """Counts the slots that are taken.

    :param limits: asked each time, since they may change
    :ivar taken: slots of all projects
    """

    def __init__(self, limits: Callable[[], Limits]) -> None:
        self._limits = limits
        self._waiting: collections.OrderedDict[
            str, collections.deque[Item]] = collections.OrderedDict()
        self._placed: collections.Counter[str] = collections.Counter()
        self.taken = 0
        # Of those, the slots that wait for an answer, where Cinder is known
        # to be at work and where it is not.
        self._sure = self._unsure = 0

    def room(self) -> int:
        """Return how many are free."""
        return self._room(self._limits())

    def free(self, project_id: str) -> bool:
        """Return whether a project may have one more."""
        return self._free(project_id, self._limits())

    def set_slots(self, claimed: Item, slots: int) -> None:
        """Have a run count as so many, whatever the limits."""
        self._count(claimed, -1)
        claimed.slots = slots
        claimed.unanswered &= slots > 0
        self._count(claimed, 1)
        if not self._placed[claimed.run.project_id]:
            del self._placed[claimed.run.project_id]

    def waits(self, claimed: Item, unanswered: bool, sure: int) -> None:
        """Note whether a run waits for an answer for long.

        :param sure: for how many of its volumes Cinder is known to be at work
        """
        if not claimed.slots:
            claimed.sure = sure
            return
        self._count(claimed, -1)
        claimed.unanswered, claimed.sure = unanswered, sure
        self._count(claimed, 1)

    def count_again(self, claimed: Item) -> bool:
        """Have a run count that goes on after it had no answer.

        :returns: whether there is room for it
        """
        if claimed.unanswered and not claimed.sure:
            if not self.room():
                return False
            self.waits(claimed, False, 0)
        return True

    def enqueue(self, claimed: Item, first: bool = False) -> None:
        """Have a run wait for its first slot.

        :param first: whether before the others of its project
        """
        claimed.queued = True
        queue = self._waiting.setdefault(
            claimed.run.project_id, collections.deque())
        if first:
            queue.appendleft(claimed)
        else:
            queue.append(claimed)

    def leave(self, claimed: Item) -> None:
        """Take a run out of the line."""
        project_id = claimed.run.project_id
        claimed.queued = False
        queue = self._waiting[project_id]
        queue.remove(claimed)
        if not queue:
            del self._waiting[project_id]

    def admit(self, may: Callable[[str], bool]) -> Iterator[Item]:
        """Give waiting runs their slots, a project at a time.

        :param may: whether a project may have one now, besides the limits
        """
        limits = self._limits()
        room = self._room(limits)
        admitted = True
        while admitted:
            admitted = False
            for project_id in list(self._waiting):
                if not room:
                    return
                if (self._placed[project_id] >= limits.per_project
                        or not may(project_id)):
                    continue
                queue = self._waiting.pop(project_id)
                claimed = queue.popleft()
                if queue:
                    # To the end of the line.
                    self._waiting[project_id] = queue
                claimed.queued = False
                # Of one that was reclaimed, more may be under way.
                self.set_slots(claimed, max(1, claimed.under_way))
                room = self._room(limits)
                admitted = True
                yield claimed

    def _free(self, project_id: str, limits: Limits) -> bool:
        return (self._room(limits) > 0
                and self._placed[project_id] < limits.per_project)

    def _room(self, limits: Limits) -> int:
        # What nobody knows to be under way may end without a trace.
        waiting = self._unsure + min(self._sure, limits.total // 2)
        return max(0, limits.total - self.taken + waiting)

    def _count(self, claimed: Item, sign: int) -> None:
        self._placed[claimed.run.project_id] += sign * claimed.slots
        self.taken += sign * claimed.slots
        if claimed.unanswered:
            sure = min(claimed.slots, claimed.sure)
            self._sure += sign * sure
            self._unsure += sign * (claimed.slots - sure)

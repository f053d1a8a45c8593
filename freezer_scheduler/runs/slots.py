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

"""The slots of claimed runs, and the queue for them.

A run needs a slot for each of its volumes that is under way. Runs that wait
for their first slot and runs that want one for another volume wait in one
queue, in which the projects take turns. Its owner holds a lock.

A run that has waited for an answer for long keeps its slots, but they count
for its project alone until it goes on. So services that hang leave the slots
to others. Where Cinder is known to be at work, that holds for half of the
slots at most: even where Cinder is slow for everybody, it makes no more
backups at one time than one and a half times the limit.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from collections.abc import Iterator
import dataclasses

from freezer_api.domain import fair_share
from freezer_scheduler.runs import claimed_run

ClaimedRun = claimed_run.ClaimedRun


@dataclasses.dataclass(frozen=True)
class Limits:
    """How many slots there are."""

    total: int
    per_project: int


class Slots:
    """Counts the slots that are taken, and gives free ones.

    :param limits: asked each time, since they may change
    :ivar taken: number of slots of all projects
    """

    def __init__(self, limits: Callable[[], Limits]) -> None:
        self._limits = limits
        self._waiting = fair_share.FairShare[str, ClaimedRun]()
        # By project, how many of those have not had a slot.
        self._new: collections.Counter[str] = collections.Counter()
        # Those that have had one.
        self._returning: set[ClaimedRun] = set()
        self._taken: collections.Counter[str] = collections.Counter()
        self.taken = 0
        # Slots of runs that wait for an answer, where Cinder is known to be
        # at work and where it is not.
        self._sure = self._unsure = 0

    def room(self) -> int:
        """Return the number of free slots."""
        limits = self._limits()
        # What is not known to be under way may end without a trace.
        waiting = self._unsure + min(self._sure, limits.total // 2)
        return max(0, limits.total - self.taken + waiting)

    def claims_ahead(self) -> bool:
        """Return whether a run is to be claimed for the next free slot.

        Without it, runs of many volumes would use their slots for one volume
        after the other, and what is due at the API would wait for the last of
        these volumes.
        """
        per_project = self._limits().per_project
        return bool(self._returning) and not self.room() and not any(
            self._taken[project_id] < per_project for project_id in self._new)

    def set_slots(self, claimed: ClaimedRun, slots: int) -> None:
        """Count a run as having so many slots, whatever the limits."""
        self._count(claimed, -1)
        claimed.slots = slots
        claimed.unanswered &= slots > 0
        claimed.reserved &= slots > 0
        self._count(claimed, 1)
        if not self._taken[claimed.run.project_id]:
            del self._taken[claimed.run.project_id]

    def waits(self, claimed: ClaimedRun, unanswered: bool, sure: int) -> None:
        """Note whether a run waits for an answer for long.

        :param sure: for how many of its volumes Cinder is known to be at work
        """
        if not claimed.slots:
            claimed.sure = sure
            return
        self._count(claimed, -1)
        claimed.unanswered, claimed.sure = unanswered, sure
        self._count(claimed, 1)

    def count_again(self, claimed: ClaimedRun) -> bool:
        """Count a run in full that goes on after it had no answer.

        :returns: whether there is room for it
        """
        if claimed.unanswered and not claimed.sure:
            if not self.room():
                return False
            self.waits(claimed, False, 0)
        return True

    def enqueue(self, claimed: ClaimedRun, first: bool = False) -> None:
        """Queue a run for its first slot, or for one more.

        :param first: whether it comes before the others of its project
        """
        self._waiting.add(claimed.run.project_id, claimed, first)
        if claimed.had_slot:
            self._returning.add(claimed)
        elif not claimed.queued:
            self._new[claimed.run.project_id] += 1
        claimed.queued = not claimed.slots

    def leave(self, claimed: ClaimedRun) -> None:
        """Note that a run wants no slot for now."""
        self._waiting.remove(claimed.run.project_id, claimed)
        self._returning.discard(claimed)
        self._not_new(claimed)
        claimed.queued = False

    def admit(self, may: Callable[[str], bool]) -> Iterator[ClaimedRun]:
        """Give free slots to queued runs; yield these runs.

        :param may: returns whether a run of a project may get its first slot
            now, besides the limits
        """
        def may_have(claimed: ClaimedRun) -> bool:
            project_id = claimed.run.project_id
            return (self._taken[project_id] < self._limits().per_project
                    and (not claimed.queued or may(project_id)))

        while self.room() and (
                claimed := self._waiting.next(may_have)) is not None:
            self._returning.discard(claimed)
            if claimed.queued:
                self._not_new(claimed)
                claimed.queued, claimed.had_slot = False, True
                # Of one that was reclaimed, more may be under way.
                self.set_slots(claimed, max(1, claimed.under_way))
            else:
                self.set_slots(claimed, claimed.slots + 1)
                claimed.reserved = True
            yield claimed

    def _not_new(self, claimed: ClaimedRun) -> None:
        if claimed.queued and not claimed.had_slot:
            project_id = claimed.run.project_id
            self._new[project_id] -= 1
            if not self._new[project_id]:
                del self._new[project_id]

    def _count(self, claimed: ClaimedRun, sign: int) -> None:
        self._taken[claimed.run.project_id] += sign * claimed.slots
        self.taken += sign * claimed.slots
        if claimed.unanswered:
            sure = min(claimed.slots, claimed.sure)
            self._sure += sign * sure
            self._unsure += sign * (claimed.slots - sure)

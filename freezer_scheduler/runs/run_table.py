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

"""The runs this process holds: which may go on, when, and never two at once.

A run waits in a heap until it is due, so that thousands of unfinished backups
hold no thread. To be worked on it needs one of a limited number of places,
which it keeps through the short waits between its moves. Where it only waits,
for another try, for a busy volume, or for long, it gives the place up and
lines up again when it is due. So what one project waits for costs the others
nothing. Each project has a line of its own, and the projects take turns: for
places, and, where more runs have one than workers can begin with, for those.

A run of several volumes has a place for each that is under way. The first is
the run's own; another is given only while one is free, which is when nobody
in line may have it.

No project holds more than a part of the workers, see
:mod:`freezer_scheduler.runs.lanes`. A run that is due while its project holds
as many as it may is kept back until one of them ends; one that has not begun
lines up again. A run that waits for an answer for long takes no place from
others.

One lock guards all of this. No request is sent, and nothing is waited for,
while it is held.
"""

from __future__ import annotations

from collections.abc import Callable
import enum
import threading

from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler.freezer import messages
from freezer_scheduler.runs import claimed_run
from freezer_scheduler.runs import delay_queue
from freezer_scheduler.runs import fair_share
from freezer_scheduler.runs import lanes as scheduler_lanes
from freezer_scheduler.runs import slots

# A run that is not due for longer than that, in seconds, has no place.
_LONGEST_HOLD = 30

_ANY = 1 << 30


class Phase(enum.StrEnum):
    """What a held run is at."""

    QUEUED = 'queued'
    """It lines up for a place."""
    WORKING = 'working'
    """It has one: it is worked on, here or by Cinder."""
    WAITING = 'waiting'
    """It waits for another try, or for what keeps it from going on."""


Limits = slots.Limits


ClaimedRun = claimed_run.ClaimedRun


class RunTable:
    """The table of held runs; safe to use from every thread.

    :param sizes: of the lanes of its workers; None where it has one project
        and as many workers as take runs
    :param more: starts another worker; called where none is left that could
        take the next run
    """

    def __init__(self, clock: scheduler_clock.Clock,
                 limits: Callable[[], Limits],
                 sizes: scheduler_lanes.Sizes | None = None,
                 more: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self._changed = threading.Condition(lock := threading.RLock())
        self._freed = threading.Condition(lock)  # Not to wake a worker.
        self._table: dict[str, ClaimedRun] = {}
        # Without a run: one that was let in may begin.
        self._delayed = delay_queue.DelayQueue[ClaimedRun]()
        self._slots = slots.Slots[ClaimedRun](limits)
        self._admitted = fair_share.FairShare[ClaimedRun]()
        self._lanes = scheduler_lanes.Lanes[ClaimedRun](
            sizes or scheduler_lanes.Sizes(_ANY, _ANY, _ANY, _ANY))
        # Due, but their projects have as many workers as they may have.
        self._kept_back = scheduler_lanes.KeptBack[ClaimedRun]()
        self._more = more
        # Workers that wait for a run.
        self._unoccupied = 0
        self._stopping = False

    # -- for claims and leases --

    def room(self) -> int:
        """Return how many more runs may be claimed."""
        with self._changed:
            self._look_at_slow_ones()
            return 0 if self._stopping else self._slots.room()

    def wait_for_room(self, wanted: int, seconds: float) -> None:
        """Wait until so many more runs may be claimed, or for so long."""
        with self._freed:
            self._freed.wait_for(
                lambda: self._stopping or self.room() >= wanted, seconds)

    def claimed(self) -> list[tuple[str, int]]:
        """Return (run id, fence) of every held run, by the ends of leases."""
        with self._changed:
            return [
                (claimed.run.run_id, claimed.run.fence)
                for claimed in sorted(self._table.values(),
                                      key=lambda claimed: claimed.lease_until)
            ]

    def add(self, run: messages.Run, lease_until: float) -> None:
        """Hold a run that was claimed."""
        claimed = ClaimedRun(run, lease_until, run.event,
                             since=self._clock.wall())
        with self._changed:
            before = self._table.get(run.run_id)
            self._table[run.run_id] = claimed
            if before is not None:
                # Our own lease had ended, and we were handed the run again.
                before.lost = True
                if before.busy:
                    before.successor = claimed
                    return
                self._drop(before)
            self._enqueue(claimed)

    def renewed(self, run_id: str, lease_until: float,
                event: messages.Event | None) -> None:
        """Note that a run stays ours, and what its user wants."""
        with self._changed:
            claimed = self._table.get(run_id)
            if claimed is not None:
                claimed.lease_until = lease_until
                self._note_event(claimed, event)

    def reported(self, claimed: ClaimedRun, lease_until: float,
                 event: messages.Event | None) -> None:
        """Note that a report of a run was stored, and what its user wants.

        :param lease_until: the lease lasts as long at least, by the monotonic
            clock
        """
        with self._changed:
            claimed.lease_until = max(claimed.lease_until, lease_until)
            self._note_event(claimed, event)

    def _note_event(self, claimed: ClaimedRun,
                    event: messages.Event | None) -> None:
        if event is not None and event is not claimed.event:
            claimed.event = event
            self.wake(claimed)

    def lost(self, run_id: str) -> ClaimedRun | None:
        """Let go of a run that is not ours any more, and return it."""
        with self._changed:
            claimed = self._table.pop(run_id, None)
            if claimed is None:
                return None
            claimed.lost = True
            if claimed.busy or claimed.progress.engine_state is not None:
                # The worker sees what this process left behind.
                self.wake(claimed)
            else:
                self._drop(claimed)
            return claimed

    def stop(self) -> None:
        """Hand each run to the workers once more, and then no more."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            self._freed.notify_all()

    def limits_changed(self) -> None:
        """Let in what waited, where the limits have grown."""
        with self._changed:
            self._admit()

    # -- for who looks on --

    def phases(self) -> list[tuple[ClaimedRun, Phase]]:
        """Return every held run with what it is at."""
        with self._changed:
            return [(claimed, Phase.QUEUED if claimed.queued else
                     Phase.WORKING if claimed.slots else Phase.WAITING)
                    for claimed in self._table.values()]

    def in_flight(self) -> int:
        """Return how many places are taken."""
        with self._changed:
            return self._slots.taken

    # -- for the workers --

    @property
    def stopping(self) -> bool:
        return self._stopping

    def lease_left(self, claimed: ClaimedRun) -> float:
        """Return the seconds for which a run is certainly ours."""
        if claimed.lost:
            return float('-inf')
        return claimed.lease_until - self._clock.monotonic()

    def take(self, wait: bool = True) -> ClaimedRun | None:
        """Return a run that is due, for this thread alone.

        Waits for one; returns None when stopping and nothing is left, where
        enough others wait, and at once when it is not to wait.
        """
        with self._changed:
            while True:
                claimed = self._idle() if self._stopping else self._next_due()
                if claimed is not None:
                    self._begin(claimed)
                    return claimed
                if not wait or (self._stopping and not any(
                        one.busy for one in self._table.values())):
                    return None
                if (self._unoccupied > self._lanes.sizes.fast
                        and not self._stopping):
                    return None
                self._unoccupied += 1
                self._changed.wait(self._until_due())
                self._unoccupied -= 1

    def reserve_slot(self, claimed: ClaimedRun) -> bool:
        """Give a run that was taken a place for one more volume.

        What it has no volume for, it loses when it is given back.

        :returns: whether one was free
        """
        with self._changed:
            if not claimed.slots or not self._slots.free(
                    claimed.run.project_id):
                return False
            self._set_slots(claimed, claimed.slots + 1)
            return True

    def done(self, claimed: ClaimedRun, after: float | None) -> None:
        """Give a run back.

        :param after: seconds until it is due again; None when it is over
        """
        with self._changed:
            claimed.busy = False
            self._slots.waits(claimed, self._lanes.end(
                claimed, self._clock.monotonic()), claimed.progress.at_work())
            self._go_on()
            over = claimed.lost and claimed.progress.engine_state is None
            if after is None or over or claimed.successor is not None:
                self._finish(claimed)
            elif self._stopping:
                pass
            elif not claimed.again and (
                    claimed.progress.idle or after > _LONGEST_HOLD):
                self._set_slots(claimed, 0)
                self._push(claimed, after)
                self._admit()
            else:
                if claimed.slots:
                    self._set_slots(claimed, max(1, claimed.under_way))
                self._push(claimed, 0 if claimed.again else after)
                self._admit()
            if self._stopping:
                self._changed.notify_all()

    # -- inside the lock --

    def _begin(self, claimed: ClaimedRun) -> None:
        claimed.busy = True
        claimed.again = False
        self._lanes.begin(claimed, claimed.run.project_id,
                          self._clock.monotonic())
        if not (self._unoccupied or self._stopping
                or self._lanes.running >= self._lanes.sizes.threads):
            self._more()

    def _look_at_slow_ones(self) -> None:
        """Have runs that wait for an answer for long make room."""
        slow = self._lanes.become_slow(self._clock.monotonic())
        for claimed in slow:
            self._slots.waits(claimed, True, claimed.sure)
        if slow:
            self._freed.notify_all()
            self._admit()

    def _finish(self, claimed: ClaimedRun) -> None:
        if self._table.get(claimed.run.run_id) is claimed:
            del self._table[claimed.run.run_id]
        self._drop(claimed)
        if claimed.successor is not None and not claimed.successor.lost:
            self._enqueue(claimed.successor)

    def _drop(self, claimed: ClaimedRun) -> None:
        """Forget a run that is not in the table any more."""
        project_id = claimed.run.project_id
        claimed.due = 0
        self._set_slots(claimed, 0)
        if claimed.queued:
            self._slots.leave(claimed)
        if claimed.admitted:
            claimed.admitted = False
            self._admitted.remove(project_id, claimed)
            self._lanes.withdraw(project_id)
        self._kept_back.remove(project_id, claimed)
        self._go_on()
        self._admit()

    def _set_slots(self, claimed: ClaimedRun, slots: int) -> None:
        self._slots.set_slots(claimed, slots)
        self._freed.notify_all()

    def _enqueue(self, claimed: ClaimedRun) -> None:
        """Line up for a place."""
        claimed.due = 0
        self._slots.enqueue(claimed)
        self._admit()

    def _line_up_again(self, claimed: ClaimedRun) -> None:
        """Line up before the other runs of the project."""
        claimed.due = 0
        self._set_slots(claimed, 0)
        self._slots.enqueue(claimed, first=True)
        self._admit()

    def _admit(self) -> None:
        """Let waiting runs in, a project at a time, within the limits."""
        for claimed in self._slots.admit(self._lanes.may_admit):
            claimed.admitted = True
            self._admitted.add(claimed.run.project_id, claimed)
            self._lanes.admit(claimed.run.project_id)
            self._delayed.put(self._clock.monotonic(), None)
            self._changed.notify()

    def _go_on(self) -> None:
        """Have runs that were kept back go on, where they may begin now."""
        for claimed in self._kept_back.first(self._lanes.may_begin):
            self._push(claimed, 0)

    def _push(self, claimed: ClaimedRun, after: float) -> None:
        self._kept_back.remove(claimed.run.project_id, claimed)
        self._delayed.go_on(self._clock.monotonic(), after, claimed)
        self._changed.notify()

    def wake(self, claimed: ClaimedRun) -> None:
        """Have a run go on now: what it waited for is there."""
        with self._changed:
            if claimed.busy:
                claimed.again = True
            elif claimed.slots and not claimed.admitted:
                self._push(claimed, 0)
            elif not claimed.slots and not claimed.queued:
                self._enqueue(claimed)

    def _next_due(self) -> ClaimedRun | None:
        now = self._clock.monotonic()
        self._look_at_slow_ones()
        while not self._lanes.full() and self._delayed.is_due(now):
            claimed = self._delayed.take()
            new = claimed is None
            if claimed is None:
                claimed = self._admitted.next()
                if claimed is None:
                    continue
                claimed.admitted = False
                self._lanes.withdraw(claimed.run.project_id)
            elif not claimed.slots:
                self._enqueue(claimed)
                continue
            may = self._lanes.may_begin(claimed.run.project_id)
            if not new and not may:
                self._kept_back.add(claimed.run.project_id, claimed)
            elif may and self._slots.count_again(claimed):
                return claimed
            else:
                # Perhaps its project hangs, as was not known when it got a
                # place.
                self._line_up_again(claimed)
        return None

    def _until_due(self) -> float | None:
        at, now = self._delayed.at, self._clock.monotonic()
        if self._stopping:
            return None
        waits = [self._lanes.until_slow(now),
                 None if at is None or self._lanes.full() else
                 max(0.0, at - now)]
        return min((one for one in waits if one is not None), default=None)

    def _idle(self) -> ClaimedRun | None:
        return next((claimed for claimed in self._table.values()
                     if not claimed.busy), None)

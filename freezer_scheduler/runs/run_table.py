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

"""The claimed runs: which may go on, when, and never two moves at once.

A run waits in a heap until it is due, so that thousands of unfinished backups
hold no thread. A worker may take it while it has one of a limited number of
slots, which it keeps through the short waits between its moves. A run that
only waits, for another try, for a busy volume, or for long, gives its slot up
and queues again when it is due. So what one project waits for costs the others
nothing.

Projects take turns for slots, and for workers where more runs have a slot than
workers can begin with. The order is that of
:class:`freezer_api.domain.fair_share.FairShare`. A run of several volumes
takes a turn for each slot after its first.

No project holds more than a part of the workers, see
:mod:`freezer_scheduler.runs.bulkhead`. A run that is due while its project
holds as many as it may is kept back until one of them ends; one that has not
begun queues again. A run that waits for an answer for long takes no slot from
others.

One lock guards all of this. It is not held during a request or a wait.
"""

from __future__ import annotations

from collections.abc import Callable
import enum
import threading

from freezer_api.domain import fair_share
from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler.freezer import messages
from freezer_scheduler.runs import bulkhead
from freezer_scheduler.runs import claimed_run
from freezer_scheduler.runs import delay_queue
from freezer_scheduler.runs import slots

# A run that is not due for longer than this, in seconds, has no slot.
_LONGEST_HOLD = 30

# A run that continues at once comes before runs that could begin so many
# seconds ago or later: the request for a backup must not wait until all others
# have been prepared. It delays nothing for longer than that.
_AHEAD = 30

_ANY = 1 << 30


class Phase(enum.StrEnum):
    """What a claimed run does."""

    QUEUED = 'queued'
    """It waits for its first slot."""
    WORKING = 'working'
    """It has a slot: this process or Cinder works on it."""
    WAITING = 'waiting'
    """It waits for another try, or for something that it needs."""


Limits = slots.Limits


ClaimedRun = claimed_run.ClaimedRun


class RunTable:
    """The table of claimed runs; safe to use from every thread.

    :param sizes: partitions of the workers; None for one project that has
        all workers
    :param more: starts another worker; called if none is left that could
        take the next run
    """

    def __init__(self, clock: scheduler_clock.Clock,
                 limits: Callable[[], Limits],
                 sizes: bulkhead.Sizes | None = None,
                 more: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self._changed = threading.Condition(lock := threading.RLock())
        self._freed = threading.Condition(lock)  # Not to wake a worker.
        self._table: dict[str, ClaimedRun] = {}
        # An entry without a run: an admitted one may begin.
        self._delayed = delay_queue.DelayQueue()
        self._slots = slots.Slots(limits)
        # Those with their first slot that have not begun.
        self._admitted = fair_share.FairShare[str, ClaimedRun]()
        self._bulkhead = bulkhead.Bulkhead[ClaimedRun](
            sizes or bulkhead.Sizes(_ANY, _ANY, _ANY, _ANY))
        # Due, but their projects have as many workers as they may have.
        self._kept_back = fair_share.FairShare[str, ClaimedRun]()
        self._more = more
        # Workers that wait for a run.
        self._unoccupied = 0
        self._stopping = False

    # -- for claims and leases --

    def room(self) -> int:
        """Return how many more runs may be claimed."""
        with self._changed:
            self._look_at_slow_ones()
            return 0 if self._stopping else (
                self._slots.room() or int(self._slots.claims_ahead()))

    def wait_for_room(self, wanted: int, seconds: float) -> None:
        """Wait until so many more runs may be claimed, or for so long.

        It ends earlier if a run is to be claimed for the next free slot.
        """
        with self._freed:
            self._freed.wait_for(lambda: (
                self._stopping or self.room() >= wanted
                or self._slots.claims_ahead()), seconds)

    def claimed(self) -> list[tuple[str, int]]:
        """Return (run id, fence) of each run, by the ends of their leases."""
        with self._changed:
            return [
                (claimed.run.run_id, claimed.run.fence)
                for claimed in sorted(self._table.values(),
                                      key=lambda claimed: claimed.lease_until)
            ]

    def add(self, run: messages.Run, lease_until: float) -> None:
        """Add a run that was claimed."""
        claimed = ClaimedRun(run, lease_until, run.event,
                             since=self._clock.wall())
        with self._changed:
            before = self._table.get(run.run_id)
            self._table[run.run_id] = claimed
            if before is not None:
                # Its lease had ended, and this process claimed it again.
                before.lost = True
                if before.busy:
                    before.successor = claimed
                    return
                self._drop(before)
            self._enqueue(claimed)

    def renewed(self, run_id: str, lease_until: float,
                event: messages.Event | None) -> None:
        """Note that a lease was renewed, and what the user wants."""
        with self._changed:
            claimed = self._table.get(run_id)
            if claimed is not None:
                claimed.lease_until = lease_until
                self._note_event(claimed, event)

    def reported(self, claimed: ClaimedRun, lease_until: float,
                 event: messages.Event | None) -> None:
        """Note that a report of a run was stored, and what the user wants.

        :param lease_until: end of the lease at the earliest, by the monotonic
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
        """Remove and return a run that another scheduler has now."""
        with self._changed:
            claimed = self._table.pop(run_id, None)
            if claimed is None:
                return None
            claimed.lost = True
            if claimed.busy or claimed.progress.engine_state is not None:
                # A worker cleans up what this process has begun.
                self.wake(claimed)
            else:
                self._drop(claimed)
            return claimed

    def stop(self) -> None:
        """Give each run to the workers once more, and then no more."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            self._freed.notify_all()

    def limits_changed(self) -> None:
        """Admit queued runs, if the limits have grown."""
        with self._changed:
            self._admit()

    # -- for the status --

    def phases(self) -> list[tuple[ClaimedRun, Phase]]:
        """Return each run with its phase."""
        with self._changed:
            return [(claimed, Phase.QUEUED if claimed.queued else
                     Phase.WORKING if claimed.slots else Phase.WAITING)
                    for claimed in self._table.values()]

    def in_flight(self) -> int:
        """Return the number of slots that are taken."""
        with self._changed:
            return self._slots.taken

    # -- for the workers --

    @property
    def stopping(self) -> bool:
        return self._stopping

    def lease_left(self, claimed: ClaimedRun) -> float:
        """Return the seconds for which the lease of a run certainly lasts."""
        if claimed.lost:
            return float('-inf')
        return claimed.lease_until - self._clock.monotonic()

    def take(self, wait: bool = True) -> ClaimedRun | None:
        """Return a run that is due, for this thread alone.

        :param wait: whether to wait until a run is due
        :returns: None if the thread is to end: the process stops and no run
            is left, or enough other threads wait. Without ``wait``, None if
            no run is due
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
                if (self._unoccupied > self._bulkhead.sizes.fast
                        and not self._stopping):
                    return None
                self._unoccupied += 1
                self._changed.wait(self._until_due())
                self._unoccupied -= 1

    def reserve_slot(self, claimed: ClaimedRun) -> bool:
        """Reserve a slot for another volume of a run.

        Without one the run stays in the queue, and is due as soon as its
        turn has come. It loses a slot that it does not use.

        :param claimed: a run that this thread took
        :returns: whether it has one now
        """
        with self._changed:
            again = claimed.again
            if claimed.slots and not claimed.reserved:
                self._slots.enqueue(claimed)
                self._admit()
            reserved, claimed.reserved = claimed.reserved, False
            # This thread knows, so its run need not be woken for that.
            claimed.again = again
            return reserved

    def done(self, claimed: ClaimedRun, after: float | None) -> None:
        """Take a run back from the thread that took it.

        :param after: seconds until it is due again; None when it is over
        """
        with self._changed:
            claimed.busy = False
            self._slots.waits(claimed, self._bulkhead.end(
                claimed, self._clock.monotonic()), claimed.progress.at_work())
            self._go_on()
            over = claimed.lost and claimed.progress.engine_state is None
            if after is None or over or claimed.successor is not None:
                self._finish(claimed)
            elif not self._stopping:
                after = 0 if claimed.again else after
                if after > _LONGEST_HOLD or (
                        claimed.progress.idle and not claimed.again):
                    self._slots.leave(claimed)
                    self._set_slots(claimed, 0)
                elif claimed.slots:
                    claimed.reserved &= not after
                    self._set_slots(claimed, claimed.reserved
                                    + max(1, claimed.under_way))
                self._push(claimed, after)
                self._admit()
            if self._stopping:
                self._changed.notify_all()

    # -- inside the lock --

    def _begin(self, claimed: ClaimedRun) -> None:
        claimed.busy = True
        claimed.again = False
        self._bulkhead.begin(claimed, claimed.run.project_id,
                             self._clock.monotonic())
        if not (self._unoccupied or self._stopping
                or self._bulkhead.running >= self._bulkhead.sizes.threads):
            self._more()

    def _look_at_slow_ones(self) -> None:
        """Free the slots of runs that wait for an answer for long."""
        slow = self._bulkhead.become_slow(self._clock.monotonic())
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
        self._slots.leave(claimed)
        self._set_slots(claimed, 0)
        if claimed.admitted:
            claimed.admitted = False
            self._admitted.remove(project_id, claimed)
            self._bulkhead.withdraw(project_id)
        self._kept_back.remove(project_id, claimed)
        self._go_on()
        self._admit()

    def _set_slots(self, claimed: ClaimedRun, slots: int) -> None:
        self._slots.set_slots(claimed, slots)
        self._freed.notify_all()

    def _enqueue(self, claimed: ClaimedRun, first: bool = False) -> None:
        """Queue for the first slot.

        :param first: whether before the other runs of the project
        """
        claimed.due = 0
        self._set_slots(claimed, 0)
        self._slots.enqueue(claimed, first)
        self._admit()

    def _admit(self) -> None:
        """Give free slots to queued runs."""
        for claimed in self._slots.admit(self._bulkhead.may_admit):
            self._freed.notify_all()
            if claimed.reserved:
                self.wake(claimed)
                continue
            claimed.admitted = True
            self._admitted.add(claimed.run.project_id, claimed)
            self._bulkhead.admit(claimed.run.project_id)
            self._delayed.put(self._clock.monotonic(), None)
            self._changed.notify()

    def _go_on(self) -> None:
        """Have a run of each project go on that was kept back and may now."""
        had: set[str] = set()
        while (claimed := self._kept_back.next(lambda kept: (
                kept.run.project_id not in had
                and self._bulkhead.may_begin(kept.run.project_id)))):
            had.add(claimed.run.project_id)
            self._push(claimed, 0)

    def _push(self, claimed: ClaimedRun, after: float) -> None:
        self._kept_back.remove(claimed.run.project_id, claimed)
        self._delayed.put(
            self._clock.monotonic() + (after if after > 0 else -_AHEAD),
            claimed)
        self._changed.notify()

    def wake(self, claimed: ClaimedRun) -> None:
        """Have a run go on now: it need not wait any longer."""
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
        while not self._bulkhead.full() and self._delayed.is_due(now):
            claimed = self._delayed.take()
            new = claimed is None
            if claimed is None:
                claimed = self._admitted.next()
                if claimed is None:
                    continue
                claimed.admitted = False
                self._bulkhead.withdraw(claimed.run.project_id)
            elif not claimed.slots:
                self._enqueue(claimed)
                continue
            may = self._bulkhead.may_begin(claimed.run.project_id)
            if not new and not may:
                self._kept_back.add(claimed.run.project_id, claimed)
            elif may and self._slots.count_again(claimed):
                return claimed
            else:
                # Perhaps its project hangs, which was not known when it got
                # its slot.
                self._enqueue(claimed, first=True)
        return None

    def _until_due(self) -> float | None:
        at, now = self._delayed.at, self._clock.monotonic()
        if self._stopping:
            return None
        waits = [self._bulkhead.until_slow(now),
                 None if at is None or self._bulkhead.full() else
                 max(0.0, at - now)]
        return min((one for one in waits if one is not None), default=None)

    def _idle(self) -> ClaimedRun | None:
        return next((claimed for claimed in self._table.values()
                     if not claimed.busy), None)

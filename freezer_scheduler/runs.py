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
"""

from __future__ import annotations

import collections
from collections.abc import Callable
import dataclasses
import enum
import threading

from freezer_scheduler import agenda
from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler import documents
from freezer_scheduler import job
from freezer_scheduler import turns

# A run that is not due for longer than that, in seconds, has no place.
_LONGEST_HOLD = 30


class Phase(enum.StrEnum):
    """What a held run is at."""

    QUEUED = 'queued'
    """It lines up for a place."""
    WORKING = 'working'
    """It has one: it is worked on, here or by Cinder."""
    WAITING = 'waiting'
    """It waits for another try, or for what keeps it from going on."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """How many places there are."""

    total: int
    per_project: int


@dataclasses.dataclass(eq=False)
class HeldRun:
    """A run whose lease is ours.

    The first five belong to the table and may change at any time; the others
    belong to the worker that took the run.

    :ivar lease_until: by the monotonic clock
    :ivar since: when it came to be ours, by the wall clock
    :ivar unstored: a report the API has not taken yet
    :ivar unstored_since: when it was offered first, by the monotonic clock
    :ivar after: seconds to wait once the report is stored
    :ivar idle: whether nothing of it is under way while it waits
    :ivar forsaken: whether it is another scheduler's, and all that is left
        to do is to clear up
    :ivar under_way: how many of its volumes are
    :ivar places: how many the table counts for it
    """

    run: documents.Run
    lease_until: float
    event: documents.Event | None
    lost: bool = False
    since: float = 0

    actions: tuple[job.JobAction, ...] = ()
    steps: list[documents.Step] = dataclasses.field(default_factory=list)
    memory: object = None
    unstored: documents.Report | None = None
    unstored_since: float = 0
    after: float = 0
    idle: bool = False
    under_way: int = 0
    bad_end: bool = False
    forsaken: bool = False
    failures: int = 0

    # Kept by the table.
    busy: bool = False
    places: int = 0
    lined_up: bool = False
    let_in: bool = False
    again: bool = False
    due: int = 0
    successor: HeldRun | None = None

    def kept(self, report: documents.Report, now: float) -> documents.Report:
        """Return a report that says for how long it could not be sent."""
        if not self.failures:
            self.unstored_since = now
        # Not a time of day: this machine's may be wrong.
        return dataclasses.replace(report, age=int(now - self.unstored_since))


class Runs:
    """The table of held runs; safe to use from every thread."""

    def __init__(self, clock: scheduler_clock.Clock,
                 limits: Callable[[], Limits]) -> None:
        self._clock = clock
        self._limits = limits
        self._changed = threading.Condition(lock := threading.RLock())
        self._freed = threading.Condition(lock)  # Not to wake a worker.
        self._table: dict[str, HeldRun] = {}
        # Without a run: one of those that were let in may begin.
        self._agenda = agenda.Agenda[HeldRun]()
        self._waiting: collections.OrderedDict[
            str, collections.deque[HeldRun]] = collections.OrderedDict()
        self._let_in = turns.Turns[HeldRun]()
        self._placed: collections.Counter[str] = collections.Counter()
        self._taken = 0
        self._stopping = False

    # -- for the claimer --

    def room(self) -> int:
        """Return how many more runs may be claimed."""
        with self._changed:
            return 0 if self._stopping else max(
                0, self._limits().total - self._taken)

    def await_room(self, wanted: int, seconds: float) -> None:
        """Wait until so many more runs may be claimed, or for so long."""
        with self._freed:
            self._freed.wait_for(
                lambda: self._stopping or self.room() >= wanted, seconds)

    def held(self) -> list[tuple[str, int]]:
        """Return (run id, fence) of every held run."""
        with self._changed:
            return [(run_id, held.run.fence)
                    for run_id, held in self._table.items()]

    def add(self, run: documents.Run, lease_until: float) -> None:
        """Hold a run that was claimed."""
        held = HeldRun(
            run, lease_until, run.event, since=self._clock.wall(),
            under_way=sum(leaf.under_way for step in run.steps
                          for leaf in step.leaves))
        with self._changed:
            before = self._table.get(run.run_id)
            self._table[run.run_id] = held
            if before is not None:
                # Our own lease had ended, and we were handed the run again.
                before.lost = True
                if before.busy:
                    before.successor = held
                    return
                self._drop(before)
            self._enqueue(held)

    def renewed(self, run_id: str, lease_until: float,
                event: documents.Event | None) -> None:
        """Note that a run stays ours, and what its user wants."""
        with self._changed:
            held = self._table.get(run_id)
            if held is None:
                return
            held.lease_until = lease_until
            if event is not None and event is not held.event:
                held.event = event
                self._hurry(held)

    def lost(self, run_id: str) -> HeldRun | None:
        """Let go of a run that is not ours any more, and return it."""
        with self._changed:
            held = self._table.pop(run_id, None)
            if held is None:
                return None
            held.lost = True
            if held.memory is not None:
                # The worker sees what this process left behind.
                self._hurry(held)
            elif not held.busy:
                self._drop(held)
            return held

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

    def phases(self) -> list[tuple[HeldRun, Phase]]:
        """Return every held run with what it is at."""
        with self._changed:
            return [(held, Phase.QUEUED if held.lined_up else
                     Phase.WORKING if held.places else Phase.WAITING)
                    for held in self._table.values()]

    def in_flight(self) -> int:
        """Return how many places are taken."""
        with self._changed:
            return self._taken

    # -- for the workers --

    @property
    def stopping(self) -> bool:
        return self._stopping

    def lease_left(self, held: HeldRun) -> float:
        """Return the seconds for which a run is certainly ours."""
        if held.lost:
            return float('-inf')
        return held.lease_until - self._clock.monotonic()

    def take(self, wait: bool = True) -> HeldRun | None:
        """Return a run that is due, for this thread alone.

        Waits for one; returns None when stopping and nothing is left, or at
        once when it is not to wait.
        """
        with self._changed:
            while True:
                held = self._idle() if self._stopping else self._next_due()
                if held is not None:
                    held.busy = True
                    held.again = False
                    return held
                if not wait or (self._stopping and not any(
                        one.busy for one in self._table.values())):
                    return None
                self._changed.wait(self._until_due())

    def one_more(self, held: HeldRun) -> bool:
        """Give a run that was taken a place for one more volume.

        What it has no volume for, it loses when it is given back.

        :returns: whether one was free
        """
        with self._changed:
            if not held.places or not self._free(held.run.project_id,
                                                 self._limits()):
                return False
            self._give_places(held, held.places + 1)
            return True

    def done(self, held: HeldRun, after: float | None) -> None:
        """Give a run back.

        :param after: seconds until it is due again; None when it is over
        """
        with self._changed:
            held.busy = False
            over = held.lost and held.memory is None
            if after is None or over or held.successor is not None:
                self._finish(held)
            elif self._stopping:
                pass
            elif not held.again and (held.idle or after > _LONGEST_HOLD):
                self._give_places(held, 0)
                self._push(held, after)
                self._admit()
            else:
                if held.places:
                    self._give_places(held, max(1, held.under_way))
                self._push(held, 0 if held.again else after)
                self._admit()
            if self._stopping:
                self._changed.notify_all()

    # -- inside the lock --

    def _finish(self, held: HeldRun) -> None:
        if self._table.get(held.run.run_id) is held:
            del self._table[held.run.run_id]
        self._drop(held)
        if held.successor is not None and not held.successor.lost:
            self._enqueue(held.successor)

    def _drop(self, held: HeldRun) -> None:
        """Forget a run that is not in the table any more."""
        project_id = held.run.project_id
        held.due = 0
        self._give_places(held, 0)
        if held.lined_up:
            held.lined_up = False
            queue = self._waiting[project_id]
            queue.remove(held)
            if not queue:
                del self._waiting[project_id]
        if held.let_in:
            held.let_in = False
            self._let_in.remove(project_id, held)
        self._admit()

    def _give_places(self, held: HeldRun, places: int) -> None:
        """Have a run count as so many, whatever the limits."""
        project_id = held.run.project_id
        self._placed[project_id] += places - held.places
        self._taken += places - held.places
        self._freed.notify_all()
        held.places = places
        if not self._placed[project_id]:
            del self._placed[project_id]

    def _free(self, project_id: str, limits: Limits) -> bool:
        return (self._taken < limits.total
                and self._placed[project_id] < limits.per_project)

    def _enqueue(self, held: HeldRun) -> None:
        """Line up for a place."""
        held.due = 0
        held.lined_up = True
        self._waiting.setdefault(
            held.run.project_id, collections.deque()).append(held)
        self._admit()

    def _admit(self) -> None:
        """Let waiting runs in, a project at a time, within the limits."""
        limits = self._limits()
        let_in = True
        while let_in:
            let_in = False
            for project_id in list(self._waiting):
                if self._taken >= limits.total:
                    return
                if not self._free(project_id, limits):
                    continue
                queue = self._waiting.pop(project_id)
                held = queue.popleft()
                if queue:
                    # To the end of the line.
                    self._waiting[project_id] = queue
                held.lined_up = False
                # Of one that was taken over, more may be under way.
                self._give_places(held, max(1, held.under_way))
                held.let_in = True
                self._let_in.add(project_id, held)
                self._agenda.put(self._clock.monotonic(), None)
                self._changed.notify()
                let_in = True

    def _push(self, held: HeldRun, after: float) -> None:
        self._agenda.go_on(self._clock.monotonic(), after, held)
        self._changed.notify()

    def _hurry(self, held: HeldRun) -> None:
        if held.busy:
            held.again = True
        elif held.places and not held.let_in:
            self._push(held, 0)
        elif not held.places and not held.lined_up:
            self._enqueue(held)

    def _next_due(self) -> HeldRun | None:
        while self._agenda.is_due(self._clock.monotonic()):
            held = self._agenda.take()
            if held is None:
                held = self._let_in.next()
                if held is not None:
                    held.let_in = False
                    return held
            elif held.places:
                return held
            else:
                self._enqueue(held)
        return None

    def _until_due(self) -> float | None:
        at = None if self._stopping else self._agenda.at
        return None if at is None else max(0.0, at - self._clock.monotonic())

    def _idle(self) -> HeldRun | None:
        return next((held for held in self._table.values()
                     if not held.busy), None)

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

"""A run whose lease is ours, as the table keeps it."""

from __future__ import annotations

import dataclasses

from freezer_scheduler.freezer import messages
from freezer_scheduler.runs import progress


@dataclasses.dataclass(eq=False)
class ClaimedRun:
    """A run whose lease is ours.

    The table alone changes it. Its worker reads ``lost`` and ``event``, which
    may change at any time, and changes ``progress`` alone.

    :ivar lease_until: by the monotonic clock
    :ivar since: when it came to be ours, by the wall clock
    :ivar progress: belongs to the worker while the run is busy
    :ivar busy: whether a worker has it
    :ivar slots: number of its slots
    :ivar reserved: whether one of them is for another volume, and not used
        yet
    :ivar sure: number of its volumes for which Cinder is known to be at work
    :ivar unanswered: whether it waits for an answer for long, or did so the
        last time
    :ivar queued: whether it waits for its first slot
    :ivar had_slot: whether it has had one
    :ivar admitted: whether it has its first slot, and has not begun
    :ivar again: whether it is due as soon as its worker gives it back
    :ivar due: number of its entry in the delay queue; 0 for none
    :ivar successor: the same run, claimed again while it was busy
    """

    run: messages.Run
    lease_until: float
    event: messages.Event | None
    lost: bool = False
    since: float = 0
    progress: progress.RunProgress = dataclasses.field(init=False)

    busy: bool = False
    slots: int = 0
    reserved: bool = False
    sure: int = 0
    unanswered: bool = False
    queued: bool = False
    had_slot: bool = False
    admitted: bool = False
    again: bool = False
    due: int = 0
    successor: ClaimedRun | None = None

    def __post_init__(self) -> None:
        self.progress = progress.RunProgress(self.run)
        self.sure = self.progress.at_work()

    @property
    def under_way(self) -> int:
        """How many of its volumes are."""
        return self.progress.under_way

    @property
    def aborting(self) -> bool:
        """Whether its user wants it to end now."""
        return self.event is messages.Event.ABORT

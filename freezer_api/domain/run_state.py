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

"""The states of runs, which are one firing of a job each, and of their steps.

These are the only lists of them: the schemas, the scheduler and the API
reference have theirs from here.
"""

from __future__ import annotations

from collections.abc import Mapping
import enum

from freezer_api.domain import job_state


class State(enum.StrEnum):
    """Where a run stands."""

    RUNNING = 'running'
    """A scheduler has claimed it, or will reclaim it from another one."""
    WAITING = 'waiting'
    """The trust of its job does not work. The scheduler will try it again."""
    SUCCESS = job_state.SUCCESS
    FAIL = job_state.FAIL
    ABORTED = job_state.ABORTED
    MISSED = 'missed'
    """No scheduler claimed it in time."""
    SKIPPED = 'skipped'
    """It was not to begin, or no longer."""

    @property
    def final(self) -> bool:
        """Whether the state can no longer change."""
        return self not in (State.RUNNING, State.WAITING)


#: What a scheduler can report of a run.
REPORTED = (State.RUNNING, State.SUCCESS, State.FAIL, State.ABORTED)


class StepState(enum.StrEnum):
    """How far one action of a run has come."""

    PENDING = 'pending'
    """Nothing is under way: it has not begun, or waits."""
    SUBMITTING = 'submitting'
    """The intent is stored; its request may have been sent."""
    SUBMITTED = 'submitted'
    """The request was accepted, and its end is awaited."""
    CLEARING = 'clearing'
    """The backup failed, which is stored, and is being deleted."""
    MAKING_ROOM = 'making_room'
    """Old backups are removed before the backup, since a quota is full."""
    PRUNING = 'pruning'
    """Old backups are removed; a backup of the action is available."""
    SUCCESS = 'success'
    FAIL = 'fail'
    SKIPPED = 'skipped'
    ABORTED = 'aborted'

    @property
    def final(self) -> bool:
        """Whether the state can no longer change."""
        return self in FINAL_STEPS


FINAL_STEPS = frozenset((StepState.SUCCESS, StepState.FAIL,
                         StepState.SKIPPED, StepState.ABORTED))

#: What follows on each state of a run that is not final.
RUN_FOLLOWS: Mapping[State, tuple[State, ...]] = {
    State.RUNNING: (State.WAITING, State.SUCCESS, State.FAIL, State.ABORTED,
                    State.SKIPPED),
    State.WAITING: (State.RUNNING, State.SKIPPED),
}

#: What follows on each state of a step that is not final, from one stored
#: report to the next. A step that fails and is tried again is stored as
#: pending; one that nobody can go on with fails.
STEP_FOLLOWS: Mapping[StepState, tuple[StepState, ...]] = {
    StepState.PENDING: (
        StepState.SUBMITTING, StepState.SUBMITTED, StepState.PRUNING,
        StepState.FAIL, StepState.SKIPPED, StepState.ABORTED),
    StepState.SUBMITTING: (
        StepState.PENDING, StepState.SUBMITTED, StepState.MAKING_ROOM,
        StepState.PRUNING, StepState.FAIL, StepState.ABORTED),
    StepState.SUBMITTED: (
        StepState.PENDING, StepState.CLEARING, StepState.PRUNING,
        StepState.SUCCESS, StepState.FAIL, StepState.ABORTED),
    StepState.CLEARING: (
        StepState.PENDING, StepState.FAIL, StepState.ABORTED),
    StepState.MAKING_ROOM: (
        StepState.PENDING, StepState.FAIL, StepState.ABORTED),
    StepState.PRUNING: (
        StepState.PENDING, StepState.SUCCESS, StepState.FAIL,
        StepState.ABORTED),
}


class Event(enum.StrEnum):
    """A request of a user about a run in progress, for its holder."""

    ABORT = 'abort'


class Trigger(enum.StrEnum):
    """What made a job due."""

    SCHEDULE = 'schedule'
    START = 'start'


def trigger(runtime: job_state.Runtime) -> Trigger:
    """Return what made the job due."""
    return Trigger.START if runtime.event == 'start' else Trigger.SCHEDULE


def too_late(runtime: job_state.Runtime, now: int, window: int) -> bool:
    """Whether a due job's firing lies too far back to be run.

    :param window: seconds within which a late firing is still run; what a
        user started by hand is run however late
    """
    return (trigger(runtime) is Trigger.SCHEDULE
            and runtime.due_at is not None
            and runtime.due_at < now - window)

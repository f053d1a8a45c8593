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

"""Runs: one firing of a job each."""

from __future__ import annotations

import enum

from freezer_api.domain import jobs


class State(enum.StrEnum):
    """Where a run stands; all but RUNNING are final."""

    RUNNING = 'running'
    SUCCESS = jobs.SUCCESS
    FAIL = jobs.FAIL
    ABORTED = jobs.ABORTED
    MISSED = 'missed'
    SKIPPED = 'skipped'

    @property
    def final(self) -> bool:
        """Whether nothing can happen to the run any more."""
        return self is not State.RUNNING


class Trigger(enum.StrEnum):
    """What made a job due."""

    SCHEDULE = 'schedule'
    START = 'start'


def trigger(runtime: jobs.Runtime) -> Trigger:
    """Return what made the job due."""
    return Trigger.START if runtime.event == 'start' else Trigger.SCHEDULE


def too_late(runtime: jobs.Runtime, now: int, window: int) -> bool:
    """Whether a due job's firing lies too far back to be run.

    :param window: seconds within which a late firing is still run; what a
        user started by hand is run however late
    """
    return (trigger(runtime) is Trigger.SCHEDULE
            and runtime.due_at is not None
            and runtime.due_at < now - window)

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

"""Jobs whose trust does not work: suspended, tried again, resumed.

A suspended job stays where it is in its schedule. Each firing is the attempt
to resume; one that the trust does not allow is a run that was skipped. For a
firing of the schedule the same run is tried some more times while it is not
too late for it, so that a short trouble costs no backup. What a suspended job
costs is therefore bounded by its schedule, and a claim knows no difference.
"""

from __future__ import annotations

import dataclasses

from freezer_api.domain import causes
from freezer_api.domain import jobs
from freezer_api.domain import plans

# When a firing that could not be run is tried again: seconds after its time.
_RETRIES = (60, 300, 900, 1800, 3600)
# Beyond, where the window is longer.
_HOUR = 3600


@dataclasses.dataclass(frozen=True)
class Firing:
    """A firing of the schedule that may be tried again.

    :ivar window: seconds after its time for which it is not too late
    """

    run_id: str
    nominal_at: int
    window: int

    def in_time(self, now: int) -> bool:
        """Whether it is not too late to run it."""
        return now <= self.nominal_at + self.window

    def retry_at(self, now: int) -> int | None:
        """Return when to try it next, None for never."""
        late = now - self.nominal_at
        after = next((seconds for seconds in _RETRIES if seconds > late),
                     (late // _HOUR + 1) * _HOUR)
        at = self.nominal_at + after
        return at if self.in_time(at) else None


def suspend(plan: plans.Plan, runtime: jobs.Runtime, cause: causes.Cause,
            firing: Firing | None, now: int,
            ended_at: int | None = None) -> jobs.Runtime:
    """Return the runtime of a job whose run found its trust of no use.

    What was withdrawn meanwhile stays withdrawn.

    :param firing: what is to be tried again, None for nothing
    :param ended_at: when the run ended, if it was not now
    """
    if causes.lasting(runtime.suspended):
        cause = causes.Cause.WITHDRAWN
    # Users of older clients see no more of it than the result. Of what
    # somebody wanted so there is none.
    result = '' if cause is causes.Cause.WITHDRAWN else jobs.FAIL
    ended = dataclasses.replace(
        # Its firings are the attempts to resume.
        jobs.finish(plan, runtime, result, cause.advice, now, ended_at,
                    backs_off=False),
        suspended=str(cause), suspended_at=runtime.suspended_at or now)
    retry_at = None
    if firing is not None and runtime.event not in ('stop', 'abort') and (
            cause not in (causes.Cause.WITHDRAWN, causes.Cause.MISSING)):
        retry_at = firing.retry_at(now)
    if firing is None or retry_at is None or (
            ended.next_run_at is not None and ended.next_run_at <= retry_at):
        return ended
    return dataclasses.replace(ended, status='scheduled',
                               next_run_at=retry_at, due_at=retry_at,
                               retry_run_id=firing.run_id)


def resume(runtime: jobs.Runtime, now: int) -> jobs.Runtime:
    """Return the runtime of a job that was given a trust."""
    if runtime.suspended is None:
        return runtime
    resumed = dataclasses.replace(
        runtime, suspended=None, suspended_at=None, status_reason=None)
    if runtime.retry_run_id is None:
        return resumed
    return dataclasses.replace(resumed, next_run_at=now, due_at=now)


def withdraw(plan: plans.Plan, runtime: jobs.Runtime,
             now: int) -> jobs.Runtime:
    """Return the runtime of a job that nobody's trust is wanted for.

    A run that is going on ends by itself.
    """
    if runtime.retry_run_id is not None:
        runtime = jobs.miss(plan, runtime, now)
    return dataclasses.replace(
        runtime, suspended=str(causes.Cause.WITHDRAWN), suspended_at=now,
        status_reason=causes.Cause.WITHDRAWN.advice)

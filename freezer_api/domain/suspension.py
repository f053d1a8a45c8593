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

"""Jobs whose trust does not work: suspend, retry, resume.

A suspended job keeps its schedule. Each firing is an attempt to resume; if the
trust does not work, the run is skipped. For a firing of the schedule the same
run is retried within the catch-up window, so that a short outage costs no
backup. So the cost of a suspended job is limited by its schedule, and claims
need no special case.
"""

from __future__ import annotations

import dataclasses

from freezer_api.domain import firing_plan
from freezer_api.domain import job_state
from freezer_api.domain import trust_errors

# Times of the retries of a firing: seconds after its nominal time.
_RETRIES = (60, 300, 900, 1800, 3600)
# Interval of later retries, if the window is longer.
_HOUR = 3600

_RESUMED = 'The trust of the job works again. Start the job to run it.'


@dataclasses.dataclass(frozen=True)
class Firing:
    """A firing of the schedule that can be retried.

    :ivar nominal_at: epoch seconds
    :ivar window: seconds after the nominal time in which it can be run
    """

    run_id: str
    nominal_at: int
    window: int

    def in_time(self, now: int) -> bool:
        """Return whether it can still be run."""
        return now <= self.nominal_at + self.window

    def retry_at(self, now: int) -> int | None:
        """Return the time of the next retry, None for none."""
        late = now - self.nominal_at
        after = next((seconds for seconds in _RETRIES if seconds > late),
                     (late // _HOUR + 1) * _HOUR)
        at = self.nominal_at + after
        return at if self.in_time(at) else None


def suspend(plan: firing_plan.Plan, runtime: job_state.Runtime,
            cause: trust_errors.Cause, firing: Firing | None, now: int,
            ended_at: int | None = None,
            begun: bool = False) -> job_state.Runtime:
    """Return the runtime of a job whose run could not use its trust.

    A withdrawn trust stays withdrawn. A run that did not take place
    leaves no times.

    :param firing: the firing to retry, None for none
    :param now: epoch seconds
    :param ended_at: when the run ended, if that was not now
    :param begun: whether the run did something before
    """
    if trust_errors.lasting(runtime.suspension_reason):
        cause = trust_errors.Cause.WITHDRAWN
    # Older clients show only the result. A deliberate withdrawal has none.
    result = '' if cause is trust_errors.Cause.WITHDRAWN else job_state.FAIL
    ended = dataclasses.replace(
        # No back-off: its firings are the attempts to resume.
        job_state.finish(plan, runtime, result, cause.advice, now, ended_at,
                         backs_off=False),
        suspension_reason=str(cause), suspended_at=runtime.suspended_at or now)
    if not begun:
        ended = dataclasses.replace(
            ended, time_started=runtime.previous_started_at,
            time_ended=runtime.previous_ended_at)
    retry_at = None
    if firing is not None and runtime.event not in ('stop', 'abort') and (
            cause
            not in (trust_errors.Cause.WITHDRAWN, trust_errors.Cause.MISSING)):
        retry_at = firing.retry_at(now)
    if firing is None or retry_at is None or (
            ended.next_run_at is not None and ended.next_run_at <= retry_at):
        return ended
    return dataclasses.replace(ended, status='scheduled',
                               next_run_at=retry_at, due_at=retry_at,
                               retry_run_id=firing.run_id)


def resume(runtime: job_state.Runtime, now: int) -> job_state.Runtime:
    """Return the runtime of a job that received a trust."""
    if runtime.suspension_reason is None:
        return runtime
    resumed = dataclasses.replace(
        runtime, suspension_reason=None, suspended_at=None,
        status_reason=_RESUMED if runtime.status == 'completed' else None)
    if runtime.retry_run_id is None:
        return resumed
    return dataclasses.replace(resumed, next_run_at=now, due_at=now)


def withdraw(plan: firing_plan.Plan, runtime: job_state.Runtime,
             now: int) -> job_state.Runtime:
    """Return the runtime of a job whose trust is withdrawn.

    A current run continues to its end.
    """
    if runtime.retry_run_id is not None:
        runtime = job_state.miss(plan, runtime, now)
    return dataclasses.replace(
        runtime, suspension_reason=str(trust_errors.Cause.WITHDRAWN),
        suspended_at=now, status_reason=trust_errors.Cause.WITHDRAWN.advice)

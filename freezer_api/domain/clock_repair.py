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

"""Correct firings that were computed with a clock that was ahead.

Such a clock yields firings that are too late, and records earlier ones as
missed. After the clock has been corrected, they are computed again.
"""

from __future__ import annotations

import dataclasses

from freezer_api.domain import firing_plan
from freezer_api.domain import job_state
from freezer_api.domain import schedule as schedules


def repaired(plan: firing_plan.Plan, runtime: job_state.Runtime,
             now: int) -> job_state.Runtime:
    """Return the corrected runtime of a job.

    A start that a user requested becomes due now. The caller must give it a
    nominal time that no run has.

    :param now: epoch seconds of a correct clock
    """
    if runtime.time_created is not None and runtime.time_created > now:
        # Intervals count from there.
        runtime = dataclasses.replace(runtime, time_created=now)
    # A current run may have begun with either clock.
    if (runtime.next_run_at is None
            or max(runtime.next_run_at, runtime.due_at or 0) <= now):
        return runtime
    if runtime.event == 'start':
        return job_state.start(runtime, now)
    if runtime.retry_run_id is not None:
        # A retry is at most this long after the nominal time.
        if runtime.next_run_at <= now + plan.rules.window:
            return runtime
        return job_state.miss(plan, runtime, now, now)
    anchor = now if runtime.time_created is None else runtime.time_created
    try:
        if isinstance(plan.parsed, schedules.OneShot):
            firing: int | None = now
        else:
            firing = plan.firing_after(anchor, now)
    except schedules.ScheduleError:
        return runtime
    waits = max(plan.rules.jitter, plan.rules.backoff_max,
                plan.rules.minimum, plan.rules.delay)
    if firing is None or firing >= runtime.next_run_at:
        # The firing is correct, but its due time may be too late.
        if (runtime.due_at or 0) <= runtime.next_run_at + waits:
            return runtime
        firing = runtime.next_run_at
    elif runtime.next_run_at - firing <= waits:
        return runtime
    return job_state.armed(plan, dataclasses.replace(
        runtime, consecutive_failures=0), anchor, firing)

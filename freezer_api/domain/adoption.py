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
"""Jobs of a polling scheduler that a claiming scheduler adopts.

Schedulers of earlier releases poll: only they know when a job fires, and the
job does not store it. When a claiming scheduler replaces them, the job gets
its next firing, in the phase that its schedule has always had. A firing that
was due while no scheduler ran is run once, within the catch-up window; earlier
firings are not.
"""

from __future__ import annotations

import dataclasses

from freezer_api.domain import firing_plan
from freezer_api.domain import job_state
from freezer_api.domain import schedule as schedules

INTERRUPTED = ('The scheduler that ran the job was replaced before it '
               'reported the result of the run.')


def adopt(plan: firing_plan.Plan, runtime: job_state.Runtime, created: int,
          now: int) -> job_state.Runtime:
    """Return the runtime of a job that is claimed from now on.

    :param created: creation time of the row, in epoch seconds, for a job
        without ``time_created``
    :param now: epoch seconds
    """
    state = _settled(dataclasses.replace(
        runtime, current_pid=None, retry_run_id=None,
        time_created=created if runtime.time_created is None
        else runtime.time_created))
    try:
        # The firing of the current second has already been run.
        armed = job_state.arm(plan, state,
                              max(now, (state.time_started or 0) + 1), 0)
        missed = None if state.disarmed or state.event == 'start' else (
            _missed(plan, armed, now))
    except schedules.ScheduleError:
        armed = job_state.armed(plan, dataclasses.replace(
            state, status_reason=None), 0, None)
        missed = None
    if missed is not None:
        armed = job_state.armed(
            plan, dataclasses.replace(armed, status=state.status,
                                      status_reason=None),
            armed.time_created or 0, missed)
    if state.status == 'running':
        armed = dataclasses.replace(
            armed, status_reason=INTERRUPTED,
            status='completed' if armed.next_run_at is None else 'scheduled')
    return armed


def _settled(runtime: job_state.Runtime) -> job_state.Runtime:
    """Apply the event or the run that the replaced scheduler left unfinished.

    It handles a stop or an abort at its next poll, and leaves either in a job
    that has completed. The result of its current run stays unknown.
    """
    if runtime.event in ('stop', 'abort'):
        return dataclasses.replace(
            runtime, event='',
            status=runtime.status if runtime.disarmed else 'stop')
    if runtime.event == 'start':
        return dataclasses.replace(runtime, status='', result='')
    if runtime.status == 'running':
        return dataclasses.replace(runtime, result=job_state.FAIL)
    return runtime


def _missed(plan: firing_plan.Plan, runtime: job_state.Runtime,
            now: int) -> int | None:
    """Return a firing within the window that was not run, or None."""
    parsed = plan.parsed
    ran = runtime.time_started
    if ran is not None and ran >= 0 and isinstance(
            parsed, schedules.Interval) and ran + parsed.seconds > now:
        # Schedulers of earlier releases count an interval from their own
        # start. They have run this firing, at another second.
        return None
    if isinstance(parsed, (schedules.OneShot, schedules.Continuous)):
        return None
    after = max(now - plan.rules.window - 1, -1 if ran is None else ran)
    firing = plan.firing_after(runtime.time_created or 0, after)
    return firing if firing is not None and firing <= now else None

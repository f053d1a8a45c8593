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
"""A job whose next firing another scheduler kept for itself.

Schedulers of earlier releases poll: when a job fires they alone know, and the
job says nothing of it. Once a scheduler that claims is there in their place,
the job is given its next firing, on the phase that its schedule has had all
along. A firing that came due while no scheduler was there is caught up with,
once and within the catch-up window; the rest of the past is past.
"""

from __future__ import annotations

import dataclasses

from freezer_api.domain import jobs
from freezer_api.domain import plans
from freezer_api.domain import schedule as schedules

INTERRUPTED = ('The scheduler that ran the job was replaced before it told '
               'how the run ended.')


def take_over(plan: plans.Plan, runtime: jobs.Runtime, created: int,
              now: int) -> jobs.Runtime:
    """Return the runtime of a job that is claimed from now on.

    :param created: when the row was made, for a job that does not say when
        it was
    """
    state = _settled(dataclasses.replace(
        runtime, current_pid=None, retry_run_id=None,
        time_created=created if runtime.time_created is None
        else runtime.time_created))
    try:
        # What was run this very second is not to be run again.
        armed = jobs.arm(plan, state,
                         max(now, (state.time_started or 0) + 1), 0)
        missed = None if armed.disarmed or armed.event == 'start' else (
            _missed(plan, armed, now))
    except schedules.ScheduleError as error:
        armed = dataclasses.replace(
            state, next_run_at=None, due_at=None,
            status_reason=f'The schedule cannot be understood: {error}')
        missed = None
    if missed is not None:
        armed = jobs.armed(
            plan, dataclasses.replace(armed, status_reason=None),
            armed.time_created or 0, missed)
    if state.status == 'running':
        armed = dataclasses.replace(
            armed, status_reason=INTERRUPTED,
            status='completed' if armed.next_run_at is None else 'scheduled')
    elif armed.status == 'scheduled' and armed.next_run_at is None:
        armed = dataclasses.replace(armed, status='')
    return armed


def _settled(runtime: jobs.Runtime) -> jobs.Runtime:
    """What a scheduler that is gone left undone.

    It reads a stop and an abort when it next polls, and leaves either in a
    job that has completed. How its run ended nobody will tell.
    """
    if runtime.event in ('stop', 'abort'):
        return dataclasses.replace(
            runtime, event='',
            status=runtime.status if runtime.disarmed else 'stop')
    if runtime.event == 'start':
        return dataclasses.replace(runtime, status='', result='')
    if runtime.status == 'running':
        return dataclasses.replace(runtime, result=jobs.FAIL)
    return runtime


def _missed(plan: plans.Plan, runtime: jobs.Runtime,
            now: int) -> int | None:
    """Return a firing of the window that nobody has run, None for none."""
    parsed = plan.parsed
    ran = runtime.time_started
    if ran is not None and ran >= 0 and isinstance(
            parsed, schedules.Interval) and ran + parsed.seconds > now:
        # Schedulers of earlier releases count an interval from their own
        # start. The run of this one they have made, at another second.
        return None
    if isinstance(parsed, (schedules.OneShot, schedules.Continuous)):
        return None
    after = max(now - plan.rules.window - 1, -1 if ran is None else ran)
    firing = plan.firing_after(runtime.time_created or 0, after)
    return firing if firing is not None and firing <= now else None

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

"""The effect of an event (start, stop, abort) on a job."""

from __future__ import annotations

import dataclasses

from freezer_api.domain import firing_plan
from freezer_api.domain import job_state
from freezer_api.domain import run_state
from freezer_api.domain import schedule as schedules

EVENTS = ('start', 'stop', 'abort')


@dataclasses.dataclass(frozen=True)
class Effect:
    """The effect of an event.

    :ivar result: the text of the answer
    :ivar for_run: the event for the scheduler of the current run, None for
        none
    """

    runtime: job_state.Runtime
    result: str
    for_run: run_state.Event | None = None


def apply(event: str, plan: firing_plan.Plan, runtime: job_state.Runtime,
          now: int, supports_claims: bool) -> Effect:
    """Return the effect of an event on a job.

    :param event: start, stop or abort
    :param plan: the plan of the job's firings
    :param now: epoch seconds
    :param supports_claims: whether the client's scheduler claims runs. If so,
        the event takes effect at once; otherwise it is stored until the
        scheduler handles and clears it.
    """
    if runtime.event == event:
        return Effect(runtime, f'{event} already requested')
    if not supports_claims:
        return _leave(event, runtime)
    if event == 'start':
        return _start(plan, runtime, now)
    return _end(event, runtime)


def _leave(event: str, runtime: job_state.Runtime) -> Effect:
    """Store an event for a polling scheduler.

    An abort ends a process. If none runs, it is stored as a stop: a stock
    scheduler would look for the process, fail because there is no process ID,
    and then handle no job of any project.
    """
    if event == 'start':
        runtime = dataclasses.replace(runtime, status='', result='')
    elif event == 'abort' and (runtime.status != 'running'
                               or runtime.current_pid is None):
        event = 'stop'
    return Effect(dataclasses.replace(runtime, event=event), 'success')


def _start(plan: firing_plan.Plan, runtime: job_state.Runtime,
           now: int) -> Effect:
    """Return the effect of a start.

    A stopped job returns to its schedule, as with 19.0.0. A job that waits
    for its next firing, or has no firing to return to, is run.
    """
    if runtime.run_id is not None:
        return Effect(runtime, 'start already requested')
    if runtime.disarmed:
        resumed = _resumed(plan, runtime, now)
        if resumed.next_run_at is not None:
            return Effect(resumed, 'success')
    return Effect(job_state.start(dataclasses.replace(
        runtime, status='', result='', status_reason=None,
        retry_run_id=None), now), 'success')


def _resumed(plan: firing_plan.Plan, runtime: job_state.Runtime,
             now: int) -> job_state.Runtime:
    """Return the runtime of a job that returns to its schedule.

    ``next_run_at`` is None if the schedule has no further firing.
    """
    try:
        if isinstance(plan.parsed, schedules.OneShot):
            return dataclasses.replace(runtime, next_run_at=None)
        return job_state.arm(plan, dataclasses.replace(
            runtime, event='', status='scheduled'), now, 1)
    except schedules.ScheduleError:
        return dataclasses.replace(runtime, next_run_at=None)


def _end(event: str, runtime: job_state.Runtime) -> Effect:
    if runtime.run_id is None:
        return Effect(dataclasses.replace(
            runtime, event='', status='stop', next_run_at=None, due_at=None,
            retry_run_id=None), 'success')
    if runtime.event == 'abort':
        # The abort already ends and disarms the job, as a stop would.
        return Effect(runtime, 'success')
    # A stop lets the run end, and disarms the job then.
    return Effect(dataclasses.replace(runtime, event=event), 'success',
                  for_run=next((one for one in run_state.Event
                                if one == event), None))

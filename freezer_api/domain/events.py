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

"""What an event (start, stop, abort) does to a job."""

from __future__ import annotations

import dataclasses

from freezer_api.domain import jobs

EVENTS = ('start', 'stop', 'abort')


@dataclasses.dataclass(frozen=True)
class Effect:
    """What comes of an event.

    ``result`` is the text of the answer; ``for_run`` is the event that the
    holder of the going run must be told, if any.
    """

    runtime: jobs.Runtime
    result: str
    for_run: str | None = None


def apply(event: str, runtime: jobs.Runtime, now: int,
          claims: bool) -> Effect:
    """Return the effect of an event on a job.

    :param event: start, stop or abort
    :param claims: whether the client's scheduler claims runs. Its jobs are
        moved here and at once; the job of another keeps the event until that
        scheduler has found it and taken it back.
    """
    if runtime.event == event:
        return Effect(runtime, f'{event} already requested')
    if not claims:
        return _leave(event, runtime)
    if event == 'start':
        return _start(runtime, now)
    return _end(event, runtime)


def _leave(event: str, runtime: jobs.Runtime) -> Effect:
    """Leave an event for a scheduler that looks for it.

    An abort is for a process. Where none runs, a stop is all that it can
    mean; a stock scheduler would look for the process all the same, find no
    number, and handle no job any more, of whatever project.
    """
    if event == 'start':
        runtime = dataclasses.replace(runtime, status='', result='')
    elif event == 'abort' and (runtime.status != 'running'
                               or runtime.current_pid is None):
        event = 'stop'
    return Effect(dataclasses.replace(runtime, event=event), 'success')


def _start(runtime: jobs.Runtime, now: int) -> Effect:
    if runtime.run_id is not None:
        return Effect(runtime, 'start already requested')
    return Effect(jobs.start(dataclasses.replace(
        runtime, status='', result='', status_reason=None,
        retry_run_id=None), now), 'success')


def _end(event: str, runtime: jobs.Runtime) -> Effect:
    if runtime.run_id is None:
        return Effect(dataclasses.replace(
            runtime, event='', status='stop', next_run_at=None, due_at=None,
            retry_run_id=None), 'success')
    if runtime.event == 'abort':
        # It ends and disarms the job already, which is all that a stop asks.
        return Effect(runtime, 'success')
    return Effect(dataclasses.replace(runtime, event=event), 'success',
                  for_run=event)

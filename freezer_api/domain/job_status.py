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

"""The status of a job as shown to readers."""

from __future__ import annotations

import dataclasses

from freezer_api.domain import job_state

UNKNOWN_SCHEDULE = (
    'The job does not run: the scheduler of its client is of an earlier '
    'release and does not support schedule_cron. The job continues when a '
    'newer scheduler runs. Or move the job to another client, or use '
    'schedule_hour, schedule_minute and so on, and start it.')


def as_stopped(runtime: job_state.Runtime) -> job_state.Runtime:
    """Return the runtime for a scheduler that must not read the schedule.

    A polling scheduler runs a job at once if it does not support its schedule
    keys. It ignores a stopped job without an event.
    """
    return dataclasses.replace(
        runtime, event=runtime.event and '',
        status=runtime.status if runtime.disarmed else 'stop',
        status_reason=UNKNOWN_SCHEDULE, next_run_at=None)


def visible(runtime: job_state.Runtime, now: int, delay: int) -> str | None:
    """Return the status that a reader sees.

    A job that waits for its first firing becomes ``scheduled`` after a delay,
    in which its creator can read it back unchanged. A job whose trust does not
    work is ``suspended`` while it waits.

    :param now: epoch seconds
    :param delay: seconds
    """
    if (runtime.suspension_reason is not None and runtime.run_id is None
            and runtime.status in (None, '', 'scheduled')
            and runtime.event in (None, '')):
        return job_state.SUSPENDED
    if (runtime.status in (None, '') and runtime.event in (None, '')
            and runtime.next_run_at is not None
            and now > (runtime.time_created or 0) + delay):
        return 'scheduled'
    return runtime.status


def at_rest(runtime: job_state.Runtime) -> bool:
    """Return whether a job waits until a start or a change."""
    return (runtime.disarmed and runtime.event != 'start'
            and runtime.next_run_at is None and runtime.run_id is None)

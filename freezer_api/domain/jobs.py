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

"""Where a job stands, and how that changes.

What the user wrote (the schedule) and what happens (the runtime) are apart:
here are the runtime and the pure rules that move it. Times are epoch seconds,
UTC; the clock is passed in.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import datetime
from typing import Any

from freezer_api.domain import causes
from freezer_api.domain import schedule as schedules

RUNTIME_KEYS = ('event', 'status', 'result', 'time_created', 'time_started',
                'time_ended', 'current_pid')

SUCCESS = 'success'
FAIL = 'fail'
ABORTED = 'aborted'


@dataclasses.dataclass(frozen=True)
class Runtime:
    """The runtime part of a job; None is a key that the document lacks.

    ``next_run_at`` is when the job is due, None for never; ``run_id`` is the
    run that is going on. ``suspended`` is why its trust does not work, see
    freezer_api.domain.causes, and ``suspended_at`` since when;
    ``retry_run_id`` is the run that the job is due for once more.
    """

    event: str | None = None
    status: str | None = None
    result: str | None = None
    time_created: int | None = None
    time_started: int | None = None
    time_ended: int | None = None
    current_pid: int | None = None
    status_reason: str | None = None
    next_run_at: int | None = None
    run_id: str | None = None
    suspended: str | None = None
    suspended_at: int | None = None
    retry_run_id: str | None = None

    @property
    def disarmed(self) -> bool:
        """Whether only a start makes the job due again."""
        return self.status in ('stop', 'completed', 'removed')


def split_schedule(
        document: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what of a job_schedule is the user's, and what is runtime.

    An interval comes back with one blank in it: stock schedulers stop
    polling over two, for all their jobs.
    """
    user = {key: value for key, value in document.items()
            if key not in RUNTIME_KEYS}
    interval = user.get('schedule_interval')
    if isinstance(interval, str):
        user['schedule_interval'] = ' '.join(interval.split())
    runtime = {key: document[key] for key in RUNTIME_KEYS if key in document}
    return user, runtime


def merge_schedule(user: Mapping[str, Any],
                   runtime: Runtime) -> dict[str, Any]:
    """Return the job_schedule of a job document."""
    merged = dict(user)
    for key in RUNTIME_KEYS:
        value = getattr(runtime, key)
        if value is not None:
            merged[key] = value
    return merged


def firing_after(user_schedule: Mapping[str, Any], anchor: int,
                 after: int) -> int | None:
    """Return the first firing of the schedule after ``after``.

    :param anchor: when the job was created, from where intervals count
    :raises freezer_api.domain.schedule.ScheduleError: on a schedule that
        cannot be understood
    """
    firing = schedules.next_firing(
        schedules.parse(user_schedule), _aware(anchor), _aware(after))
    return None if firing is None else int(firing.timestamp())


def create(user_schedule: Mapping[str, Any], runtime: Mapping[str, Any],
           now: int, delay: int, claims: bool) -> Runtime:
    """Return the runtime of a new job.

    :param runtime: the runtime keys that the creator sent
    :param delay: seconds until a job without an event can become due
    :param claims: whether the client's scheduler claims runs; for another,
        what was sent is kept for that scheduler to find
    :raises freezer_api.domain.schedule.ScheduleError: see firing_after
    """
    new = Runtime(event=runtime.get('event'), status=runtime.get('status'),
                  result=runtime.get('result'), time_created=now,
                  time_started=-1, time_ended=-1)
    if not claims:
        return new
    if new.event == 'start':
        return dataclasses.replace(new, status='', result='',
                                   next_run_at=now)
    if new.event in ('stop', 'abort') or (not new.event and new.disarmed):
        return dataclasses.replace(
            new, event='', status=new.status if new.disarmed else 'stop')
    # A status such as 'running' in a document that somebody cloned is of
    # another job.
    new = dataclasses.replace(new, event=new.event and '', status=None,
                              result=None)
    return arm(user_schedule, new, now, delay)


def arm(user_schedule: Mapping[str, Any], runtime: Runtime, now: int,
        delay: int) -> Runtime:
    """Return the runtime with its next firing computed anew.

    For a new job, a new schedule and a new client. A job that was stopped or
    has completed stays so, and so does one that never had a schedule and has
    run.

    :param delay: seconds that the firing lies in the future at the least,
        unless the user named a date
    """
    runtime = dataclasses.replace(runtime, retry_run_id=None)
    if runtime.disarmed:
        return dataclasses.replace(runtime, next_run_at=None)
    if runtime.event == 'start':
        return dataclasses.replace(runtime, next_run_at=now)
    anchor = runtime.time_created if runtime.time_created is not None else now
    parsed = schedules.parse(user_schedule)
    reason = None
    if isinstance(parsed, schedules.OneShot):
        ran = (runtime.time_started or -1) >= 0
        following = None if ran else max(now, anchor) + delay
    elif isinstance(parsed, schedules.Once):
        following = firing_after(user_schedule, anchor, now - 1)
    else:
        following = firing_after(user_schedule, anchor, now + delay - 1)
    if isinstance(parsed, schedules.Never):
        reason = parsed.reason
    elif following is None and not isinstance(parsed, schedules.OneShot):
        reason = 'The schedule has no firing in the future.'
    return dataclasses.replace(runtime, next_run_at=following,
                               status_reason=reason)


def visible_status(runtime: Runtime, now: int, delay: int) -> str | None:
    """Return the status that a reader sees.

    A job that waits for its first firing is ``scheduled`` as soon as its
    creator had time to read it back untouched.
    """
    if (runtime.status in (None, '') and runtime.event in (None, '')
            and runtime.next_run_at is not None
            and now > (runtime.time_created or 0) + delay):
        return 'scheduled'
    return runtime.status


def _following(user_schedule: Mapping[str, Any], runtime: Runtime,
               now: int) -> tuple[int | None, str | None]:
    """The firing after ``now``, and why there is none where that is odd."""
    try:
        parsed = schedules.parse(user_schedule)
        if isinstance(parsed, schedules.OneShot):
            return None, None
        anchor = runtime.time_created
        return firing_after(user_schedule,
                            now if anchor is None else anchor, now), None
    except schedules.ScheduleError as error:
        return None, f'The schedule cannot be understood: {error}'


def claim(user_schedule: Mapping[str, Any], runtime: Runtime, run_id: str,
          now: int) -> Runtime:
    """Return the runtime of a job whose due firing has become ``run_id``."""
    following, reason = _following(user_schedule, runtime, now)
    return dataclasses.replace(
        runtime, event='', status='running', result='', time_started=now,
        time_ended=-1, run_id=run_id, next_run_at=following,
        status_reason=reason, suspended=causes.lasting(runtime.suspended),
        retry_run_id=None)


def miss(user_schedule: Mapping[str, Any], runtime: Runtime,
         now: int) -> Runtime:
    """Return the runtime of a job whose due firing came too late to run."""
    following, reason = _following(user_schedule, runtime, now)
    return dataclasses.replace(
        runtime, next_run_at=following, status_reason=reason,
        retry_run_id=None,
        status='completed' if following is None else 'scheduled')


def finish(user_schedule: Mapping[str, Any], runtime: Runtime, result: str,
           reason: str | None, now: int) -> Runtime:
    """Return the runtime of a job whose run has ended.

    Firings that came due during the run are passed over; whether there were
    any can be seen from ``next_run_at`` before.

    :param result: success, fail or aborted
    """
    ended = dataclasses.replace(
        runtime, result=result, time_ended=now, run_id=None,
        current_pid=None, status_reason=reason,
        suspended_at=runtime.suspended_at if runtime.suspended else None)
    if runtime.event in ('stop', 'abort'):
        return dataclasses.replace(ended, event='', status='completed',
                                   next_run_at=None)
    following = runtime.next_run_at
    if following is not None and following <= now:
        following, _ = _following(user_schedule, runtime, now)
    return dataclasses.replace(
        ended, next_run_at=following,
        status='completed' if following is None else 'scheduled')


def _aware(epoch: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(epoch, datetime.UTC)

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
import json
from typing import Any

from freezer_api.domain import causes
from freezer_api.domain import plans
from freezer_api.domain import schedule as schedules

RUNTIME_KEYS = ('event', 'status', 'result', 'time_created', 'time_started',
                'time_ended', 'current_pid')

SUCCESS = 'success'
FAIL = 'fail'
ABORTED = 'aborted'

# Characters of JSON. The reason is a part of each answer that shows the job.
_LONGEST_REASON = 2048


@dataclasses.dataclass(frozen=True)
class Runtime:
    """The runtime part of a job; None is a key that the document lacks.

    ``next_run_at`` is the next firing, None for none, and ``due_at`` when it
    may be claimed, None while a run goes on, which is ``run_id``.
    ``suspended`` is why its trust does not work, see
    freezer_api.domain.causes, and ``suspended_at`` since when;
    ``retry_run_id`` is the run that the job is due for once more.
    ``failures`` is how many runs in succession were no success.
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
    due_at: int | None = None
    failures: int | None = None

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


def create(plan: plans.Plan, runtime: Mapping[str, Any], now: int,
           claims: bool) -> Runtime:
    """Return the runtime of a new job.

    :param runtime: the runtime keys that the creator sent
    :param claims: whether the client's scheduler claims runs; for another,
        what was sent is kept for that scheduler to find
    :raises freezer_api.domain.schedule.ScheduleError: on a schedule that
        cannot be understood
    """
    new = Runtime(event=runtime.get('event'), status=runtime.get('status'),
                  result=runtime.get('result'), time_created=now,
                  time_started=-1, time_ended=-1)
    if not claims:
        return new
    if new.event == 'start':
        return start(dataclasses.replace(new, status='', result=''), now)
    if new.event in ('stop', 'abort') or (not new.event and new.disarmed):
        return dataclasses.replace(
            new, event='', status=new.status if new.disarmed else 'stop')
    # A status such as 'running' in a document that somebody cloned is of
    # another job.
    new = dataclasses.replace(new, event=new.event and '', status=None,
                              result=None)
    return arm(plan, new, now, plan.rules.delay)


def start(runtime: Runtime, at: int) -> Runtime:
    """Return the runtime of a job that is to run at a time, once."""
    return dataclasses.replace(
        runtime, event='start', next_run_at=at,
        due_at=at if runtime.run_id is None else None)


def arm(plan: plans.Plan, runtime: Runtime, now: int, delay: int) -> Runtime:
    """Return the runtime with its next firing computed anew.

    For a new job, a new schedule and a new client. A job that was stopped or
    has completed stays so, and so does one that never had a schedule and has
    run.

    :param delay: seconds that the firing lies in the future at the least,
        unless the user named a date
    :raises freezer_api.domain.schedule.ScheduleError: see create
    """
    runtime = dataclasses.replace(runtime, retry_run_id=None, failures=0)
    if runtime.disarmed:
        return dataclasses.replace(runtime, next_run_at=None, due_at=None)
    if runtime.event == 'start':
        return start(runtime, now)
    anchor = runtime.time_created if runtime.time_created is not None else now
    reason = None
    if isinstance(plan.parsed, schedules.OneShot):
        ran = (runtime.time_started or -1) >= 0
        following = None if ran else max(now, anchor) + delay
    elif isinstance(plan.parsed, schedules.Once):
        following = plan.firing_after(anchor, now - 1)
    else:
        following = plan.firing_after(anchor, now + delay - 1)
    if isinstance(plan.parsed, schedules.Never):
        reason = plan.parsed.reason
    elif following is None and not isinstance(
            plan.parsed, schedules.OneShot):
        reason = 'The schedule has no firing in the future.'
    return armed(plan, dataclasses.replace(runtime, status_reason=reason),
                 anchor, following)


def armed(plan: plans.Plan, runtime: Runtime, anchor: int,
          firing: int | None) -> Runtime:
    """Return the runtime with a firing, or none, as its next."""
    due_at = (plan.due_at(anchor, firing) if runtime.run_id is None
              else None)
    return dataclasses.replace(runtime, next_run_at=firing, due_at=due_at)


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


def following(plan: plans.Plan, runtime: Runtime,
              after: int) -> tuple[int | None, str | None]:
    """Return the firing after a time, and why there is none if that is odd.
    """
    try:
        if isinstance(plan.parsed, schedules.OneShot):
            return None, None
        return plan.firing_after(_anchor(runtime, after), after), None
    except schedules.ScheduleError as error:
        return None, f'The schedule cannot be understood: {error}'


def _anchor(runtime: Runtime, now: int) -> int:
    return now if runtime.time_created is None else runtime.time_created


def stands_for(plan: plans.Plan, runtime: Runtime, firing: int,
               until: int) -> int | None:
    """Return until when a run stands for other firings than its own too.

    :param firing: its own
    :param until: where the firings that it does not stand for begin
    :returns: ``until``; None where there is no other firing before it
    """
    if plan.continuous:
        return None
    other, _ = following(plan, runtime, firing)
    return until if other is not None and other < until else None


def stands_until(plan: plans.Plan, runtime: Runtime, now: int) -> int:
    """Return the last moment whose firing a run that begins now stands for.

    A stored schedule may fire more often than its job may run.
    """
    until = runtime.next_run_at
    if (until is not None and runtime.event != 'start'
            and runtime.retry_run_id is None):
        until += max(0, plan.rules.minimum - 1)
    if until is None:
        return now
    return max(now, until) if plan.rules.coalesce else until


def overdue(runtime: Runtime, now: int) -> bool:
    """Whether a firing of the schedule waits for somebody to claim it."""
    return (runtime.run_id is None and runtime.retry_run_id is None
            and runtime.event != 'start' and runtime.next_run_at is not None
            and runtime.next_run_at <= now)


def claim(plan: plans.Plan, runtime: Runtime, run_id: str,
          now: int) -> Runtime:
    """Return the runtime of a job whose due firing has become ``run_id``."""
    # Of a continuous job nothing is to come before that is over.
    firing, reason = ((None, None) if plan.continuous
                      else following(plan, runtime,
                                     stands_until(plan, runtime, now)))
    return dataclasses.replace(
        runtime, event='', status='running', result='', time_started=now,
        time_ended=-1, run_id=run_id, next_run_at=firing, due_at=None,
        status_reason=reason, suspended=causes.lasting(runtime.suspended),
        retry_run_id=None)


def miss(plan: plans.Plan, runtime: Runtime, now: int,
         after: int | None = None) -> Runtime:
    """Return the runtime of a job whose due firing came too late to run.

    :param after: the next firing is later than that; without it, than the
        due one and all that came too late likewise
    """
    if after is None:
        after = max(runtime.next_run_at or 0, now - plan.rules.window - 1)
    firing, reason = following(plan, runtime, after)
    missed = dataclasses.replace(
        runtime, status_reason=reason, retry_run_id=None,
        status='completed' if firing is None else 'scheduled')
    return armed(plan, missed, _anchor(runtime, now), firing)


def shortened(runtime: Runtime) -> Runtime:
    """Return where a job stands with a reason that is not too long."""
    reason = runtime.status_reason
    if reason is None or len(json.dumps(reason)) <= _LONGEST_REASON:
        return runtime
    cuts = (f'{reason[:length]}...' for length in (_LONGEST_REASON - 5, 160))
    return dataclasses.replace(runtime, status_reason=next(
        cut for cut in cuts if len(json.dumps(cut)) <= _LONGEST_REASON))


def set_aside(runtime: Runtime, reason: str, now: int) -> Runtime:
    """Return the runtime of a job that cannot go on, whatever it holds."""
    return dataclasses.replace(
        runtime, event='', status='stop', result=FAIL, time_ended=now,
        current_pid=None, status_reason=reason, run_id=None,
        retry_run_id=None, next_run_at=None, due_at=None)


def finish(plan: plans.Plan, runtime: Runtime, result: str,
           reason: str | None, now: int, ended_at: int | None = None,
           backs_off: bool = True) -> Runtime:
    """Return the runtime of a job whose run has ended.

    Firings that came during the run are passed over, unless the rules have
    them wait; whether there were any can be seen from ``next_run_at`` before.
    What came since is late.

    :param result: success, fail or aborted; empty for none
    :param ended_at: when that was, if it was not now
    :param backs_off: whether a job whose runs fail at once waits
    """
    if ended_at is None:
        ended_at = now
    failures = 0 if result == SUCCESS else (runtime.failures or 0) + 1
    ended = dataclasses.replace(
        runtime, result=result, time_ended=ended_at, run_id=None,
        current_pid=None, status_reason=reason, failures=failures,
        suspended_at=runtime.suspended_at if runtime.suspended else None)
    if runtime.event in ('stop', 'abort'):
        return dataclasses.replace(ended, event='', status='completed',
                                   next_run_at=None, due_at=None)
    firing = runtime.next_run_at
    started = now if runtime.time_started is None else runtime.time_started
    if plan.continuous:
        firing, _ = following(plan, runtime, max(
            now + max(0, plan.rules.wait(failures) - 1),
            started + plan.rules.minimum - 1))
    elif (firing is not None and firing <= ended_at
            and plan.rules.end_passes_over):
        firing, _ = following(plan, runtime, ended_at)
    ended = dataclasses.replace(
        ended, status='completed' if firing is None else 'scheduled')
    ended = armed(plan, ended, _anchor(runtime, now), firing)
    if backs_off and failures and ended_at < started + plan.rules.minimum:
        return _back_off(plan, ended, started + plan.rules.wait(failures))
    return ended


def _back_off(plan: plans.Plan, runtime: Runtime, until: int) -> Runtime:
    """Return the runtime of a job whose runs fail at once.

    Its next firing becomes due later. The run of it then stands for the
    firings that have come in between.

    :param until: when it becomes due, at the earliest
    """
    if runtime.due_at is None or runtime.due_at >= until:
        return runtime
    waits = (f'Runs without success in a row: {runtime.failures}. The next '
             f'run waits until {plans.aware(until):%Y-%m-%dT%H:%M:%SZ}.')
    return dataclasses.replace(runtime, due_at=until, status_reason=' '.join(
        filter(None, (runtime.status_reason, waits))))

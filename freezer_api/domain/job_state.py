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

"""The runtime of a job, and the rules that change it.

The user's part of a job (the schedule) and its runtime are separate: this
module contains the runtime and the pure rules for it. Times are epoch seconds,
UTC; the current time is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import json
from typing import Any

from freezer_api.domain import firing_plan
from freezer_api.domain import schedule as schedules
from freezer_api.domain import trust_errors

#: Shown instead of ``scheduled`` while the trust does not work. It is never
#: stored.
SUSPENDED = 'suspended'

RUNTIME_KEYS = ('event', 'status', 'result', 'time_created', 'time_started',
                'time_ended', 'current_pid')

#: Statuses of jobs that become due only after a start.
DISARMED = ('stop', 'completed', 'removed')

SUCCESS = 'success'
FAIL = 'fail'
ABORTED = 'aborted'

UNKNOWN_SCHEDULE = (
    'The job does not run: the scheduler of its client is of an earlier '
    'release and does not support schedule_cron. The job continues when a '
    'newer scheduler runs. Or move the job to another client, or use '
    'schedule_hour, schedule_minute and so on, and start it.')

# Characters of JSON. Each answer that shows the job contains the reason.
_LONGEST_REASON = 2048


@dataclasses.dataclass(frozen=True)
class Runtime:
    """The runtime of a job; None is a key that the document lacks.

    :ivar next_run_at: the next firing, None for none
    :ivar due_at: time from which it can be claimed, None during a run
    :ivar run_id: the current run
    :ivar suspension_reason: problem of its trust since ``suspended_at``; see
        :mod:`freezer_api.domain.trust_errors`
    :ivar retry_run_id: the run to try again
    :ivar consecutive_failures: number of successive runs without success
    :ivar previous_started_at: like ``previous_ended_at``, a time of the run
        before the current one, to restore if that one does not take place
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
    suspension_reason: str | None = None
    suspended_at: int | None = None
    retry_run_id: str | None = None
    due_at: int | None = None
    consecutive_failures: int | None = None
    previous_started_at: int | None = None
    previous_ended_at: int | None = None

    @property
    def disarmed(self) -> bool:
        """Whether the job becomes due only after a start."""
        return self.status in DISARMED


def split_schedule(
        document: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split a job_schedule into the user's part and the runtime.

    An interval is returned with single spaces: with two, stock schedulers
    stop polling all their jobs. The status ``suspended``, which a client has
    read, becomes ``scheduled``.
    """
    user = {key: value for key, value in document.items()
            if key not in RUNTIME_KEYS}
    interval = user.get('schedule_interval')
    if isinstance(interval, str):
        user['schedule_interval'] = ' '.join(interval.split())
    runtime = {key: document[key] for key in RUNTIME_KEYS if key in document}
    if runtime.get('status') == SUSPENDED:
        runtime['status'] = 'scheduled'
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


def create(plan: firing_plan.Plan, runtime: Mapping[str, Any], now: int,
           supports_claims: bool) -> Runtime:
    """Return the runtime of a new job.

    :param runtime: the runtime keys that the creator sent
    :param now: epoch seconds
    :param supports_claims: whether the client's scheduler claims runs; for a
        polling scheduler the keys are stored unchanged
    :raises freezer_api.domain.schedule.ScheduleError: if the schedule is
        invalid
    """
    new = Runtime(event=runtime.get('event'), status=runtime.get('status'),
                  result=runtime.get('result'), time_created=now,
                  time_started=-1, time_ended=-1)
    if not supports_claims:
        return new
    if new.event == 'start':
        return start(dataclasses.replace(new, status='', result=''), now)
    if new.event in ('stop', 'abort') or (not new.event and new.disarmed):
        return dataclasses.replace(
            new, event='', status=new.status if new.disarmed else 'stop')
    # A status such as 'running' in a cloned document belongs to another job.
    new = dataclasses.replace(new, event=new.event and '', status=None,
                              result=None)
    return arm(plan, new, now, plan.rules.delay)


def start(runtime: Runtime, at: int, now: int | None = None) -> Runtime:
    """Return the runtime of a job that runs once at a given time.

    :param at: the nominal time of the run
    :param now: its due time, if that is not the nominal time
    """
    due_at = at if now is None else now
    return dataclasses.replace(
        runtime, event='start', next_run_at=at,
        due_at=due_at if runtime.run_id is None else None)


def arm(plan: firing_plan.Plan, runtime: Runtime, now: int,
        delay: int) -> Runtime:
    """Return the runtime with the next firing computed again.

    Used for a new job, a new schedule and a new client. A stopped or
    completed job stays so, as does a job without a schedule that has run.

    :param delay: minimum seconds until the firing, unless the user set a date
    :raises freezer_api.domain.schedule.ScheduleError: see create
    """
    runtime = dataclasses.replace(
        runtime, retry_run_id=None, consecutive_failures=0)
    if runtime.disarmed:
        return dataclasses.replace(runtime, next_run_at=None, due_at=None)
    if runtime.event == 'start':
        return start(runtime, now)
    anchor = runtime.time_created if runtime.time_created is not None else now
    if isinstance(plan.parsed, schedules.OneShot):
        ran = (runtime.time_started or -1) >= 0
        following = None if ran else max(now, anchor) + delay
    elif isinstance(plan.parsed, schedules.Once):
        following = plan.firing_after(anchor, now - 1)
    else:
        following = plan.firing_after(anchor, now + delay - 1)
    return armed(plan, dataclasses.replace(
        runtime, status_reason=_advice(runtime)), anchor, following)


def reschedule(plan: firing_plan.Plan, runtime: Runtime, now: int) -> Runtime:
    """Return the runtime of a job after a change of its schedule.

    A completed job continues if the new schedule fires again, as in 19.0.0;
    a stopped job stays so until it is started. A job whose schedule was
    removed does not run: its user did not start it.

    :param plan: of the new schedule
    :param now: epoch seconds
    :raises freezer_api.domain.schedule.ScheduleError: see create
    """
    if runtime.status == 'completed' and not isinstance(
            plan.parsed, schedules.OneShot):
        revived = arm(plan, dataclasses.replace(runtime, status='scheduled'),
                      now, 0)
        if revived.next_run_at is not None:
            return revived
    changed = arm(plan, runtime, now, 0)
    if (isinstance(plan.parsed, schedules.OneShot)
            and changed.event != 'start'):
        return armed(plan, changed, now, None)
    return changed


def armed(plan: firing_plan.Plan, runtime: Runtime, anchor: int,
          firing: int | None) -> Runtime:
    """Return the runtime with a firing, or none, as its next.

    A job without a next firing has completed, with a reason.
    """
    if firing is None and runtime.run_id is None and not runtime.disarmed:
        runtime = dataclasses.replace(
            runtime, status='completed',
            status_reason=runtime.status_reason or _why_none(plan))
    due_at = (plan.due_at(anchor, firing) if runtime.run_id is None
              else None)
    return dataclasses.replace(runtime, next_run_at=firing, due_at=due_at)


def _advice(runtime: Runtime) -> str | None:
    """Return why a job is suspended, None if it is not."""
    return next((cause.advice for cause in trust_errors.Cause
                 if cause == runtime.suspension_reason), None)


def _why_none(plan: firing_plan.Plan) -> str:
    """Return why a job has no firing ahead."""
    try:
        parsed = plan.parsed
    except schedules.ScheduleError as error:
        return f'The schedule cannot be understood: {error}'
    if isinstance(parsed, schedules.Never):
        return parsed.reason
    if isinstance(parsed, schedules.OneShot):
        return 'The job has no schedule. Start it to run it.'
    return 'The schedule has no firing in the future.'


def following(plan: firing_plan.Plan, runtime: Runtime,
              after: int) -> tuple[int | None, str | None]:
    """Return the next firing after a time, and why there is none."""
    try:
        if isinstance(plan.parsed, schedules.OneShot):
            return None, None
        return plan.firing_after(_anchor(runtime, after), after), None
    except schedules.ScheduleError as error:
        return None, f'The schedule cannot be understood: {error}'


def _anchor(runtime: Runtime, now: int) -> int:
    return now if runtime.time_created is None else runtime.time_created


def stands_for(plan: firing_plan.Plan, runtime: Runtime, firing: int,
               until: int) -> int | None:
    """Return the end of the firings that a run coalesces.

    :param firing: the run's own firing
    :param until: the first time that the run does not cover
    :returns: ``until``; None if the run covers no other firing
    """
    if plan.continuous:
        return None
    other, _ = following(plan, runtime, firing)
    return until if other is not None and other < until else None


def stands_until(plan: firing_plan.Plan, runtime: Runtime, now: int) -> int:
    """Return the last time whose firing is covered by a run that begins now.

    A stored schedule can fire more often than its job is allowed to run.
    """
    until = runtime.next_run_at
    if (until is not None and runtime.event != 'start'
            and runtime.retry_run_id is None):
        until += max(0, plan.rules.minimum - 1)
    if until is None:
        return now
    return max(now, until) if plan.rules.coalesce else until


def overdue(runtime: Runtime, now: int) -> bool:
    """Return whether a firing of the schedule waits for a claim."""
    return (runtime.run_id is None and runtime.retry_run_id is None
            and runtime.event != 'start' and runtime.next_run_at is not None
            and runtime.next_run_at <= now)


def claim(plan: firing_plan.Plan, runtime: Runtime, run_id: str,
          now: int) -> Runtime:
    """Return the runtime of a job whose due firing became the run ``run_id``.
    """
    # A continuous job has no next firing before the end of its run.
    firing, reason = ((None, None) if plan.continuous
                      else following(plan, runtime,
                                     stands_until(plan, runtime, now)))
    return dataclasses.replace(
        runtime, event='', status='running', result='', time_started=now,
        time_ended=-1, previous_started_at=runtime.time_started,
        previous_ended_at=runtime.time_ended, run_id=run_id, due_at=None,
        next_run_at=firing, retry_run_id=None, status_reason=reason,
        suspension_reason=trust_errors.lasting(runtime.suspension_reason))


def miss(plan: firing_plan.Plan, runtime: Runtime, now: int,
         after: int | None = None) -> Runtime:
    """Return the runtime of a job whose due firing is too late to run.

    :param after: the next firing is after this time; by default after the due
        firing and all others that are too late
    """
    if after is None:
        after = max(runtime.next_run_at or 0, now - plan.rules.window - 1)
    firing, reason = following(plan, runtime, after)
    missed = dataclasses.replace(
        runtime, status_reason=reason or _advice(runtime), retry_run_id=None,
        status='scheduled')
    return armed(plan, missed, _anchor(runtime, now), firing)


def shortened(runtime: Runtime) -> Runtime:
    """Return the runtime with a reason of limited length."""
    reason = runtime.status_reason
    if reason is None or len(json.dumps(reason)) <= _LONGEST_REASON:
        return runtime
    cuts = (f'{reason[:length]}...' for length in (_LONGEST_REASON - 5, 160))
    return dataclasses.replace(runtime, status_reason=next(
        cut for cut in cuts if len(json.dumps(cut)) <= _LONGEST_REASON))


def set_aside(runtime: Runtime, reason: str, now: int) -> Runtime:
    """Return the runtime of a job that cannot continue for any reason."""
    return dataclasses.replace(
        runtime, event='', status='stop', result=FAIL,
        time_ended=runtime.time_ended if runtime.run_id is None else now,
        current_pid=None, status_reason=reason, run_id=None,
        retry_run_id=None, next_run_at=None, due_at=None)


def finish(plan: firing_plan.Plan, runtime: Runtime, result: str,
           reason: str | None, now: int, ended_at: int | None = None,
           backs_off: bool = True) -> Runtime:
    """Return the runtime of a job whose run has ended.

    Firings during the run are skipped, unless the rules keep them;
    ``next_run_at`` before the call shows whether there were any. Later
    firings are late.

    :param result: success, fail or aborted; empty for none
    :param now: epoch seconds
    :param ended_at: when the run ended, if that was not now
    :param backs_off: whether the job waits if its run failed at once
    """
    if ended_at is None:
        ended_at = now
    failures = runtime.consecutive_failures or 0
    failures = 0 if result == SUCCESS else failures + 1
    ended = dataclasses.replace(
        runtime, result=result, time_ended=ended_at, run_id=None,
        current_pid=None, status_reason=reason or _advice(runtime),
        consecutive_failures=failures, suspended_at=(
            runtime.suspended_at if runtime.suspension_reason else None))
    if runtime.event in ('stop', 'abort'):
        return dataclasses.replace(ended, event='', status='completed',
                                   next_run_at=None, due_at=None)
    firing = runtime.next_run_at
    # A clock that was ahead may have recorded a later start.
    started = now if runtime.time_started is None else min(
        now, runtime.time_started)
    if plan.continuous:
        firing, _ = following(plan, runtime, max(
            now + max(0, plan.rules.wait(failures) - 1),
            started + plan.rules.minimum - 1))
    elif (firing is not None and firing <= ended_at
            and plan.rules.end_passes_over):
        firing, _ = following(plan, runtime, ended_at)
    ended = armed(plan, dataclasses.replace(ended, status='scheduled'),
                  _anchor(runtime, now), firing)
    if backs_off and failures and ended_at < started + plan.rules.minimum:
        return _back_off(plan, ended, started + plan.rules.wait(failures))
    return ended


def _back_off(plan: firing_plan.Plan, runtime: Runtime, until: int) -> Runtime:
    """Return the runtime of a job whose runs fail at once.

    Its next firing becomes due later, and its run then covers the firings in
    between.

    :param until: the earliest due time
    """
    if runtime.due_at is None or runtime.due_at >= until:
        return runtime
    waits = (
        f'Runs without success in a row: {runtime.consecutive_failures}. The '
        f'next run waits until {firing_plan.iso(until)}.')
    return dataclasses.replace(runtime, due_at=until, status_reason=' '.join(
        filter(None, (runtime.status_reason, waits))))


def as_stopped(runtime: Runtime) -> Runtime:
    """Return the runtime for a scheduler that must not read the schedule.

    A polling scheduler runs a job at once if it does not support its schedule
    keys. It ignores a stopped job without an event.
    """
    return dataclasses.replace(
        runtime, event=runtime.event and '',
        status=runtime.status if runtime.disarmed else 'stop',
        status_reason=UNKNOWN_SCHEDULE, next_run_at=None)


def visible(runtime: Runtime, now: int, delay: int) -> str | None:
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
        return SUSPENDED
    if (runtime.status in (None, '') and runtime.event in (None, '')
            and runtime.next_run_at is not None
            and now > (runtime.time_created or 0) + delay):
        return 'scheduled'
    return runtime.status


def at_rest(runtime: Runtime) -> bool:
    """Return whether a job waits until a start or a change."""
    return (runtime.disarmed and runtime.event != 'start'
            and runtime.next_run_at is None and runtime.run_id is None)

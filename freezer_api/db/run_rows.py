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

"""Rows of runs: their history, what is reported of them, and their end.

Whoever needs both locks the job before the run, so that no two wait for each
other.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import collation
from freezer_api.db import jobs as db_jobs
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import session_runs
from freezer_api.db import trusts
from freezer_api.domain import firing_plan
from freezer_api.domain import job_state
from freezer_api.domain import run_state
from freezer_api.domain import suspension
from freezer_api.domain import trust_errors


# Why a firing was skipped.
OVERLAP = 'The previous run of the job was still going on.'
# Of a job's runs that are looked at together.
_SECONDS = 64

# Runs of which objects are made at once.
_READ_AHEAD = 20

_ENDED = 'The job was ended by its user before a scheduler claimed the run.'


@dataclasses.dataclass(frozen=True)
class Holder:
    """The scheduler that asks.

    ``project_id`` is set for a client of one project, None for a central one.
    """

    client_id: str
    project_id: str | None
    scheduler_id: str

    def serves(self, run: Any) -> bool:
        """Return whether a run, or some columns of it, is of the client."""
        return (run.client_id == self.client_id
                and self.project_id in (None, run.project_id))

    def has(self, run: Any, fence: int) -> bool:
        """Return whether a run is in progress and belongs to the holder."""
        return (self.serves(run) and run.scheduler_id == self.scheduler_id
                and run.fence == fence and run.lease_expires_at is not None)


def of_client(holder: Holder) -> sa.ColumnElement[bool]:
    """The condition of a run of the holder's client."""
    client = collation.same_text(models.JobRun.client_id, holder.client_id)
    if holder.project_id is None:
        return client
    return sa.and_(client, models.JobRun.project_id == holder.project_id)


def look_up(session: orm.Session, holder: Holder,
            run_id: str) -> models.JobRun | None:
    """Return a run of the holder's client."""
    return session.scalars(sa.select(models.JobRun).where(
        models.JobRun.id == run_id, of_client(holder))).first()


def list_of_job(session: orm.Session, job_id: str, limit: int,
                offset: int) -> Iterator[models.JobRun]:
    """Return a page of a job's runs, newest first."""
    return session.scalars(
        sa.select(models.JobRun)
        .where(models.JobRun.job_id == job_id)
        .order_by(models.JobRun.nominal_at.desc())
        .limit(limit).offset(offset)).yield_per(_READ_AHEAD)


def existing_firings(session: orm.Session,
                     due: Sequence[models.Job]) -> set[tuple[str, int | None]]:
    """Job id and time of the firings, among others, that have a run already.

    A schedule that is changed within the second of a firing, or by an API
    whose clock is behind, names that time once more. One such job must not
    keep all others from being claimed.
    """
    query = sa.select(models.JobRun.job_id, models.JobRun.nominal_at).where(
        models.JobRun.job_id.in_([job.id for job in due]),
        models.JobRun.nominal_at.in_({job.next_run_at for job in due}))
    return {(job_id, nominal_at)
            for job_id, nominal_at in session.execute(query)}


def latest(session: orm.Session, job_id: str,
           now: int) -> tuple[int, int] | None:
    """Return the latest nominal time of a job's runs up to now.

    A clock that was ahead leaves later ones.

    :returns: that time, and the last moment whose firing the run stands for;
        None without runs
    """
    found = session.execute(
        sa.select(models.JobRun.nominal_at, models.JobRun.coalesced_until)
        .where(models.JobRun.job_id == job_id,
               models.JobRun.nominal_at <= now)
        .order_by(models.JobRun.nominal_at.desc()).limit(1)).first()
    if found is None:
        return None
    return found.nominal_at, max(found.nominal_at,
                                 (found.coalesced_until or 0) - 1)


def start_time(session: orm.Session, job_id: str, now: int) -> int:
    """Return the nominal time of a start that was asked for now.

    It is the first second that no run of the job is named after: there may
    have been one this very second.
    """
    at = now
    while taken := set(session.scalars(sa.select(
            models.JobRun.nominal_at).where(
                models.JobRun.job_id == job_id,
                models.JobRun.nominal_at >= at,
                models.JobRun.nominal_at < at + _SECONDS))):
        free = [second for second in range(at, at + _SECONDS)
                if second not in taken]
        if free:
            return free[0]
        at += _SECONDS
    return at


def overlapped_until(session: orm.Session, job_id: str,
                     firing: int) -> int | None:
    """Return the end of a run that went on when a job's firing came.

    :returns: None where there was none
    """
    return session.scalar(sa.select(sa.func.max(
        models.JobRun.time_ended)).where(
            models.JobRun.job_id == job_id,
            models.JobRun.time_started < firing,
            models.JobRun.time_ended >= firing))


def abort_orphan(session: orm.Session, job: models.Job,
                 rules: firing_plan.Rules, now: int) -> None:
    """End the run of a job that was moved away from a client that is gone.

    While its holder is alive, the run goes on and ends by itself.
    """
    run = job.run_id and session.get(models.JobRun, job.run_id,
                                     with_for_update=True)
    if (run and run.client_id != job.client_id
            and run.lease_expires_at is not None
            and run.lease_expires_at <= now):
        end(session, job, run, run_state.State.ABORTED,
            'The job was given to another client, and no scheduler of '
            f'{run.client_id} went on with the run.', rules, now)


def set_event(session: orm.Session, run_id: str, event: str) -> None:
    """Leave an event for the holder of a run."""
    session.execute(sa.update(models.JobRun).where(
        models.JobRun.id == run_id).values(event=event))


def end(session: orm.Session, job: models.Job, run: models.JobRun,
        state: run_state.State, reason: str | None,
        rules: firing_plan.Rules | db_jobs.Plans,
        now: int, ended: int | None = None) -> None:
    """End a run, and put its job where it belongs after it.

    :param rules: or plans that know the firings; see :func:`foresee`
    :param ended: when that was, if it was not now
    """
    plan = _plan(job, rules)
    before = _close(session, job, run, state, reason, plan, now, ended)
    if before is not None:
        db_jobs.set_runtime(job, job_state.finish(
            plan, before, state.value, reason, now, run.time_ended))


def _plan(job: models.Job,
          rules: firing_plan.Rules | db_jobs.Plans) -> firing_plan.Plan:
    return (rules.of(job) if isinstance(rules, db_jobs.Plans)
            else db_jobs.plan(job, rules))


def foresee(job: models.Job, known: db_jobs.Plans, now: int,
            ended: int, success: bool) -> None:
    """Search the firings that the end of a job's run may ask for.

    Call it with a job that is not locked, before the transaction.

    :param known: plans that know the firings afterwards
    :param ended: when the run ended
    :param success: whether it ended well
    """
    plan, state = known.of(job), db_jobs.runtime(job)
    job_state.finish(plan, state,
                     job_state.SUCCESS if success else job_state.FAIL, None,
                     now, ended)
    if state.next_run_at is not None and state.next_run_at <= now:
        job_state.stands_for(plan, state, state.next_run_at, now + 1)


def refuse(session: orm.Session, job: models.Job, run: models.JobRun,
           cause: trust_errors.Cause, rules: firing_plan.Rules | db_jobs.Plans,
           now: int, ended: int | None = None) -> None:
    """End a run whose trust does not work, and suspend its job.

    It may be tried again within the window of the rules, unless something was
    begun already.

    :param rules: see :func:`end`
    :param ended: when that was, if it was not now
    """
    plan = _plan(job, rules)
    begun = bool(run.actions)
    credential = trusts.of_jobs(session, [job.id]).get(job.id)
    tried = (credential is not None
             and credential.delegation_id == run.delegation_id)
    if cause is trust_errors.Cause.GONE and tried:
        cause = trusts.invalidate(session, run.delegation_id, now)
    reason = run.reason if begun and run.reason else cause.advice
    run.trust_error = str(cause)
    before = _close(session, job, run, run_state.State.FAIL if begun
                    else run_state.State.SKIPPED, reason, plan, now, ended)
    if before is None:
        return
    if job.client_id != run.client_id:
        db_jobs.set_runtime(job, job_state.finish(
            plan, before, job_state.FAIL, reason, now, run.time_ended))
        return
    firing = None
    if not begun and run.trigger == run_state.Trigger.SCHEDULE:
        firing = suspension.Firing(
            run.id, run.nominal_at, plan.rules.window)
    after = suspension.suspend(plan, before, cause, firing, now,
                               run.time_ended, begun)
    if credential is not None and not tried and (
            run.delegation_id or cause is trust_errors.Cause.GONE):
        # It has another trust by now.
        after = suspension.resume(after, now)
    if after.retry_run_id == run.id:
        run.state = run_state.State.WAITING
    db_jobs.set_runtime(job, after)


def _close(session: orm.Session, job: models.Job, run: models.JobRun,
           state: run_state.State, reason: str | None, plan: firing_plan.Plan,
           now: int, ended: int | None) -> job_state.Runtime | None:
    """End a run.

    :returns: where its job stands, None when that does not depend on the run
        any more
    """
    run.state = state
    run.reason = reason
    run.time_ended = now if ended is None else ended
    run.lease_expires_at = None
    if job.run_id != run.id:
        return None
    session_runs.end(session, job, state, run.time_ended)
    if job.deleted:
        job.run_id = None
        return None
    before = db_jobs.runtime(job)
    _record_overlapped(session, job, plan, now, run.time_ended)
    return before


def _record_overlapped(session: orm.Session, job: models.Job,
                       plan: firing_plan.Plan, now: int, ended: int) -> None:
    """Record the firings that came during a run, if nobody runs them.

    Those since its end are late, unless the user has ended the job with it.
    """
    before = db_jobs.runtime(job)
    disarmed = before.event in ('stop', 'abort')
    until = now if disarmed else ended
    if (before.next_run_at is None or before.next_run_at > until
            or plan.continuous or existing_firings(session, [job])):
        return
    if plan.rules.end_passes_over and before.next_run_at <= ended:
        record_skipped(session, job, plan, run_state.State.SKIPPED, now,
                       OVERLAP, until + 1)
    elif disarmed:
        record_skipped(session, job, plan, run_state.State.SKIPPED, now,
                       _ENDED)


def record_skipped(session: orm.Session, job: models.Job,
                   plan: firing_plan.Plan, state: run_state.State, now: int,
                   reason: str, until: int | None = None) -> None:
    """Record the job's next firing as one that is not run.

    :param state: missed or skipped
    :param until: the first later one that this does not stand for; None
        where there is none up to now
    """
    session.add(models.JobRun(**skipped_values(
        job, plan, db_jobs.runtime(job), state, now, reason, until)))


def skipped_values(job: models.Job, plan: firing_plan.Plan,
                   before: job_state.Runtime, state: run_state.State, now: int,
                   reason: str, until: int | None = None) -> dict[str, Any]:
    """Return the values of such a record; see :func:`record_skipped`.

    :param before: where the job stands
    """
    assert before.next_run_at is not None
    return {
        'id': rows.new_id(), 'job_id': job.id, 'project_id': job.project_id,
        'client_id': job.client_id, 'nominal_at': before.next_run_at,
        'fence': 0, 'coalesced_until': job_state.stands_for(
            plan, before, before.next_run_at,
            now + 1 if until is None else min(until, now + 1)), 'trigger':
                run_state.trigger(before), 'state': state, 'time_ended': now,
        'reason': reason
    }


def skip_unclaimed(session: orm.Session, job: models.Job,
                   rules: firing_plan.Rules, now: int, why: str) -> None:
    """Record a firing that nobody has claimed, and that nobody will.

    :param why: what came before it was claimed
    """
    plan = db_jobs.plan(job, rules)
    if (job_state.overdue(db_jobs.runtime(job), now) and not plan.continuous
            and not existing_firings(session, [job])):
        record_skipped(session, job, plan, run_state.State.SKIPPED, now,
                       f'{why} before a scheduler claimed the run.')


def fail_bare(connection: sa.Connection, job_id: str, run_id: str,
              now: int) -> None:
    """End a run as a failure, and write nothing else of it and its job."""
    connection.execute(sa.update(models.Job).where(
        models.Job.id == job_id, models.Job.run_id == run_id).values(
            run_id=None))
    connection.execute(sa.update(models.JobRun).where(
        models.JobRun.id == run_id).values(
            state=run_state.State.FAIL, time_ended=now,
            lease_expires_at=None))

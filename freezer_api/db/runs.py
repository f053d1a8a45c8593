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

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import delegations
from freezer_api.db import exact
from freezer_api.db import jobs as db_jobs
from freezer_api.db import models
from freezer_api.db import rounds
from freezer_api.db import rows
from freezer_api.domain import causes
from freezer_api.domain import jobs
from freezer_api.domain import plans
from freezer_api.domain import runs
from freezer_api.domain import suspension


# Why a firing was skipped.
OVERLAP = 'The previous run of the job was still going on.'
_ENDED = 'The job was ended by its user before a scheduler claimed the run.'


@dataclasses.dataclass(frozen=True)
class Holder:
    """The scheduler that asks.

    ``project_id`` is set for a client of one project, None for a central one.
    """

    client_id: str
    project_id: str | None
    scheduler_id: str


def of_client(holder: Holder) -> sa.ColumnElement[bool]:
    """The condition of a run of the holder's client."""
    client = exact.same_text(models.JobRun.client_id, holder.client_id)
    if holder.project_id is None:
        return client
    return sa.and_(client, models.JobRun.project_id == holder.project_id)


def list_of_job(session: orm.Session, job_id: str, limit: int,
                offset: int) -> Iterator[models.JobRun]:
    """Yield a page of a job's runs, newest first, to be looked at."""
    return rows.look(
        session, sa.select(*rows.shown(models.JobRun))
        .where(models.JobRun.job_id == job_id)
        .order_by(models.JobRun.nominal_at.desc())
        .limit(limit).offset(offset), models.JobRun)


def had(session: orm.Session,
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


def latest(session: orm.Session, job_id: str) -> tuple[int, int] | None:
    """Return the latest nominal time of a job's runs, None without runs.

    :returns: that time, and the last moment whose firing the run stands for
    """
    found = session.execute(
        sa.select(models.JobRun.nominal_at, models.JobRun.covers_until)
        .where(models.JobRun.job_id == job_id)
        .order_by(models.JobRun.nominal_at.desc()).limit(1)).first()
    if found is None:
        return None
    return found.nominal_at, max(found.nominal_at,
                                 (found.covers_until or 0) - 1)


def start_time(session: orm.Session, job: models.Job, now: int) -> int:
    """Return the nominal time of a start that was asked for now.

    It is later than that of any run before, of which there may have been one
    this very second.
    """
    found = latest(session, job.id)
    return now if found is None else max(now, found[0] + 1)


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


def leave_behind(session: orm.Session, job: models.Job, rules: plans.Rules,
                 now: int) -> None:
    """End the run of a job that was moved away from a client that is gone.

    While its holder is alive, the run goes on and ends by itself.
    """
    run = job.run_id and session.get(models.JobRun, job.run_id,
                                     with_for_update=True)
    if (run and run.client_id != job.client_id
            and run.lease_expires_at is not None
            and run.lease_expires_at <= now):
        end(session, job, run, runs.State.ABORTED,
            'The job was given to another client, and no scheduler of '
            f'{run.client_id} went on with the run.', rules, now)


def tell(session: orm.Session, run_id: str, event: str) -> None:
    """Leave an event for the holder of a run."""
    session.execute(sa.update(models.JobRun).where(
        models.JobRun.id == run_id).values(event=event))


def end(session: orm.Session, job: models.Job, run: models.JobRun,
        state: runs.State, reason: str | None,
        rules: plans.Rules | db_jobs.Plans,
        now: int, ended: int | None = None) -> None:
    """End a run, and put its job where it belongs after it.

    :param rules: or plans that know the firings; see :func:`foresee`
    :param ended: when that was, if it was not now
    """
    plan = _plan(job, rules)
    before = _close(session, job, run, state, reason, plan, now, ended)
    if before is not None:
        db_jobs.set_runtime(job, jobs.finish(
            plan, before, state.value, reason, now, run.time_ended))


def _plan(job: models.Job,
          rules: plans.Rules | db_jobs.Plans) -> plans.Plan:
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
    jobs.finish(plan, state, jobs.SUCCESS if success else jobs.FAIL, None,
                now, ended)
    if state.next_run_at is not None and state.next_run_at <= now:
        jobs.stands_for(plan, state, state.next_run_at, now + 1)


def refuse(session: orm.Session, job: models.Job, run: models.JobRun,
           cause: causes.Cause, rules: plans.Rules | db_jobs.Plans, now: int,
           ended: int | None = None) -> None:
    """End a run whose trust does not work, and suspend its job.

    It may be tried again within the window of the rules, unless something was
    begun already.

    :param rules: see :func:`end`
    :param ended: when that was, if it was not now
    """
    plan = _plan(job, rules)
    begun = bool(run.actions)
    credential = delegations.of_jobs(session, [job.id]).get(job.id)
    tried = (credential is not None
             and credential.delegation_id == run.delegation_id)
    if cause is causes.Cause.GONE and tried:
        cause = delegations.spend(session, run.delegation_id, now)
    reason = run.reason if begun and run.reason else cause.advice
    run.cause = str(cause)
    before = _close(session, job, run, runs.State.FAIL if begun
                    else runs.State.SKIPPED, reason, plan, now, ended)
    if before is None:
        return
    if job.client_id != run.client_id:
        db_jobs.set_runtime(job, jobs.finish(
            plan, before, jobs.FAIL, reason, now, run.time_ended))
        return
    firing = None
    if not begun and run.trigger == runs.Trigger.SCHEDULE:
        firing = suspension.Firing(
            run.id, run.nominal_at, plan.rules.window)
    after = suspension.suspend(plan, before, cause, firing, now,
                               run.time_ended)
    if credential is not None and not tried and run.delegation_id:
        # It has another trust by now.
        after = suspension.resume(after, now)
    db_jobs.set_runtime(job, after)


def _close(session: orm.Session, job: models.Job, run: models.JobRun,
           state: runs.State, reason: str | None, plan: plans.Plan,
           now: int, ended: int | None) -> jobs.Runtime | None:
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
    rounds.end(session, job, state, run.time_ended)
    if job.deleted:
        job.run_id = None
        return None
    before = db_jobs.runtime(job)
    _pass_over_others(session, job, plan, now, run.time_ended)
    return before


def _pass_over_others(session: orm.Session, job: models.Job,
                      plan: plans.Plan, now: int, ended: int) -> None:
    """Record the firings that came during a run, if nobody runs them.

    Those since its end are late, unless the user has ended the job with it.
    """
    before = db_jobs.runtime(job)
    disarmed = before.event in ('stop', 'abort')
    until = now if disarmed else ended
    if (before.next_run_at is None or before.next_run_at > until
            or plan.continuous or had(session, [job])):
        return
    if plan.rules.end_passes_over and before.next_run_at <= ended:
        pass_over(session, job, plan, runs.State.SKIPPED, now, OVERLAP,
                  until + 1)
    elif disarmed:
        pass_over(session, job, plan, runs.State.SKIPPED, now, _ENDED)


def pass_over(session: orm.Session, job: models.Job, plan: plans.Plan,
              state: runs.State, now: int, reason: str,
              until: int | None = None) -> None:
    """Record the job's next firing as one that is not run.

    :param state: missed or skipped
    :param until: the first later one that this does not stand for; None
        where there is none up to now
    """
    session.add(models.JobRun(**passed_over(
        job, plan, db_jobs.runtime(job), state, now, reason, until)))


def passed_over(job: models.Job, plan: plans.Plan, before: jobs.Runtime,
                state: runs.State, now: int, reason: str,
                until: int | None = None) -> dict[str, Any]:
    """Return the values of such a record; see :func:`pass_over`.

    :param before: where the job stands
    """
    assert before.next_run_at is not None
    return {
        'id': rows.new_id(), 'job_id': job.id, 'project_id': job.project_id,
        'client_id': job.client_id, 'nominal_at': before.next_run_at,
        'fence': 0,
        'covers_until': jobs.stands_for(
            plan, before, before.next_run_at,
            now + 1 if until is None else min(until, now + 1)),
        'trigger': runs.trigger(before), 'state': state, 'time_ended': now,
        'reason': reason}


def forgo(session: orm.Session, job: models.Job, rules: plans.Rules,
          now: int, why: str) -> None:
    """Record a firing that nobody has claimed, and that nobody will.

    :param why: what came before it was claimed
    """
    plan = db_jobs.plan(job, rules)
    if (jobs.overdue(db_jobs.runtime(job), now) and not plan.continuous
            and not had(session, [job])):
        pass_over(session, job, plan, runs.State.SKIPPED, now,
                  f'{why} before a scheduler claimed the run.')


def of_ids(session: orm.Session,
           job_ids: Iterable[str]) -> dict[str, models.Job]:
    """Return jobs by id, deleted ones too."""
    return {job.id: job for job in session.scalars(
        sa.select(models.Job).where(models.Job.id.in_(list(job_ids))))}

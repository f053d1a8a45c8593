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

"""Rows of runs, as schedulers get and keep them: claims and leases.

Whoever needs both locks the job before the run, so that no two wait for each
other.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import exact
from freezer_api.db import jobs as db_jobs
from freezer_api.db import models
from freezer_api.db import queues
from freezer_api.db import rows
from freezer_api.db import runs as db_runs
from freezer_api.domain import jobs
from freezer_api.domain import plans
from freezer_api.domain import runs
from freezer_api.domain import suspension
from freezer_api.domain import turns

_CHUNK = 500


@dataclasses.dataclass(frozen=True)
class Claimed:
    """What a scheduler is given.

    :ivar expired: runs that another one held
    :ivar begun: runs that begin
    :ivar missed: how many jobs had firings that came too late
    """

    expired: Sequence[tuple[models.Job, models.JobRun]] = ()
    begun: Sequence[tuple[models.Job, models.JobRun]] = ()
    missed: int = 0


def renew(session: orm.Session, holder: db_runs.Holder,
          held: Mapping[str, int], now: int,
          lease: int) -> dict[str, str | None]:
    """Prolong the leases of the runs that are still the holder's.

    :param held: fence by run id
    :param lease: for how many seconds a run is kept without a word
    :returns: what the user wants of each of those runs, by run id
    """
    ours: dict[str, str | None] = {}
    run_ids = sorted(held)
    for start in range(0, len(run_ids), _CHUNK):
        # Not whole runs, with all they have reported: it is asked often, and
        # of thousands.
        ours |= {run_id: event for run_id, fence, event in session.execute(
            sa.select(models.JobRun.id, models.JobRun.fence,
                      models.JobRun.event).where(
                models.JobRun.id.in_(run_ids[start:start + _CHUNK]),
                db_runs.of_client(holder),
                models.JobRun.scheduler_id == holder.scheduler_id,
                models.JobRun.lease_expires_at.is_not(None))
            .order_by(models.JobRun.id).with_for_update())
            if fence == held[run_id]}
    ids = list(ours)
    for start in range(0, len(ids), _CHUNK):
        # One statement: row by row, each would be one more to be waited for.
        session.execute(
            sa.update(models.JobRun)
            .where(models.JobRun.id.in_(ids[start:start + _CHUNK]))
            .values(lease_expires_at=now + lease),
            execution_options={'synchronize_session': False})
    return ours


def due_times(session: orm.Session, holder: db_runs.Holder,
              now: int) -> tuple[int | None, int | None]:
    """Return when jobs are due that the holder was not given.

    :returns: since when the longest waiting one has been due, and when the
        next one will be; None where there is none
    """
    at = models.Job.due_at
    # One entry of the index of the claims is read for each.
    first = sa.select(at).where(_given_to(holder)).order_by(at).limit(1)
    if holder.project_id is not None:
        first = first.where(models.Job.project_id == holder.project_id)
    since, next_at = session.execute(sa.select(
        first.where(at <= now).scalar_subquery(),
        first.where(at > now).scalar_subquery())).one()
    return since, next_at


def _given_to(holder: db_runs.Holder) -> sa.ColumnElement[bool]:
    return exact.same_text(models.Job.client_id, holder.client_id)


def take(session: orm.Session, holder: db_runs.Holder,
         wanted: Sequence[turns.Entry], lease: int, rules: plans.Rules,
         now: int) -> Claimed:
    """Give the holder runs: those nobody holds any more, and due jobs.

    :param wanted: of :func:`line`
    :param lease: for how many seconds a run is kept without a word
    """
    expired = [entry.id for entry in wanted if entry.goes_on]
    due = [entry.id for entry in wanted if not entry.goes_on]
    taken = take_over(session, holder, expired, lease, now) if expired else []
    if not due:
        return Claimed(taken)
    begun, missed = claim(session, holder, due, lease, rules, now)
    return Claimed(taken, begun, missed)


def line(session: orm.Session, holder: db_runs.Holder, limit: int,
         per_project: int | None, now: int) -> list[turns.Entry]:
    """Return whose turn it is, expired leases and due jobs in one line.

    :param per_project: how many runs of a project may go on at one time for
        the client, whoever holds them; None for any number
    """
    if not limit:
        return []
    going: dict[str | None, int] = {}
    full: list[str] = []
    if per_project is not None:
        going = _going(session, holder)
        full = [project_id for project_id, number in going.items()
                if project_id is not None and number >= per_project]
    entries: list[turns.Entry] = []
    for which, closed, most in ((queues.EXPIRED, [], None),
                                (queues.DUE, full, per_project)):
        if holder.project_id is None:
            entries += queues.head(
                session, which, holder.client_id, now, limit, closed,
                _room(most or limit, going if most else {}))
        else:
            entries += queues.of_project(
                session, which, holder.client_id, holder.project_id, now,
                limit)
    return turns.chosen(entries, limit, going, per_project)


def _room(most: int,
          going: Mapping[str | None, int]) -> Callable[[str], int]:
    return lambda project_id: most - going.get(project_id, 0)


def _going(session: orm.Session,
           holder: db_runs.Holder) -> dict[str | None, int]:
    """Return how many runs of each project go on for the client."""
    return dict(session.execute(
        sa.select(models.JobRun.project_id, sa.func.count()).where(
            db_runs.of_client(holder),
            models.JobRun.lease_expires_at.is_not(None)).group_by(
                models.JobRun.project_id)).all())


def take_over(session: orm.Session, holder: db_runs.Holder,
              wanted: Sequence[str], lease: int,
              now: int) -> list[tuple[models.Job, models.JobRun]]:
    """Give the holder runs whose lease has expired."""
    expired = {run.id: run for run in session.scalars(
        sa.select(models.JobRun).where(
            models.JobRun.id.in_(wanted), db_runs.of_client(holder),
            models.JobRun.lease_expires_at <= now)
        .order_by(models.JobRun.id).with_for_update(skip_locked=True))}
    by_id = db_runs.of_ids(session, [run.job_id for run in expired.values()])
    taken = []
    for run_id in wanted:
        run = expired.get(run_id)
        if run is not None:
            run.scheduler_id = holder.scheduler_id
            run.lease_expires_at = now + lease
            run.fence += 1
            taken.append((by_id[run.job_id], run))
    return taken


def claim(session: orm.Session, holder: db_runs.Holder,
          wanted: Sequence[str], lease: int, rules: plans.Rules,
          now: int) -> tuple[list[tuple[models.Job, models.JobRun]], int]:
    """Make runs of due jobs and give them to the holder.

    :returns: them, and how many jobs had firings that came too late
    """
    due = session.scalars(
        sa.select(models.Job).where(
            models.Job.id.in_(wanted), rows.live(models.Job),
            _given_to(holder), models.Job.due_at <= now)
        .order_by(models.Job.id).with_for_update(skip_locked=True)).all()
    had = db_runs.had(session, due)
    claimed, missed = [], 0
    place = {job_id: number for number, job_id in enumerate(wanted)}
    for job in sorted(due, key=lambda job: place[job.id]):
        plan = db_jobs.plan(job, rules)
        if job.run_id is not None:
            # An API of an earlier revision knows nothing of the column.
            job.due_at = None
            continue
        if job.retry_run_id is not None:
            run = _claim_again(session, holder, job, plan, lease, now)
        else:
            if (job.id, job.next_run_at) in had:
                _pass_on(session, job, plan, now)
            state = db_jobs.runtime(job)
            if runs.too_late(state, now, plan.rules.window):
                state = _miss(session, job, plan, state, now)
                missed += 1
            state = _skip(session, job, plan, state, now)
            run = _claim_one(session, holder, job, plan, state, lease, now)
        if run is not None:
            claimed.append((job, run))
    return claimed, missed


def _pass_on(session: orm.Session, job: models.Job, plan: plans.Plan,
             now: int) -> None:
    """Pass on from a firing that was run already."""
    state = db_jobs.runtime(job)
    if runs.trigger(state) is runs.Trigger.START:
        state = jobs.start(state, db_runs.start_time(session, job, now))
    else:
        state = jobs.miss(plan, state, now, db_runs.stood_for(session, job))
    db_jobs.set_runtime(job, state)


def _miss(session: orm.Session, job: models.Job, plan: plans.Plan,
          state: jobs.Runtime, now: int) -> jobs.Runtime:
    """Pass on from firings that came too late; return where that leads."""
    missed = jobs.miss(plan, state, now)
    db_runs.pass_over(
        session, job, plan, runs.State.MISSED, now,
        f'No scheduler claimed the run within {plan.rules.window} seconds of '
        'its time.', until=missed.next_run_at)
    db_jobs.set_runtime(job, missed)
    if (missed.due_at is not None and missed.due_at <= now
            and db_runs.had(session, [job])):
        _pass_on(session, job, plan, now)
    return db_jobs.runtime(job)


def _skip(session: orm.Session, job: models.Job, plan: plans.Plan,
          state: jobs.Runtime, now: int) -> jobs.Runtime:
    """Pass on from late firings that came while a run of the job went on.

    The end of a run has done so already where it is to.

    :returns: where that leads
    """
    if plan.rules.coalesce or plan.rules.overlap is not plans.Overlap.SKIP:
        return state
    while (jobs.overdue(state, now) and (
            ended := db_runs.overlapped_until(session, job)) is not None):
        state = jobs.miss(plan, state, now, ended)
        db_runs.pass_over(session, job, plan, runs.State.SKIPPED, now,
                          db_runs.OVERLAP, until=ended + 1)
        db_jobs.set_runtime(job, state)
        if db_runs.had(session, [job]):
            _pass_on(session, job, plan, now)
            state = db_jobs.runtime(job)
    return state


def _claim_one(session: orm.Session, holder: db_runs.Holder, job: models.Job,
               plan: plans.Plan, state: jobs.Runtime, lease: int,
               now: int) -> models.JobRun | None:
    """Make a run of a job, if it is due."""
    if (state.next_run_at is None or state.due_at is None
            or state.due_at > now):
        return None
    run = models.JobRun(
        id=rows.new_id(), job_id=job.id, project_id=job.project_id,
        client_id=job.client_id, nominal_at=state.next_run_at,
        covers_until=jobs.stands_for(
            plan, state, state.next_run_at,
            jobs.stands_until(plan, state, now) + 1),
        trigger=runs.trigger(state), fence=1, time_started=now)
    session.add(run)
    _hand_out(holder, job, run, plan, state, lease, now)
    return run


def _claim_again(session: orm.Session, holder: db_runs.Holder,
                 job: models.Job, plan: plans.Plan, lease: int,
                 now: int) -> models.JobRun | None:
    """Try a run again that the job's trust did not allow before."""
    run = session.get(models.JobRun, job.retry_run_id, with_for_update=True)
    state = db_jobs.runtime(job)
    if run is None or not suspension.Firing(
            run.id, run.nominal_at, plan.rules.window).in_time(now):
        db_jobs.set_runtime(job, jobs.miss(plan, state, now))
        return None
    run.fence += 1
    run.client_id = job.client_id
    run.reason = run.cause = run.time_ended = run.delegation_id = None
    run.covers_until = run.covers_until or jobs.stands_for(
        plan, state, run.nominal_at, jobs.stands_until(plan, state, now) + 1)
    _hand_out(holder, job, run, plan, state, lease, now)
    return run


def _hand_out(holder: db_runs.Holder, job: models.Job, run: models.JobRun,
              plan: plans.Plan, state: jobs.Runtime, lease: int,
              now: int) -> None:
    run.state = runs.State.RUNNING
    run.scheduler_id = holder.scheduler_id
    run.lease_expires_at = now + lease
    db_jobs.set_runtime(job, jobs.claim(plan, state, run.id, now))

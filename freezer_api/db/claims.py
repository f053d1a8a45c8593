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

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import exact
from freezer_api.db import jobs as db_jobs
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import runs as db_runs
from freezer_api.domain import jobs
from freezer_api.domain import runs
from freezer_api.domain import suspension

_CHUNK = 500


@dataclasses.dataclass(frozen=True)
class Claimed:
    """What became of due jobs: runs, and how many that came too late."""

    runs: Sequence[tuple[models.Job, models.JobRun]] = ()
    missed: int = 0


def renew(session: orm.Session, holder: db_runs.Holder,
          held: Mapping[str, int], now: int,
          lease: int) -> Sequence[models.JobRun]:
    """Prolong the leases of the runs that are still the holder's.

    :param held: fence by run id
    :param lease: for how many seconds a run is kept without a word
    :returns: those runs
    """
    ours: list[models.JobRun] = []
    run_ids = sorted(held)
    for start in range(0, len(run_ids), _CHUNK):
        ours += [run for run in session.scalars(
            sa.select(models.JobRun).where(
                models.JobRun.id.in_(run_ids[start:start + _CHUNK]),
                db_runs.of_client(holder),
                models.JobRun.scheduler_id == holder.scheduler_id,
                models.JobRun.lease_expires_at.is_not(None))
            .order_by(models.JobRun.id).with_for_update())
            if run.fence == held[run.id]]
    for run in ours:
        run.lease_expires_at = now + lease
    return ours


def take_over(session: orm.Session, holder: db_runs.Holder, limit: int,
              lease: int, now: int) -> list[models.JobRun]:
    """Give the holder runs whose lease has expired."""
    expired = session.scalars(
        sa.select(models.JobRun).where(
            db_runs.of_client(holder), models.JobRun.lease_expires_at <= now)
        .order_by(models.JobRun.lease_expires_at).limit(limit)
        .with_for_update(skip_locked=True)).all()
    for run in expired:
        run.scheduler_id = holder.scheduler_id
        run.lease_expires_at = now + lease
        run.fence += 1
    return list(expired)


def _given_to(holder: db_runs.Holder) -> sa.ColumnElement[bool]:
    return exact.same_text(models.Job.client_id, holder.client_id)


def _waiting(holder: db_runs.Holder, now: int) -> sa.ColumnElement[bool]:
    """The condition of a job that is due and not in anybody's hands."""
    waiting = sa.and_(
        rows.live(models.Job), _given_to(holder),
        models.Job.next_run_at <= now, models.Job.run_id.is_(None))
    if holder.project_id is None:
        return waiting
    return sa.and_(waiting, models.Job.project_id == holder.project_id)


def due_since(session: orm.Session, holder: db_runs.Holder,
              now: int) -> int | None:
    """Return since when the longest waiting job has been due, if one is."""
    # The index of the claims begins with it: one entry is read, and those
    # of jobs whose last run outlasts their next firing.
    return session.scalar(
        sa.select(models.Job.next_run_at).where(_waiting(holder, now))
        .order_by(models.Job.next_run_at).limit(1))


def _due(session: orm.Session, holder: db_runs.Holder, limit: int,
         per_project: int | None, now: int) -> list[str]:
    """Ids of due jobs, the projects taking turns, each oldest first.

    :param per_project: how many runs of a project may go on at one time
    """
    turn = sa.func.row_number().over(
        partition_by=models.Job.project_id,
        order_by=(models.Job.next_run_at, models.Job.id)).label('turn')
    query = sa.select(
        models.Job.id, models.Job.project_id, models.Job.next_run_at,
        turn).where(_waiting(holder, now))
    queue = query.subquery()
    chosen = sa.select(queue.c.id).order_by(
        queue.c.turn, queue.c.next_run_at, queue.c.id).limit(limit)
    if per_project is not None:
        going = _going(holder).subquery()
        chosen = chosen.outerjoin(
            going, going.c.project_id == queue.c.project_id).where(
                queue.c.turn + sa.func.coalesce(going.c.number, 0)
                <= per_project)
    return list(session.scalars(chosen))


def _going(holder: db_runs.Holder) -> sa.Select[str | None, int]:
    """How many runs of each project go on for the client."""
    return sa.select(
        models.JobRun.project_id, sa.func.count().label('number')).where(
            exact.same_text(models.JobRun.client_id, holder.client_id),
            models.JobRun.lease_expires_at.is_not(None)).group_by(
                models.JobRun.project_id)


def claim(session: orm.Session, holder: db_runs.Holder, limit: int,
          per_project: int | None, lease: int, window: int,
          now: int) -> Claimed:
    """Make runs of due jobs and give them to the holder.

    :param per_project: how many runs of a project may go on at one time for
        the client, whoever holds them; None for any number
    :param window: seconds within which a late firing is still run; an older
        one becomes a run that was missed
    """
    wanted = _due(session, holder, limit, per_project, now)
    if not wanted:
        return Claimed()
    due = session.scalars(
        sa.select(models.Job).where(
            models.Job.id.in_(wanted), _waiting(holder, now))
        .order_by(models.Job.id).with_for_update(skip_locked=True)).all()
    had = db_runs.had(session, due)
    claimed, missed = [], 0
    for job in sorted(due, key=lambda job: wanted.index(job.id)):
        if job.retry_run_id is not None:
            run = _claim_again(session, holder, job, lease, window, now)
        elif (job.id, job.next_run_at) in had:
            _rearm(session, job, now)
            continue
        else:
            run = _claim_one(session, holder, job, lease, window, now)
            missed += run is None
        if run is not None:
            claimed.append((job, run))
    session.flush()
    return Claimed(claimed, missed)


def _rearm(session: orm.Session, job: models.Job, now: int) -> None:
    """Pass on from a firing that was run already."""
    state = db_jobs.runtime(job)
    if runs.trigger(state) is runs.Trigger.START:
        job.next_run_at = db_runs.start_time(session, job, now)
    else:
        db_jobs.set_runtime(job, jobs.miss(
            db_jobs.schedule(job), state, now))


def _claim_one(session: orm.Session, holder: db_runs.Holder, job: models.Job,
               lease: int, window: int, now: int) -> models.JobRun | None:
    state = db_jobs.runtime(job)
    schedule = db_jobs.schedule(job)
    run = models.JobRun(
        id=rows.new_id(), job_id=job.id, project_id=job.project_id,
        client_id=job.client_id, nominal_at=state.next_run_at,
        trigger=runs.trigger(state), fence=1)
    session.add(run)
    if runs.too_late(state, now, window):
        run.state = runs.State.MISSED
        run.reason = (f'No scheduler claimed the run within {window} seconds '
                      'of its time.')
        run.time_ended = now
        db_jobs.set_runtime(job, jobs.miss(schedule, state, now))
        return None
    run.time_started = now
    _hand_out(holder, job, run, lease, now)
    return run


def _claim_again(session: orm.Session, holder: db_runs.Holder,
                 job: models.Job, lease: int, window: int,
                 now: int) -> models.JobRun | None:
    """Try a run again that the job's trust did not allow before."""
    run = session.get(models.JobRun, job.retry_run_id, with_for_update=True)
    if run is None or not suspension.Firing(
            run.id, run.nominal_at, window).in_time(now):
        db_jobs.set_runtime(job, jobs.miss(
            db_jobs.schedule(job), db_jobs.runtime(job), now))
        return None
    run.fence += 1
    run.client_id = job.client_id
    run.reason = run.cause = run.time_ended = run.delegation_id = None
    _hand_out(holder, job, run, lease, now)
    return run


def _hand_out(holder: db_runs.Holder, job: models.Job, run: models.JobRun,
              lease: int, now: int) -> None:
    run.state = runs.State.RUNNING
    run.scheduler_id = holder.scheduler_id
    run.lease_expires_at = now + lease
    db_jobs.set_runtime(job, jobs.claim(
        db_jobs.schedule(job), db_jobs.runtime(job), run.id, now))

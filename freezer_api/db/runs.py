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

"""Rows of runs: claimed, renewed, taken over, reported.

Whoever needs both locks the job before the run, so that no two wait for each
other.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import exact
from freezer_api.db import jobs as db_jobs
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.domain import jobs
from freezer_api.domain import runs

_CHUNK = 500


class Stale(Exception):
    """The run has another holder, or none any more."""


@dataclasses.dataclass(frozen=True)
class Holder:
    """The scheduler that asks.

    ``project_id`` is set for a client of one project, None for a central one.
    """

    client_id: str
    project_id: str | None
    scheduler_id: str


@dataclasses.dataclass(frozen=True)
class Report:
    """What a scheduler says of a run that it holds."""

    run_id: str
    fence: int
    state: runs.State
    reason: str | None
    actions: list[dict[str, Any]]
    release: bool


def list_of_job(session: orm.Session, job_id: str, limit: int,
                offset: int) -> Sequence[models.JobRun]:
    """Return a page of a job's runs, newest first."""
    return session.scalars(
        sa.select(models.JobRun).where(models.JobRun.job_id == job_id)
        .order_by(models.JobRun.nominal_at.desc())
        .limit(limit).offset(offset)).all()


def renew(session: orm.Session, holder: Holder, held: Mapping[str, int],
          now: int, lease: int) -> Sequence[models.JobRun]:
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
                _is_for(holder),
                models.JobRun.scheduler_id == holder.scheduler_id,
                models.JobRun.lease_expires_at.is_not(None))
            .order_by(models.JobRun.id).with_for_update())
            if run.fence == held[run.id]]
    for run in ours:
        run.lease_expires_at = now + lease
    return ours


def _is_for(holder: Holder) -> sa.ColumnElement[bool]:
    """The condition of a run of the holder's client."""
    client = exact.same_text(models.JobRun.client_id, holder.client_id)
    if holder.project_id is None:
        return client
    return sa.and_(client, models.JobRun.project_id == holder.project_id)


def take_over(session: orm.Session, holder: Holder, limit: int, lease: int,
              now: int) -> list[models.JobRun]:
    """Give the holder runs whose lease has expired."""
    expired = session.scalars(
        sa.select(models.JobRun).where(
            _is_for(holder), models.JobRun.lease_expires_at <= now)
        .order_by(models.JobRun.lease_expires_at).limit(limit)
        .with_for_update(skip_locked=True)).all()
    for run in expired:
        run.scheduler_id = holder.scheduler_id
        run.lease_expires_at = now + lease
        run.fence += 1
    return list(expired)


def _given_to(holder: Holder) -> sa.ColumnElement[bool]:
    return exact.same_text(models.Job.client_id, holder.client_id)


def _due(session: orm.Session, holder: Holder, limit: int,
         per_project: int | None, now: int) -> list[str]:
    """Ids of due jobs, the projects taking turns, each oldest first.

    :param per_project: how many runs of a project may go on at one time
    """
    turn = sa.func.row_number().over(
        partition_by=models.Job.project_id,
        order_by=(models.Job.next_run_at, models.Job.id)).label('turn')
    query = sa.select(
        models.Job.id, models.Job.project_id, models.Job.next_run_at,
        turn).where(
            rows.live(models.Job), _given_to(holder),
            models.Job.next_run_at <= now, models.Job.run_id.is_(None))
    if holder.project_id is not None:
        query = query.where(models.Job.project_id == holder.project_id)
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


def _going(holder: Holder) -> sa.Select[str | None, int]:
    """How many runs of each project go on for the client."""
    return sa.select(
        models.JobRun.project_id, sa.func.count().label('number')).where(
            exact.same_text(models.JobRun.client_id, holder.client_id),
            models.JobRun.lease_expires_at.is_not(None)).group_by(
                models.JobRun.project_id)


def claim(session: orm.Session, holder: Holder, limit: int,
          per_project: int | None, lease: int, window: int,
          now: int) -> list[tuple[models.Job, models.JobRun]]:
    """Make runs of due jobs and give them to the holder.

    :param per_project: how many runs of a project may go on at one time for
        the client, whoever holds them; None for any number
    :param window: seconds within which a late firing is still run; an older
        one becomes a run that was missed
    """
    wanted = _due(session, holder, limit, per_project, now)
    due = session.scalars(
        sa.select(models.Job).where(
            models.Job.id.in_(wanted), rows.live(models.Job),
            _given_to(holder), models.Job.next_run_at <= now,
            models.Job.run_id.is_(None))
        .order_by(models.Job.id).with_for_update(skip_locked=True)).all()
    had = _had(session, due)
    claimed = []
    for job in sorted(due, key=lambda job: wanted.index(job.id)):
        if (job.id, job.next_run_at) in had:
            _rearm(session, job, now)
            continue
        run = _claim_one(session, holder, job, lease, window, now)
        if run is not None:
            claimed.append((job, run))
    session.flush()
    return claimed


def _had(session: orm.Session,
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


def _rearm(session: orm.Session, job: models.Job, now: int) -> None:
    """Pass on from a firing that was run already."""
    state = db_jobs.runtime(job)
    if runs.trigger(state) is runs.Trigger.START:
        job.next_run_at = start_time(session, job, now)
    else:
        db_jobs.set_runtime(job, jobs.miss(
            db_jobs.schedule(job), state, now))


def _claim_one(session: orm.Session, holder: Holder, job: models.Job,
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
    run.state = runs.State.RUNNING
    run.scheduler_id = holder.scheduler_id
    run.lease_expires_at = now + lease
    run.time_started = now
    db_jobs.set_runtime(job, jobs.claim(schedule, state, run.id, now))
    return run


def start_time(session: orm.Session, job: models.Job, now: int) -> int:
    """Return the nominal time of a start that was asked for now.

    It is later than that of any run before, of which there may have been one
    this very second.
    """
    latest = session.scalar(sa.select(sa.func.max(
        models.JobRun.nominal_at)).where(models.JobRun.job_id == job.id))
    return now if latest is None else max(now, latest + 1)


def leave_behind(session: orm.Session, job: models.Job, now: int) -> None:
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
            f'{run.client_id} went on with the run.', now)


def tell(session: orm.Session, run_id: str, event: str) -> None:
    """Leave an event for the holder of a run."""
    session.execute(sa.update(models.JobRun).where(
        models.JobRun.id == run_id).values(event=event))


def report(session: orm.Session, holder: Holder, said: Report, now: int,
           ) -> tuple[models.Job | None, models.JobRun | None]:
    """Write what the holder says of a run.

    :returns: the run's job, deleted or not, and the run; None, None for a
        run that the client does not have
    :raises Stale: when the run is no longer the holder's; nothing is changed
    """
    run = session.get(models.JobRun, said.run_id)
    if run is None or run.client_id != holder.client_id or (
            holder.project_id is not None
            and run.project_id != holder.project_id):
        return None, None
    job = session.get_one(models.Job, run.job_id, with_for_update=True,
                          populate_existing=True)
    session.refresh(run, with_for_update=True)
    if (run.fence != said.fence or run.lease_expires_at is None
            or run.scheduler_id != holder.scheduler_id):
        raise Stale()
    run.actions = said.actions
    run.reason = said.reason
    if said.state.final:
        end(session, job, run, said.state, said.reason, now)
    elif said.release:
        run.lease_expires_at = now
    return job, run


def end(session: orm.Session, job: models.Job, run: models.JobRun,
        state: runs.State, reason: str | None, now: int) -> None:
    """End a run, and put its job where it belongs after it."""
    run.state = state
    run.reason = reason
    run.time_ended = now
    run.lease_expires_at = None
    if job.run_id != run.id:
        return
    if job.deleted:
        job.run_id = None
        return
    before = db_jobs.runtime(job)
    if (before.next_run_at is not None and before.next_run_at <= now
            and not _had(session, [job])):
        _pass_over(session, job, before.next_run_at, now)
    db_jobs.set_runtime(job, jobs.finish(
        db_jobs.schedule(job), before, state.value, reason, now))


def _pass_over(session: orm.Session, job: models.Job, nominal_at: int,
               now: int) -> None:
    session.add(models.JobRun(
        id=rows.new_id(), job_id=job.id, project_id=job.project_id,
        client_id=job.client_id, nominal_at=nominal_at, fence=0,
        trigger=runs.Trigger.SCHEDULE, state=runs.State.SKIPPED,
        time_ended=now,
        reason='The previous run of the job was still going on.'))


def of_ids(session: orm.Session,
           job_ids: Iterable[str]) -> dict[str, models.Job]:
    """Return jobs by id, deleted ones too."""
    return {job.id: job for job in session.scalars(
        sa.select(models.Job).where(models.Job.id.in_(list(job_ids))))}

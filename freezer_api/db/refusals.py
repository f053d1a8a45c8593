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

"""Rows of which the database refuses what is to be written.

What is written together fails together, so that one value that no column
holds would keep all others of a client from being claimed, for ever. Whoever
writes rows of several projects does each by itself then, and puts aside the
one that cannot be: with no more than what is sure to be taken.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
from typing import TypeVar

from oslo_db import exception as db_exception
from oslo_log import log
import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import backups
from freezer_api.db import engine
from freezer_api.db import jobs as db_jobs
from freezer_api.db import models
from freezer_api.db import rounds
from freezer_api.db import rows
from freezer_api.db import runs as db_runs
from freezer_api.domain import jobs
from freezer_api.domain import runs

LOG = log.getLogger(__name__)

REASON = (
    'The service could not go on with the job: the database refuses a value '
    'that comes of it, of its run or of its session. The job is stopped. '
    'Somebody who changes its schedule, or takes it out of its session, may '
    'start it again.')

Result = TypeVar('Result')


class Refused(Exception):
    """The database has no form for something that was to be written."""


def write(database: engine.Database,
          work: Callable[[orm.Session], Result]) -> Result:
    """Run ``work`` as the database's own method does.

    :raises Refused: nothing is written, and never would be
    """
    try:
        return database.write(work)
    except db_exception.DBInvalidUnicodeParameter as error:
        raise Refused from error
    except db_exception.DBError as error:
        if not _is_of_data(error.inner_exception):
            raise
        raise Refused from error


def _is_of_data(error: BaseException | None) -> bool:
    # SQLite's driver says OverflowError. A statement that was not even sent
    # had a value that its column's type cannot make one of the database of.
    return isinstance(error, (
        sa.exc.DataError, sa.exc.IntegrityError, OverflowError)) or (
            isinstance(error, sa.exc.StatementError)
            and not isinstance(error, sa.exc.DBAPIError))


def stop_job(database: engine.Database, job_id: str, now: int) -> None:
    """Stop a job that nobody can be given a run of."""
    _log(job_id)
    try:
        write(database, functools.partial(_stop, job_id=job_id, now=now))
    except Refused:
        database.write_rows(lambda connection: connection.execute(
            sa.update(models.Job).where(models.Job.id == job_id)
            .values(due_at=None)))


def end_run(database: engine.Database, run_id: str, now: int,
            fence: int | None = None) -> None:
    """End a run that nobody can go on with, and stop its job.

    :param fence: its holder's; None where its lease is over
    """
    with database.read() as session:
        run = session.get_one(models.JobRun, run_id)
        job_id = run.job_id
    _log(job_id)
    for whole in (True, False):
        try:
            write(database, functools.partial(
                _end, job_id=job_id, run_id=run_id, fence=fence, whole=whole,
                now=now))
            return
        except Refused:
            continue

    def hide(connection: sa.Connection) -> None:
        connection.execute(
            sa.update(models.Job).where(
                models.Job.id == job_id, models.Job.run_id == run_id)
            .values(run_id=None))
        connection.execute(
            sa.update(models.JobRun).where(models.JobRun.id == run_id)
            .values(state=runs.State.FAIL, time_ended=now,
                    lease_expires_at=None))

    database.write_rows(hide)


def _log(job_id: str) -> None:
    LOG.error('The database refuses what was to be written of job %s or its '
              'session. The job is stopped.', job_id)


def _stop(session: orm.Session, job_id: str, now: int) -> None:
    job = _locked(session, job_id)
    if job.deleted is not False or job.run_id is not None:
        return
    state = db_jobs.runtime(job)
    if jobs.overdue(state, now) and not db_runs.had(session, [job]):
        session.add(models.JobRun(
            id=rows.new_id(), job_id=job.id, project_id=job.project_id,
            client_id=job.client_id, nominal_at=state.next_run_at, fence=0,
            trigger=runs.trigger(state), state=runs.State.SKIPPED,
            time_ended=now, reason=REASON))
    db_jobs.set_runtime(job, jobs.set_aside(state, REASON, now))


def _end(session: orm.Session, job_id: str, run_id: str, fence: int | None,
         whole: bool, now: int) -> None:
    job = _locked(session, job_id)
    run = session.get_one(models.JobRun, run_id, with_for_update=True)
    if run.lease_expires_at is None or (
            run.lease_expires_at > now if fence is None
            else run.fence != fence):
        return
    run.state = runs.State.FAIL
    run.reason = REASON
    run.time_ended = now
    run.lease_expires_at = None
    if whole:
        backups.give_up(session, job, run, REASON, now)
    if job.run_id != run.id:
        return
    if whole:
        rounds.end(session, job, runs.State.FAIL, now)
    if job.deleted:
        job.run_id = None
        return
    db_jobs.set_runtime(job, jobs.set_aside(
        db_jobs.runtime(job), REASON, now))


def _locked(session: orm.Session, job_id: str) -> models.Job:
    return session.get_one(models.Job, job_id, with_for_update=True)

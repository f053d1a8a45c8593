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

"""Jobs and runs whose new values the database refuses.

Values that are written together fail together, so one value that does not fit
its column would prevent all claims of a client. If a write for several
projects fails, each job is written separately. A job that still fails is
quarantined, with values that the database accepts in any case.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
from typing import TypeVar

from oslo_log import log
from sqlalchemy import orm

from freezer_api.db import backups
from freezer_api.db import driver_errors
from freezer_api.db import engine
from freezer_api.db import jobs as db_jobs
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import run_rows
from freezer_api.db import session_runs
from freezer_api.domain import job_state
from freezer_api.domain import run_state

LOG = log.getLogger(__name__)

REASON = (
    'The service could not continue the job: the database refuses a value of '
    'the job, its run or its session. The job is stopped. Change its '
    'schedule, or remove it from its session, and start it again.')

Result = TypeVar('Result')


class Refused(Exception):
    """The database cannot store a value."""


def write(database: engine.Database,
          work: Callable[[orm.Session], Result]) -> Result:
    """Run ``work`` like the method of the database.

    :raises Refused: nothing was written, and a retry cannot help
    """
    try:
        return database.write(work)
    except driver_errors.ERRORS as error:
        if driver_errors.refuses_value(error):
            raise Refused from error
        raise


def stop_job(database: engine.Database, job_id: str, now: int) -> None:
    """Stop a job whose run cannot be created."""
    _log(job_id)
    try:
        write(database, functools.partial(_stop, job_id=job_id, now=now))
    except Refused:
        database.write_rows(
            lambda connection: db_jobs.unqueue(connection, job_id))


def end_run(database: engine.Database, run_id: str, now: int,
            fence: int | None = None) -> None:
    """End a run that cannot continue, and stop its job.

    :param now: epoch seconds
    :param fence: of its scheduler; None if its lease has expired
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
    database.write_rows(lambda connection: run_rows.fail_bare(
        connection, job_id, run_id, now))


def _log(job_id: str) -> None:
    LOG.error('The database refuses new values of job %s or its session. The '
              'job is stopped.', job_id)


def _stop(session: orm.Session, job_id: str, now: int) -> None:
    job = _locked(session, job_id)
    if job.deleted is not False or job.run_id is not None:
        return
    state = db_jobs.runtime(job)
    if job_state.overdue(
            state, now) and not run_rows.existing_firings(session, [job]):
        session.add(models.JobRun(
            id=rows.new_id(), job_id=job.id, project_id=job.project_id,
            client_id=job.client_id, nominal_at=state.next_run_at, fence=0,
            trigger=run_state.trigger(state), state=run_state.State.SKIPPED,
            time_ended=now, reason=REASON))
    db_jobs.set_runtime(job, job_state.set_aside(state, REASON, now))


def _end(session: orm.Session, job_id: str, run_id: str, fence: int | None,
         whole: bool, now: int) -> None:
    job = _locked(session, job_id)
    run = session.get_one(models.JobRun, run_id, with_for_update=True)
    if run.lease_expires_at is None or (
            run.lease_expires_at > now if fence is None
            else run.fence != fence):
        return
    run.state = run_state.State.FAIL
    run.reason = REASON
    run.time_ended = now
    run.lease_expires_at = None
    if whole:
        backups.give_up(session, job, run, REASON, now)
    if job.run_id != run.id:
        return
    if whole:
        session_runs.end(session, job, run_state.State.FAIL, now)
    if job.deleted:
        job.run_id = None
        return
    db_jobs.set_runtime(job, job_state.set_aside(
        db_jobs.runtime(job), REASON, now))


def _locked(session: orm.Session, job_id: str) -> models.Job:
    return session.get_one(models.Job, job_id, with_for_update=True)

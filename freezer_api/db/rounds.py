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

"""Runs as their sessions see them: who takes part in a round, and how it ends.

Sessions are locked after jobs and runs, several of them in the order of their
ids. What a session holds cannot keep a run from being claimed or from ending.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable

from oslo_log import log
import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import sessions
from freezer_api.domain import jobs
from freezer_api.domain import runs
from freezer_api.domain import sessions as domain
from freezer_api import schemas

LOG = log.getLogger(__name__)

_RESULTS = {runs.State.SUCCESS: jobs.SUCCESS,
            runs.State.ABORTED: jobs.ABORTED}


def begin(session: orm.Session,
          handed_out: Iterable[tuple[models.Job, models.JobRun]],
          now: int) -> None:
    """Let runs take part in the rounds of their jobs' sessions."""
    members = [(job, run) for job, run in handed_out if job.session_id]
    wanted = {job.session_id for job, _ in members}
    if not wanted:
        return
    found = {row.id: row for row in session.scalars(
        sa.select(models.Session).where(
            rows.live(models.Session), models.Session.id.in_(wanted))
        .order_by(models.Session.id).with_for_update()
        .execution_options(populate_existing=True))}
    for job, run in members:
        row = found.get(job.session_id or '')
        if row is not None and row.project_id == job.project_id:
            _begin_one(row, job, run, now)


def _begin_one(row: models.Session, job: models.Job, run: models.JobRun,
               now: int) -> None:

    def decide(state: domain.Session) -> domain.Session:
        return domain.take_part(state, job.id, run.nominal_at, now)

    if _decide(row, job.id, decide):
        job.session_tag = row.session_tag


def end(session: orm.Session, job: models.Job, state: runs.State,
        now: int) -> None:
    """Tell the session of a job that its run has ended."""
    row = _locked(session, job, job.session_id)
    if row is not None:
        result = _RESULTS.get(state, jobs.FAIL)
        _decide(row, job.id,
                lambda was: domain.finish(was, job.id, result, now))


def leave(session: orm.Session, job: models.Job, session_id: str | None,
          now: int) -> None:
    """Take a job's run out of the round of a session that it leaves."""
    row = _locked(session, job, session_id)
    if row is not None:
        _decide(row, job.id,
                lambda was: domain.stand_aside(was, job.id, now))


def _locked(session: orm.Session, job: models.Job,
            session_id: str | None) -> models.Session | None:
    if not session_id:
        return None
    return sessions.find(session, job.project_id or '', session_id, lock=True)


def _decide(row: models.Session, job_id: str,
            decide: Callable[[domain.Session], domain.Session]) -> bool:
    """Write what is decided of a session that the job is in.

    :returns: whether that could be
    """
    if job_id not in (sessions.members(row) or {}):
        return False
    try:
        sessions.set_state(row, decide(sessions.state(row)))
    except schemas.InvalidDocument as error:
        LOG.warning('Session %s does not follow its jobs: %s', row.id, error)
        return False
    return True

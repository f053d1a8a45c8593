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
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

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


@dataclasses.dataclass(frozen=True)
class Locked:
    """Sessions whose jobs' runs are to begin.

    :ivar rows: those that are locked, by id
    :ivar busy: ids of those that others have locked
    """

    rows: Mapping[str, models.Session]
    busy: frozenset[str]


def lock(session: orm.Session, members: Iterable[models.Job]) -> Locked:
    """Lock the sessions of jobs, without waiting for any of them.

    A claim has jobs of many tenants, and waits for none of their sessions.
    """
    wanted = {job.session_id for job in members if job.session_id}
    if not wanted:
        return Locked({}, frozenset())
    row = models.Session
    found = {one.id: one for one in session.scalars(
        rows.locked_by_id(row, wanted, skip_locked=True).options(
            orm.undefer(row.deleted)))}
    others = wanted - set(found)
    busy = session.scalars(sa.select(row.id).where(
        row.id.in_(others))).all() if others else ()
    return Locked(found, frozenset(busy))


def begin(locked: Locked,
          handed_out: Iterable[tuple[models.Job, models.JobRun]],
          now: int) -> None:
    """Let runs take part in the rounds of their jobs' sessions."""
    members: dict[str, list[tuple[models.Job, models.JobRun]]] = {}
    for job, run in handed_out:
        row = locked.rows.get(job.session_id or '')
        if (row is not None and row.deleted is False
                and row.project_id == job.project_id):
            members.setdefault(row.id, []).append((job, run))
    for session_id, runs_of_it in members.items():
        _begin_all(locked.rows[session_id], runs_of_it, now)


def _begin_all(row: models.Session,
               members: Sequence[tuple[models.Job, models.JobRun]],
               now: int) -> None:
    """Let runs of many jobs take part: the session is read and written once.
    """
    before = state = sessions.state(row)
    tags = {}
    for job, run in members:
        if job.id in state.members:
            state = domain.take_part(state, job.id, run.nominal_at, now)
            tags[job.id] = state.session_tag
    if state is not before and _set(row, state):
        for job, _ in members:
            if job.id in tags:
                job.session_tag = tags[job.id]


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
    return (job_id in (sessions.members(row) or {})
            and _set(row, decide(sessions.state(row))))


def _set(row: models.Session, state: domain.Session) -> bool:
    """Write what is decided, and return whether that could be."""
    try:
        sessions.set_state(row, state)
    except schemas.InvalidDocument as error:
        LOG.warning('Session %s does not follow its jobs: %s', row.id, error)
        return False
    return True

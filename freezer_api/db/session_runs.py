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

"""The runs of sessions: taking part in a round, and its result.

Sessions are locked after jobs and runs, in the order of their IDs. The content
of a session cannot prevent the claim or the end of a run.
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
from freezer_api.domain import job_state
from freezer_api.domain import run_state
from freezer_api.domain import sessions as domain_sessions
from freezer_api import schemas

LOG = log.getLogger(__name__)

_RESULTS = {run_state.State.SUCCESS: job_state.SUCCESS,
            run_state.State.ABORTED: job_state.ABORTED}


@dataclasses.dataclass(frozen=True)
class Locked:
    """Sessions of the jobs whose runs begin.

    :ivar rows: the locked sessions, by ID
    :ivar busy: IDs of sessions that other transactions have locked
    """

    rows: Mapping[str, models.Session]
    busy: frozenset[str]


def lock(session: orm.Session, members: Iterable[models.Job]) -> Locked:
    """Lock the sessions of jobs, without waiting.

    A claim contains jobs of many tenants, and must not wait for a session of
    one of them.
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
    """Add runs to the rounds of their jobs' sessions."""
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
    """Add runs of several jobs; the session is read and written once."""
    before = state = sessions.state(row)
    tags = {}
    for job, run in members:
        if job.id in state.members:
            state = domain_sessions.take_part(state, job.id, run.nominal_at,
                                              now)
            tags[job.id] = state.session_tag
    if state is not before and _set(row, state):
        for job, _ in members:
            if job.id in tags:
                job.session_tag = tags[job.id]


def end(session: orm.Session, job: models.Job, state: run_state.State,
        now: int) -> None:
    """Report the end of a run to the session of its job."""
    row = _locked(session, job, job.session_id)
    if row is not None:
        result = _RESULTS.get(state, job_state.FAIL)
        _decide(row, job.id,
                lambda was: domain_sessions.finish(was, job.id, result, now))


def leave(session: orm.Session, job: models.Job, session_id: str | None,
          now: int) -> None:
    """Remove a job's run from the round of a session that the job leaves."""
    row = _locked(session, job, session_id)
    if row is not None:
        _decide(row, job.id,
                lambda was: domain_sessions.stand_aside(was, job.id, now))


def _locked(session: orm.Session, job: models.Job,
            session_id: str | None) -> models.Session | None:
    if not session_id:
        return None
    return sessions.find(session, job.project_id or '', session_id, lock=True)


def _decide(
    row: models.Session, job_id: str,
    decide: Callable[[domain_sessions.Session],
                     domain_sessions.Session]) -> bool:
    """Write a new state of a session that contains the job.

    :returns: whether that was possible
    """
    return (job_id in (sessions.members(row) or {})
            and _set(row, decide(sessions.state(row))))


def _set(row: models.Session, state: domain_sessions.Session) -> bool:
    """Write a new state; return whether that was possible."""
    try:
        sessions.set_state(row, state)
    except schemas.InvalidDocument as error:
        LOG.warning('Session %s cannot follow its jobs: %s', row.id, error)
        return False
    return True

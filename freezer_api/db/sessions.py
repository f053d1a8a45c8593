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

"""Rows of sessions."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import collation
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import search
from freezer_api.domain import schedule as schedules
from freezer_api.domain import sessions as domain_sessions
from freezer_api import schemas
from freezer_api.schemas import budgets

# What a client may set; the rest of a session is decided.
SETTABLE = ('description', 'session_tag', 'hold_off', 'time_start',
            'time_end', 'time_started', 'time_ended', 'status', 'result')
_DECIDED = ('session_tag', 'hold_off', 'status', 'result', 'time_start',
            'time_end')

# What an integer column holds; a member's document holds more.
_MOST_INTEGER = 2 ** 31 - 1

SEARCHED = search.Columns(
    terms=models.Session.search_terms,
    keys=search.always({
        'session_id': models.Session.id,
        'project_id': models.Session.project_id,
        'user_id': models.Session.user_id,
        'description': models.Session.description,
    }),
    texts=(models.Session.id, models.Session.description,
           models.Session.job))


def of_project(project_id: str) -> sa.Select[models.Session]:
    """Return the query of the project's sessions."""
    return sa.select(models.Session).where(
        rows.live(models.Session), models.Session.project_id == project_id)


def find(session: orm.Session, project_id: str, session_id: str,
         lock: bool = False) -> models.Session | None:
    """Return a live session of the project."""
    query = sa.select(models.Session).where(
        rows.live(models.Session), models.Session.project_id == project_id,
        collation.same_text(models.Session.id, session_id))
    return session.scalars(rows.locked(query) if lock else query).first()


def add(session: orm.Session, project_id: str, user_id: str,
        session_id: str | None, now: int) -> models.Session:
    """Add an empty session.

    :raises freezer_api.errors.ApiError: see freezer_api.db.rows.check_new
    """
    rows.check_new(session, models.Session, session_id)
    row = models.Session(id=session_id or rows.new_id(), schedule={},
                         project_id=project_id, user_id=user_id,
                         created_at=rows.naive(now))
    session.add(row)
    return row


def members(row: models.Session) -> dict[str, Any] | None:
    """Return the jobs as they are stored, None before there was any."""
    return row.job if isinstance(row.job, dict) else None


def state(row: models.Session) -> domain_sessions.Session:
    """Return what is decided on, whatever deployed rows hold."""
    return domain_sessions.Session(
        members={job_id: _member(entry)
                 for job_id, entry in (members(row) or {}).items()},
        session_tag=_number(row.session_tag, 0),
        hold_off=_number(row.hold_off, 30),
        status=row.status, result=row.result,
        time_start=_number(row.time_start, -1),
        time_end=_number(row.time_end, -1))


def set_state(row: models.Session, decided: domain_sessions.Session) -> None:
    """Write what was decided.

    :raises freezer_api.schemas.InvalidDocument: when the jobs do not fit;
        nothing is changed
    """
    stored = members(row) or {}
    job = {job_id: {**_object(stored.get(job_id)), **vars(member)}
           for job_id, member in decided.members.items()}
    schemas.check_stored_size('jobs', job)
    row.job = job
    for name in _DECIDED:
        setattr(row, name, getattr(decided, name))


def set_members(row: models.Session,
                changed: Mapping[str, Mapping[str, Any]]) -> None:
    """Put entries of jobs into a session, new or in the place of old ones.

    :param changed: entries by ids of jobs
    :raises freezer_api.schemas.InvalidDocument: when they do not fit
    """
    if not changed:
        return
    stored = members(row) or {}
    job = {**stored,
           **{job_id: dict(member) for job_id, member in changed.items()}}
    if len(job) > max(budgets.SESSION_JOBS, len(stored)):
        raise schemas.InvalidDocument(
            'jobs', f'The session would have {len(job)} jobs, where '
            f'{budgets.SESSION_JOBS} are the most')
    schemas.check_stored_size('jobs', job)
    row.job = job


def join(row: models.Session, job: models.Job) -> None:
    """Put a job into a session, and under its schedule's tag.

    Of its status the session takes what a round can be in. The rest changes
    without the session, which would go on to show it.
    """
    set_members(row, {job.id: {'client_id': job.client_id, **{
        name: '' if getattr(job, name) is None else getattr(job, name)
        for name in ('result', 'time_started', 'time_ended')},
        'status': job.status if job.status in (
            domain_sessions.RUNNING, domain_sessions.COMPLETED) else ''}})
    job.session_id = row.id
    job.session_tag = row.session_tag or 0


def leave(row: models.Session, job_id: str, now: int) -> bool:
    """Take a job out of a session, and return whether it was in it."""
    if job_id not in (members(row) or {}):
        return False
    set_state(row, domain_sessions.leave(state(row), job_id, now))
    return True


def schedule(row: models.Session) -> dict[str, Any]:
    """Return the schedule that the jobs of a session run by.

    An interval that names no start counts from when the session was made, so
    that all its jobs are due at one time.

    :raises freezer_api.domain.schedule.ScheduleError: on a schedule that
        cannot be understood
    """
    wanted = dict(_object(row.schedule))
    interval = schedules.parse(wanted)
    if (isinstance(interval, schedules.Interval) and interval.start is None
            and row.created_at is not None):
        with contextlib.suppress(OverflowError):
            first = row.created_at.replace(microsecond=0) + (
                datetime.timedelta(seconds=interval.seconds))
            wanted['schedule_start_date'] = f'{first.isoformat()}Z'
    return wanted


def _member(entry: Any) -> domain_sessions.Member:
    entry = _object(entry)
    return domain_sessions.Member(
        client_id=str(entry.get('client_id', '')),
        status=str(entry.get('status') or ''),
        result=str(entry.get('result') or ''),
        time_started=_number(entry.get('time_started'), -1),
        time_ended=_number(entry.get('time_ended'), -1))


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any, default: int) -> int:
    """Read what may be anything, and may come to stand in a column."""
    return (value if type(value) is int and abs(value) <= _MOST_INTEGER
            else default)

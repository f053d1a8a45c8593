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

"""Sessions. Their jobs are added in :mod:`freezer_api.services.jobs`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm

from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import serializers
from freezer_api.db import sessions
from freezer_api.domain import legacy_scheduler
from freezer_api.domain import sessions as domain_sessions
from freezer_api import errors
from freezer_api.services import new_schedule
from freezer_api.services import noun
from freezer_api.services import parsed_documents


_UNKNOWN = 'Session not register with ID'

# Jobs that one transaction removes from a deleted session.
_PART = 500


class SessionService(noun.NounService[models.Session]):
    """The sessions of projects."""

    noun = noun.Noun(
        _UNKNOWN, models.Session, sessions.SEARCHED, sessions.of_project,
        sessions.find, serializers.session, serializers.session)

    def create(self, project_id: str, user_id: str,
               sent: Mapping[str, Any]) -> str:
        """Add a session and return its ID.

        :param sent: a validated document
        :raises freezer_api.errors.ApiError: if the schedule is refused
        :raises freezer_api.domain.quota.Exceeded: if the project has reached
            its limit
        """
        now = self._clock()
        read = self._read(project_id, now, sent)

        def work(session: orm.Session) -> str:
            row = sessions.add(session, project_id, user_id, None, now)
            _set(row, sent, read)
            row.status = domain_sessions.ACTIVE
            return row.id

        return read.run(lambda: self._quotas.write(project_id, work))

    def update(self, project_id: str, session_id: str,
               sent: Mapping[str, Any]) -> None:
        """Change the parts that a document contains.

        :param sent: a validated document
        :raises freezer_api.errors.ApiError: not_found, or if the schedule
            is refused
        :raises freezer_api.schemas.InvalidDocument: if the members become too
            large
        :raises freezer_api.domain.quota.Exceeded: if the project has reached
            its limit
        """
        read = self._read(project_id, self._clock(), sent)

        def work(session: orm.Session) -> None:
            row = find(session, project_id, session_id, lock=True)
            _set(row, legacy_scheduler.with_hidden(
                sent, 'schedule', row.schedule
                if isinstance(row.schedule, dict) else {}), read)
            jobs = sent.get('jobs')
            if isinstance(jobs, dict):
                # Other routes add and remove jobs.
                known = sessions.members(row) or {}
                sessions.set_members(row, {
                    job_id: {**known[job_id], **member}
                    for job_id, member in jobs.items()
                    if isinstance(member, dict)
                    and isinstance(known.get(job_id), dict)})

        read.run(lambda: self._quotas.write(project_id, work))

    def replace(self, project_id: str, user_id: str, session_id: str,
                sent: Mapping[str, Any]) -> None:
        """Replace a session, or add one with this ID.

        :param sent: a validated document
        :raises freezer_api.errors.ApiError: already_exists if a session of
            another project, or a deleted one, has the ID; or if the schedule
            is refused
        :raises freezer_api.domain.quota.Exceeded: if the project has reached
            its limit
        """
        now = self._clock()
        read = self._read(project_id, now, sent)

        def work(session: orm.Session) -> None:
            row = sessions.find(session, project_id, session_id, lock=True)
            if row is None:
                row = sessions.add(
                    session, project_id, user_id, session_id, now)
            _set(row, sent, read)

        read.run(lambda: self._quotas.write(project_id, work))

    def delete(self, project_id: str, session_id: str) -> None:
        """Delete a session, if it exists, and remove its jobs from it.

        The jobs keep their schedules. They are removed in parts, and the
        session is deleted with the last part.
        """
        now = self._clock()
        removed: set[str] = set()

        def work(session: orm.Session) -> tuple[bool, set[str]]:
            row = sessions.find(session, project_id, session_id)
            left = set() if row is None else _member_ids(row) - removed
            part = set(sorted(left)[:_PART])
            # Lock jobs before their session.
            jobs = session.scalars(
                rows.locked_by_id(models.Job, part)).all() if part else ()
            row = sessions.find(session, project_id, session_id, lock=True)
            if row is None:
                return True, part
            for job in jobs:
                if (job.session_id, job.project_id) == (row.id, project_id):
                    job.session_id, job.session_tag = '', 0
            # Other jobs may have joined meanwhile.
            done = _member_ids(row) <= removed | part
            if done:
                rows.delete(row, now)
            return done, part

        done = False
        while not done:
            done, part = self._database.write(work)
            removed |= part

    def _read(self, project_id: str, now: int,
              sent: Mapping[str, Any]) -> parsed_documents.Readings:
        """Read a document before it is stored."""
        read = parsed_documents.Readings(project_id, now, self._services.known)
        read.prepare_schedule(sent.get('schedule') or {})
        return read


def _member_ids(row: models.Session) -> set[str]:
    return set(sessions.members(row) or ())


def find(session: orm.Session, project_id: str, session_id: str,
         lock: bool = False) -> models.Session:
    """Return a session of a project.

    :param lock: whether to lock it until the end of the transaction; lock
        jobs before
    :raises freezer_api.errors.ApiError: not_found
    """
    return errors.found(sessions.find(session, project_id, session_id, lock),
                        f'{_UNKNOWN} {session_id}')


def _set(row: models.Session, sent: Mapping[str, Any],
         read: parsed_documents.Readings) -> None:
    for name in sessions.SETTABLE:
        if sent.get(name) is not None:
            setattr(row, name, sent[name])
    if 'schedule' in sent:
        new_schedule.check(read, 'schedule', row.schedule, sent['schedule'])
        row.schedule = dict(sent['schedule'])

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

"""Reading and changing sessions. Their jobs come and go in services.jobs."""

from __future__ import annotations

from collections.abc import Generator
from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm

from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import search
from freezer_api.db import serializers
from freezer_api.db import sessions
from freezer_api.domain import legacy_scheduler
from freezer_api.domain import search as domain_search
from freezer_api.domain import sessions as domain_sessions
from freezer_api import errors
from freezer_api.services import dependencies
from freezer_api.services import new_schedule
from freezer_api.services import parsed_documents


class SessionService:
    """The sessions of projects."""

    def __init__(self, services: dependencies.Services) -> None:
        self._database = services.database
        self._quotas = services.quotas
        self._clock = services.clock
        self._known = services.known

    def list(self, project_id: str, wanted: domain_search.ListParams,
             ) -> Generator[dict[str, Any]]:
        """Yield the documents of a page of a project's sessions.

        :raises freezer_api.domain.search.UnknownMarker: when none has the
            marker's id
        """
        with self._database.read() as session:
            yield from search.page(
                session, sessions.of_project(project_id), models.Session,
                sessions.SEARCHED, wanted,
                lambda found: map(serializers.session, found))

    def get(self, project_id: str, session_id: str) -> dict[str, Any]:
        """Return the document of a session.

        :raises freezer_api.errors.ApiError: not_found
        """
        with self._database.read() as session:
            return serializers.session(find(session, project_id, session_id))

    def create(self, project_id: str, user_id: str,
               sent: Mapping[str, Any]) -> str:
        """Add a session and return its id.

        :param sent: a checked document
        :raises freezer_api.errors.ApiError: when the schedule is refused
        :raises freezer_api.domain.quota.Exceeded: when the project may have
            no more
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
        """Change what a document names, and nothing else.

        :param sent: a checked document
        :raises freezer_api.errors.ApiError: not_found, or when the schedule
            is refused
        :raises freezer_api.schemas.InvalidDocument: when the members get too
            large
        :raises freezer_api.domain.quota.Exceeded: when the project may store
            no more
        """
        read = self._read(project_id, self._clock(), sent)

        def work(session: orm.Session) -> None:
            row = find(session, project_id, session_id, lock=True)
            _set(row, legacy_scheduler.with_hidden(
                sent, 'schedule', row.schedule
                if isinstance(row.schedule, dict) else {}), read)
            jobs = sent.get('jobs')
            if isinstance(jobs, dict):
                # Only members change here; jobs come and go by their routes.
                known = sessions.members(row) or {}
                sessions.set_members(row, {
                    job_id: {**known[job_id], **member}
                    for job_id, member in jobs.items()
                    if isinstance(member, dict)
                    and isinstance(known.get(job_id), dict)})

        read.run(lambda: self._quotas.write(project_id, work))

    def replace(self, project_id: str, user_id: str, session_id: str,
                sent: Mapping[str, Any]) -> None:
        """Put a document in the place of a session, or add the session.

        :param sent: a checked document
        :raises freezer_api.errors.ApiError: already_exists when the id is a
            session's of another project or of a deleted one, or when the
            schedule is refused
        :raises freezer_api.domain.quota.Exceeded: when the project may have
            or store no more
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
        """Delete a session, if there is one."""
        now = self._clock()

        def work(session: orm.Session) -> None:
            row = sessions.find(session, project_id, session_id, lock=True)
            if row is not None:
                rows.delete(row, now)

        self._database.write(work)

    def _read(self, project_id: str, now: int,
              sent: Mapping[str, Any]) -> parsed_documents.Readings:
        """Read a document that is about to be stored."""
        read = parsed_documents.Readings(project_id, now, self._known)
        read.prepare_schedule(sent.get('schedule') or {})
        return read


def find(session: orm.Session, project_id: str, session_id: str,
         lock: bool = False) -> models.Session:
    """Return a session of a project.

    :param lock: keep others from changing it until the transaction ends;
        lock jobs before
    :raises freezer_api.errors.ApiError: not_found
    """
    row = sessions.find(session, project_id, session_id, lock)
    if row is None:
        raise errors.ApiError(
            'not_found', f'Session not register with ID {session_id}')
    return row


def _set(row: models.Session, sent: Mapping[str, Any],
         read: parsed_documents.Readings) -> None:
    for name in sessions.SETTABLE:
        if sent.get(name) is not None:
            setattr(row, name, sent[name])
    if 'schedule' in sent:
        new_schedule.check(read, 'schedule', row.schedule, sent['schedule'])
        row.schedule = dict(sent['schedule'])

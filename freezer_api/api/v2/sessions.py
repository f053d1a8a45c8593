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

"""Sessions: create, read, change, replace, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import falcon
from sqlalchemy import orm

from freezer_api.api import answers
from freezer_api.api import errors
from freezer_api.api import request
from freezer_api.api import services
from freezer_api.api.v2 import new_schedule
from freezer_api.db import documents
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import search
from freezer_api.db import sessions
from freezer_api.domain import sessions as domain
from freezer_api.schemas import sessions as schema


def _set(row: models.Session, sent: Mapping[str, Any]) -> None:
    for name in sessions.SETTABLE:
        if sent.get(name) is not None:
            setattr(row, name, sent[name])
    if 'schedule' in sent:
        new_schedule.check('schedule', row.schedule, sent['schedule'])
        row.schedule = dict(sent['schedule'])


def not_found(session_id: str) -> errors.ApiError:
    return errors.not_found(f'Session not register with ID {session_id}')


class Sessions(services.Resource):
    """``/v2/{project_id}/sessions``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str) -> None:
        self._caller(req).must('sessions:get_all', project_id)
        wanted = request.wanted(req, self._conf)
        with self._database.read() as session:
            answers.show_list(req, resp, 'sessions', search.page(
                session, sessions.of_project(project_id), models.Session,
                sessions.SEARCHED, wanted.search, wanted.page,
                lambda found: map(documents.session, found)),
                'session_id')

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str) -> None:
        caller = self._caller(req)
        caller.must('sessions:create', project_id)
        sent = request.body(req)
        schema.validate_create(sent)
        now = self._now()

        def work(session: orm.Session) -> str:
            row = sessions.add(session, project_id, caller.user_id, None,
                               now)
            _set(row, sent)
            row.status = domain.ACTIVE
            return row.id

        resp.status = falcon.HTTP_201
        resp.media = {'session_id': self._quotas.write(project_id, work)}


class Session(services.Resource):
    """``/v2/{project_id}/sessions/{session_id}``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str, session_id: str) -> None:
        self._caller(req).must('sessions:get', project_id)
        with self._database.read() as session:
            row = sessions.find(session, project_id, session_id)
            if row is None:
                raise not_found(session_id)
            resp.media = documents.session(row)

    def on_patch(self, req: falcon.Request, resp: falcon.Response,
                 project_id: str, session_id: str) -> None:
        self._caller(req).must('sessions:update', project_id)
        sent = request.body(req)
        schema.validate_update(sent)

        def work(session: orm.Session) -> None:
            row = sessions.find(session, project_id, session_id, lock=True)
            if row is None:
                raise not_found(session_id)
            _set(row, sent)
            jobs = sent.get('jobs')
            if isinstance(jobs, dict):
                # Only members change here; jobs come and go by their routes.
                known = sessions.members(row) or {}
                sessions.set_members(row, {
                    job_id: {**known[job_id], **member}
                    for job_id, member in jobs.items()
                    if isinstance(member, dict)
                    and isinstance(known.get(job_id), dict)})

        self._quotas.write(project_id, work)
        resp.media = {'session_id': session_id, 'version': 0}

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str, session_id: str) -> None:
        caller = self._caller(req)
        caller.must('sessions:replace', project_id)
        sent = request.body(req)
        schema.validate_create(sent)
        schema.validate_id(session_id)
        now = self._now()

        def work(session: orm.Session) -> None:
            row = sessions.find(session, project_id, session_id, lock=True)
            if row is None:
                row = sessions.add(
                    session, project_id, caller.user_id, session_id, now)
            _set(row, sent)

        try:
            self._quotas.write(project_id, work)
        except sessions.Taken as error:
            raise errors.conflict(str(error)) from None
        resp.status = falcon.HTTP_201
        resp.media = {'session_id': session_id, 'version': session_id}

    def on_delete(self, req: falcon.Request, resp: falcon.Response,
                  project_id: str, session_id: str) -> None:
        self._caller(req).must('sessions:delete', project_id)
        now = self._now()

        def work(session: orm.Session) -> None:
            row = sessions.find(session, project_id, session_id, lock=True)
            if row is not None:
                rows.delete(row, now)

        self._database.write(work)
        resp.status = falcon.HTTP_204

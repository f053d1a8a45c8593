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

import falcon

from freezer_api.api import base
from freezer_api.api import params
from freezer_api.api import responses
from freezer_api.schemas import sessions as schema
from freezer_api.services import dependencies
from freezer_api.services import sessions


class _Resource(base.Resource):

    def __init__(self, services: dependencies.Services) -> None:
        super().__init__(services)
        self._sessions = sessions.SessionService(services)


class Sessions(_Resource):
    """``/v2/{project_id}/sessions``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str) -> None:
        self._caller(req).must('sessions:get_all', project_id)
        wanted = params.wanted(req, self._conf)
        responses.show_list(req, resp, 'sessions', self._sessions.list(
            project_id, wanted), 'session_id')

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str) -> None:
        caller = self._caller(req)
        caller.must('sessions:create', project_id)
        sent = params.body(req)
        schema.validate_create(sent)
        resp.media = {'session_id': self._sessions.create(
            project_id, caller.user_id, sent)}
        resp.status = falcon.HTTP_201


class Session(_Resource):
    """``/v2/{project_id}/sessions/{session_id}``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str, session_id: str) -> None:
        self._caller(req).must('sessions:get', project_id)
        resp.media = self._sessions.get(project_id, session_id)

    def on_patch(self, req: falcon.Request, resp: falcon.Response,
                 project_id: str, session_id: str) -> None:
        self._caller(req).must('sessions:update', project_id)
        sent = params.body(req)
        schema.validate_update(sent)
        self._sessions.update(project_id, session_id, sent)
        resp.media = {'session_id': session_id, 'version': 0}

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str, session_id: str) -> None:
        caller = self._caller(req)
        caller.must('sessions:replace', project_id)
        sent = params.body(req)
        schema.validate_create(sent)
        schema.validate_id(session_id)
        self._sessions.replace(project_id, caller.user_id, session_id, sent)
        resp.status = falcon.HTTP_201
        resp.media = {'session_id': session_id, 'version': session_id}

    def on_delete(self, req: falcon.Request, resp: falcon.Response,
                  project_id: str, session_id: str) -> None:
        self._caller(req).must('sessions:delete', project_id)
        self._sessions.delete(project_id, session_id)
        resp.status = falcon.HTTP_204

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
from freezer_api.services import sessions


class Sessions(base.Resource[sessions.SessionService]):
    """``/v2/{project_id}/sessions``"""

    service = sessions.SessionService

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str) -> None:
        """List sessions.

        Statuses: 200.
        """
        self._allow(req, 'sessions:get_all', project_id)
        responses.show_list(req, resp, 'sessions', self._service.list(
            project_id, params.list_params(req, self._conf)), 'session_id')

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str) -> None:
        """Create a session.

        Statuses: 201.
        """
        caller = self._allow(req, 'sessions:create', project_id)
        sent = params.body(req)
        schema.validate_create(sent)
        resp.media = {'session_id': self._service.create(
            project_id, caller.user_id, sent)}
        resp.status = falcon.HTTP_201


class Session(base.Resource[sessions.SessionService]):
    """``/v2/{project_id}/sessions/{session_id}``"""

    service = sessions.SessionService

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str, session_id: str) -> None:
        """Show a session.

        Statuses: 200, 404.
        """
        self._allow(req, 'sessions:get', project_id)
        resp.media = self._service.get(project_id, session_id)

    def on_patch(self, req: falcon.Request, resp: falcon.Response,
                 project_id: str, session_id: str) -> None:
        """Update a session.

        Statuses: 200, 404.
        """
        self._allow(req, 'sessions:update', project_id)
        sent = params.body(req)
        schema.validate_update(sent)
        self._service.update(project_id, session_id, sent)
        resp.media = {'session_id': session_id, 'version': 0}

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str, session_id: str) -> None:
        """Replace a session, or create one with this ID.

        Statuses: 201, 409.
        """
        caller = self._allow(req, 'sessions:replace', project_id)
        sent = params.body(req)
        schema.validate_create(sent)
        schema.validate_id(session_id)
        self._service.replace(project_id, caller.user_id, session_id, sent)
        resp.status = falcon.HTTP_201
        resp.media = {'session_id': session_id, 'version': session_id}

    def on_delete(self, req: falcon.Request, resp: falcon.Response,
                  project_id: str, session_id: str) -> None:
        """Delete a session; its jobs stay.

        Statuses: 204.
        """
        self._allow(req, 'sessions:delete', project_id)
        self._service.delete(project_id, session_id)
        resp.status = falcon.HTTP_204

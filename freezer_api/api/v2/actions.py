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

"""Actions: what jobs do."""

from __future__ import annotations

import falcon

from freezer_api.api import base
from freezer_api.api import params
from freezer_api.api import responses
from freezer_api.schemas import actions as schema
from freezer_api.services import actions
from freezer_api.services import dependencies


class _Resource(base.Resource):

    def __init__(self, services: dependencies.Services) -> None:
        super().__init__(services)
        self._actions = actions.ActionService(services)


class Actions(_Resource):
    """``/v2/{project_id}/actions``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str) -> None:
        self._caller(req).must('actions:get_all', project_id)
        wanted = params.wanted(req, self._conf)
        responses.show_list(req, resp, 'actions', self._actions.list(
            project_id, wanted), 'action_id')

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str) -> None:
        caller = self._caller(req)
        caller.must('actions:create', project_id)
        sent = params.body(req)
        schema.validate_create(sent)
        resp.media = {'action_id': self._actions.create(
            project_id, caller.user_id, sent)}
        resp.status = falcon.HTTP_201


class Action(_Resource):
    """``/v2/{project_id}/actions/{action_id}``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str, action_id: str) -> None:
        self._caller(req).must('actions:get', project_id)
        resp.media = self._actions.get(project_id, action_id)

    def on_patch(self, req: falcon.Request, resp: falcon.Response,
                 project_id: str, action_id: str) -> None:
        caller = self._caller(req)
        caller.must('actions:update', project_id)
        sent = params.body(req)
        schema.validate_update(sent)
        self._actions.update(caller.trust_caller, project_id, action_id, sent)
        resp.media = {'action_id': action_id, 'version': action_id}

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str, action_id: str) -> None:
        caller = self._caller(req)
        caller.must('actions:replace', project_id)
        sent = params.body(req)
        schema.validate_create({**sent, 'action_id': action_id}
                               if isinstance(sent, dict) else sent)
        self._actions.replace(caller.trust_caller, project_id, action_id, sent)
        resp.status = falcon.HTTP_201
        resp.media = {'action_id': action_id, 'version': action_id}

    def on_delete(self, req: falcon.Request, resp: falcon.Response,
                  project_id: str, action_id: str) -> None:
        caller = self._caller(req)
        caller.must('actions:delete', project_id)
        self._actions.delete(caller.trust_caller, project_id, action_id)
        resp.status = falcon.HTTP_204

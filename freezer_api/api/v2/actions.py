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


class Actions(base.Resource[actions.ActionService]):
    """``/v2/{project_id}/actions``"""

    service = actions.ActionService

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str) -> None:
        """List actions.

        Statuses: 200.
        """
        self._allow(req, 'actions:get_all', project_id)
        responses.show_list(req, resp, 'actions', self._service.list(
            project_id, params.list_params(req, self._conf)), 'action_id')

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str) -> None:
        """Create an action.

        Statuses: 201, 409, 422.
        """
        caller = self._allow(req, 'actions:create', project_id)
        sent = params.body(req)
        schema.validate_create(sent)
        resp.media = {'action_id': self._service.create(
            project_id, caller.user_id, sent)}
        resp.status = falcon.HTTP_201


class Action(base.Resource[actions.ActionService]):
    """``/v2/{project_id}/actions/{action_id}``"""

    service = actions.ActionService

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str, action_id: str) -> None:
        """Show an action.

        Statuses: 200, 404.
        """
        self._allow(req, 'actions:get', project_id)
        resp.media = self._service.get(project_id, action_id)

    def on_patch(self, req: falcon.Request, resp: falcon.Response,
                 project_id: str, action_id: str) -> None:
        """Update an action and the jobs that use it.

        Statuses: 200, 404, 409, 422.
        """
        caller = self._allow(req, 'actions:update', project_id)
        sent = params.body(req)
        schema.validate_update(sent)
        self._service.update(caller.trust_caller, project_id, action_id, sent)
        resp.media = {'action_id': action_id, 'version': action_id}

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str, action_id: str) -> None:
        """Replace an action, or create one with this ID.

        Statuses: 201, 409, 422.
        """
        caller = self._allow(req, 'actions:replace', project_id)
        sent = params.body(req)
        schema.validate_create({**sent, 'action_id': action_id}
                               if isinstance(sent, dict) else sent)
        self._service.replace(caller.trust_caller, project_id, action_id, sent)
        resp.status = falcon.HTTP_201
        resp.media = {'action_id': action_id, 'version': action_id}

    def on_delete(self, req: falcon.Request, resp: falcon.Response,
                  project_id: str, action_id: str) -> None:
        """Delete an action and remove it from its jobs.

        Statuses: 204, 409, 422.
        """
        caller = self._allow(req, 'actions:delete', project_id)
        self._service.delete(caller.trust_caller, project_id, action_id)
        resp.status = falcon.HTTP_204

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

"""Clients: registered schedulers."""

from __future__ import annotations

from typing import Any

import falcon

from freezer_api.api import base
from freezer_api.api import params
from freezer_api.api import responses
from freezer_api.db import clients as db_clients
from freezer_api.domain import capabilities
from freezer_api import errors
from freezer_api.schemas import clients as schema
from freezer_api.services import callers
from freezer_api.services import clients


def _rule(central: bool, otherwise: str = 'clients:create') -> str:
    """Return the policy for a change of a client."""
    return 'clients:create_central' if central else otherwise


def _registration(sent: dict[str, Any]) -> db_clients.Registration:
    return db_clients.Registration(
        client_id=sent['client_id'], hostname=sent.get('hostname'),
        description=sent.get('description'), uuid=sent.get('uuid') or None,
        is_central=sent.get('is_central', False),
        supports_claims=sent.get('claims', False),
        supported=capabilities.Capabilities(**{
            name: tuple(sent.get(f'supported_{name}', default))
            for name, default in vars(capabilities.EVERYTHING).items()}))


class Clients(base.Resource[clients.ClientService]):
    """``/v2/{project_id}/clients``"""

    service = clients.ClientService

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str) -> None:
        """List the clients that the project can use.

        Statuses: 200.
        """
        self._allow(req, 'clients:get_all', project_id)
        wanted = params.list_params(req, self._conf, newest_first=False)
        responses.show_list(req, resp, 'clients', self._service.list(
            project_id, wanted), 'client', 'uuid')

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str) -> None:
        """Register a client, or update its registration.

        Statuses: 201, 409, 422.
        """
        caller: callers.Caller = req.context.caller
        sent = params.body(req)
        # The type of is_central is checked later, so any true value selects
        # the stricter rule.
        central = isinstance(sent, dict) and bool(sent.get('is_central'))
        if central or not caller.may('clients:create_central', project_id):
            caller.must(_rule(central), project_id)
        if sent == {}:
            raise errors.ApiError('bad_request', 'Missing request body')
        schema.validate_create(sent)
        self._service.register(
            project_id, caller.user_id, _registration(sent),
            lambda central: caller.must(_rule(central), project_id))
        resp.status = falcon.HTTP_201
        resp.media = {'client_id': sent['client_id']}


class Client(base.Resource[clients.ClientService]):
    """``/v2/{project_id}/clients/{client_id}``"""

    service = clients.ClientService

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str, client_id: str) -> None:
        """Show a client.

        Statuses: 200, 404.
        """
        self._allow(req, 'clients:get', project_id)
        resp.media = self._service.get(project_id, client_id)

    def on_delete(self, req: falcon.Request, resp: falcon.Response,
                  project_id: str, client_id: str) -> None:
        """Delete a client.

        Statuses: 204, 409.
        """
        caller: callers.Caller = req.context.caller
        if not caller.may('clients:create_central', project_id):
            caller.must('clients:delete', project_id)
        self._service.delete(
            project_id, client_id, lambda central: caller.must(
                _rule(central, 'clients:delete'), project_id))
        resp.status = falcon.HTTP_204

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

"""Clients: the schedulers that registered."""

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
from freezer_api.services import clients
from freezer_api.services import dependencies


def _rule(central: bool, otherwise: str = 'clients:create') -> str:
    """Return the policy that decides who may change a client."""
    return 'clients:create_central' if central else otherwise


def _registration(sent: dict[str, Any]) -> db_clients.Registration:
    everything = capabilities.EVERYTHING
    return db_clients.Registration(
        client_id=sent['client_id'], hostname=sent.get('hostname'),
        description=sent.get('description'), uuid=sent.get('uuid') or None,
        is_central=sent.get('is_central', False),
        supports_claims=sent.get('claims', False),
        supported=capabilities.Capabilities(
            actions=tuple(sent.get('supported_actions', everything.actions)),
            modes=tuple(sent.get('supported_modes', everything.modes)),
            storages=tuple(
                sent.get('supported_storages', everything.storages)),
            engines=tuple(
                sent.get('supported_engines', everything.engines))))


class _Resource(base.Resource):

    def __init__(self, services: dependencies.Services) -> None:
        super().__init__(services)
        self._clients = clients.ClientService(services)


class Clients(_Resource):
    """``/v2/{project_id}/clients``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str) -> None:
        self._caller(req).must('clients:get_all', project_id)
        wanted = params.wanted(req, self._conf, newest_first=False)
        responses.show_list(req, resp, 'clients', self._clients.list(
            project_id, wanted), 'client', 'uuid')

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str) -> None:
        caller = self._caller(req)
        sent = params.body(req)
        # Being central counts by truth before its type is checked, so that
        # no spelling of it gets past the rule.
        central = isinstance(sent, dict) and bool(sent.get('is_central'))
        if central or not caller.may('clients:create_central', project_id):
            caller.must(_rule(central), project_id)
        if sent == {}:
            raise errors.ApiError('bad_request', 'Missing request body')
        schema.validate_create(sent)
        self._clients.register(
            project_id, caller.user_id, _registration(sent),
            lambda central: caller.must(_rule(central), project_id))
        resp.status = falcon.HTTP_201
        resp.media = {'client_id': sent['client_id']}


class Client(_Resource):
    """``/v2/{project_id}/clients/{client_id}``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str, client_id: str) -> None:
        self._caller(req).must('clients:get', project_id)
        resp.media = self._clients.get(project_id, client_id)

    def on_delete(self, req: falcon.Request, resp: falcon.Response,
                  project_id: str, client_id: str) -> None:
        caller = self._caller(req)
        if not caller.may('clients:create_central', project_id):
            caller.must('clients:delete', project_id)
        self._clients.delete(
            project_id, client_id, lambda central: caller.must(
                _rule(central, 'clients:delete'), project_id))
        resp.status = falcon.HTTP_204

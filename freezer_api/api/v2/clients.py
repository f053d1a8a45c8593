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
from sqlalchemy import orm

from freezer_api.api import answers
from freezer_api.api import context
from freezer_api.api import errors
from freezer_api.api import request
from freezer_api.api import services
from freezer_api.db import clients
from freezer_api.db import documents
from freezer_api.db import models
from freezer_api.db import search
from freezer_api.domain import capabilities
from freezer_api.domain import quota
from freezer_api.schemas import clients as schema


def _rule(central: bool, otherwise: str = 'clients:create') -> str:
    """Return the policy that decides who may change a client.

    What the client is counts, in the database or from now on, not what a
    request says of it.
    """
    return 'clients:create_central' if central else otherwise


def _registration(sent: dict[str, Any]) -> clients.Registration:
    everything = capabilities.EVERYTHING
    return clients.Registration(
        client_id=sent['client_id'], hostname=sent.get('hostname'),
        description=sent.get('description'), uuid=sent.get('uuid') or None,
        is_central=sent.get('is_central', False),
        claims=sent.get('claims', False),
        supported=capabilities.Capabilities(
            actions=tuple(sent.get('supported_actions', everything.actions)),
            modes=tuple(sent.get('supported_modes', everything.modes)),
            storages=tuple(
                sent.get('supported_storages', everything.storages)),
            engines=tuple(
                sent.get('supported_engines', everything.engines))))


class Clients(services.Resource):
    """``/v2/{project_id}/clients``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str) -> None:
        self._caller(req).must('clients:get_all', project_id)
        wanted = request.wanted(req, self._conf)
        with self._database.read() as session:
            answers.show_list(req, resp, 'clients', search.page(
                session, clients.visible(project_id), models.Client,
                clients.SEARCHED, wanted.search, wanted.page,
                lambda found: map(documents.client, found)),
                'client', 'uuid')

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str) -> None:
        caller = self._caller(req)
        sent = request.body(req)
        # Being central counts by truth before its type is checked, so that
        # no spelling of it gets past the rule.
        central = isinstance(sent, dict) and bool(sent.get('is_central'))
        if central or not caller.may('clients:create_central', project_id):
            caller.must(_rule(central), project_id)
        if sent == {}:
            raise errors.bad_request('Missing request body')
        schema.validate_create(sent)
        registration = _registration(sent)
        if registration.is_central and not self._conf.service_mode.enabled:
            raise errors.unprocessable(
                'This service takes no central clients.',
                'service_mode_disabled')
        try:
            client, may_be_more = self._register(
                caller, project_id, registration)
            if may_be_more:
                self._database.write(lambda session: clients.drop_duplicates(
                    session, client, self._now()))
        except clients.Taken as error:
            raise errors.conflict(str(error)) from None
        resp.status = falcon.HTTP_201
        resp.media = {'client_id': registration.client_id}

    def _register(self, caller: context.Caller, project_id: str,
                  registration: clients.Registration,
                  ) -> tuple[models.Client, bool]:
        def work(session: orm.Session) -> tuple[models.Client, bool]:
            return clients.register(
                session, project_id, caller.user_id, registration,
                lambda central: caller.must(_rule(central), project_id))

        try:
            return self._quotas.write(project_id, work)
        except quota.Exceeded:
            # Another of its schedulers may have registered this very moment.
            return self._quotas.write(project_id, work)


class Client(services.Resource):
    """``/v2/{project_id}/clients/{client_id}``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str, client_id: str) -> None:
        self._caller(req).must('clients:get', project_id)
        with self._database.read() as session:
            client = clients.look(session, project_id, client_id)
            if client is None:
                raise errors.not_found(f'No client with ID {client_id}')
            resp.media = documents.client(client)

    def on_delete(self, req: falcon.Request, resp: falcon.Response,
                  project_id: str, client_id: str) -> None:
        caller = self._caller(req)
        if not caller.may('clients:create_central', project_id):
            caller.must('clients:delete', project_id)
        now = self._now()

        def work(session: Any) -> None:
            found = clients.find_visible(session, project_id, client_id)
            client = found and clients.lock(session, found)
            caller.must(_rule(client is not None and client.is_central,
                              'clients:delete'), project_id)
            if client is None:
                return
            if client.project_id != project_id:
                raise errors.forbidden()
            clients.delete(session, client, now)

        try:
            self._database.write(work)
        except clients.InUse as error:
            raise errors.ApiError(
                falcon.HTTP_409, 'Conflict', str(error), 'client_in_use'
                ) from None
        resp.status = falcon.HTTP_204

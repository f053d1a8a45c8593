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

"""Registering schedulers as clients, reading and deleting clients."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Generator
from typing import Any

from sqlalchemy import orm

from freezer_api.db import clients
from freezer_api.db import models
from freezer_api.db import search
from freezer_api.db import serializers
from freezer_api.domain import quota
from freezer_api.domain import search as domain_search
from freezer_api import errors
from freezer_api.services import dependencies

#: Raises an error of its own unless the caller may change a client; is told
#: whether that is a central one. What the client is counts, in the database
#: or from now on, not what a request says of it.
Check = Callable[[bool], None]


class ClientService:
    """The clients of projects, and the central ones, which all may use."""

    def __init__(self, services: dependencies.Services) -> None:
        self._conf = services.conf
        self._database = services.database
        self._quotas = services.quotas
        self._clock = services.clock

    def list(self, project_id: str, wanted: domain_search.ListParams,
             ) -> Generator[dict[str, Any]]:
        """Yield the documents of a page of the clients a project may use.

        :raises freezer_api.domain.search.UnknownMarker: when none has the
            marker's id
        """
        with self._database.read() as session:
            yield from search.page(
                session, clients.visible(project_id), models.Client,
                clients.SEARCHED, wanted,
                lambda found: map(serializers.client, found))

    def get(self, project_id: str, client_id: str) -> dict[str, Any]:
        """Return the document of a client.

        :raises freezer_api.errors.ApiError: not_found
        """
        with self._database.read() as session:
            client = clients.find_visible(session, project_id, client_id)
            if client is None:
                raise errors.ApiError(
                    'not_found', f'No client with ID {client_id}')
            return serializers.client(client)

    def register(self, project_id: str, user_id: str,
                 registration: clients.Registration, check: Check) -> None:
        """Add a client, or bring the project's own up to date.

        :raises freezer_api.errors.ApiError: service_mode_disabled, or
            already_exists when the id is a central client's of another
            project or the uuid any row's
        :raises freezer_api.domain.quota.Exceeded: when the project may have
            no more
        """
        if registration.is_central and not self._conf.service_mode.enabled:
            raise errors.ApiError('service_mode_disabled',
                                  'This service takes no central clients.')

        def work(session: orm.Session) -> tuple[models.Client, bool]:
            return clients.register(
                session, project_id, user_id, registration, check)

        try:
            client, may_be_more = self._quotas.write(project_id, work)
        except quota.Exceeded:
            # Another of its schedulers may have registered this very moment.
            client, may_be_more = self._quotas.write(project_id, work)
        if may_be_more:
            self._database.write(lambda session: clients.drop_duplicates(
                session, client, self._clock()))

    def delete(self, project_id: str, client_id: str, check: Check) -> None:
        """Delete a client of the project, if there is one.

        :raises freezer_api.errors.ApiError: client_in_use for a central one
            that has jobs, forbidden for one of another project
        """
        now = self._clock()

        def work(session: orm.Session) -> None:
            found = clients.find_visible(session, project_id, client_id)
            client = found and clients.lock(session, found)
            check(client is not None and bool(client.is_central))
            if client is None:
                return
            if client.project_id != project_id:
                raise errors.ApiError(
                    'forbidden',
                    'You are not allowed to access this resource')
            clients.delete(session, client, now)

        self._database.write(work)

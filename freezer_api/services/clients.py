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

from collections.abc import Callable

from sqlalchemy import orm

from freezer_api.db import clients
from freezer_api.db import models
from freezer_api.db import serializers
from freezer_api.domain import quota
from freezer_api import errors
from freezer_api.services import noun

#: Raises an error unless the caller may change a client. The argument is
#: whether the client is central according to the database, or becomes so; the
#: request alone does not determine that.
Check = Callable[[bool], None]


class ClientService(noun.NounService[models.Client]):
    """The clients of projects, and the central ones of all projects."""

    noun = noun.Noun(
        'No client with ID', models.Client, clients.SEARCHED, clients.visible,
        clients.find_visible, serializers.client, serializers.client)

    def register(self, project_id: str, user_id: str,
                 registration: clients.Registration, check: Check) -> None:
        """Add a client, or update the project's own.

        :raises freezer_api.errors.ApiError: service_mode_disabled;
            already_exists if a central client of another project has the ID,
            or any row has the UUID
        :raises freezer_api.domain.quota.Exceeded: if the project has reached
            its limit
        """
        if registration.is_central and (
                not self._services.conf.service_mode.enabled):
            raise errors.ApiError('service_mode_disabled',
                                  'This service takes no central clients.')

        def work(session: orm.Session) -> tuple[models.Client, bool]:
            return clients.register(
                session, project_id, user_id, registration, check)

        try:
            client, may_be_more = self._quotas.write(project_id, work)
        except quota.Exceeded:
            # Another scheduler may have registered the client meanwhile.
            client, may_be_more = self._quotas.write(project_id, work)
        if may_be_more:
            self._database.write(lambda session: clients.drop_duplicates(
                session, client, self._clock()))

    def delete(self, project_id: str, client_id: str, check: Check) -> None:
        """Delete a client of the project, if there is one.

        :raises freezer_api.errors.ApiError: client_in_use for a central
            client with jobs, forbidden for a client of another project
        """
        now = self._clock()

        def work(session: orm.Session) -> None:
            found = clients.find_visible(session, project_id, client_id)
            client = found and clients.lock(session, found.id)
            check(client is not None and bool(client.is_central))
            if client is None:
                return
            if client.project_id != project_id:
                raise errors.ApiError(
                    'forbidden',
                    'You are not allowed to access this resource')
            clients.delete(session, client, now)

        self._database.write(work)

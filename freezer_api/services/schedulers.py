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

"""Schedulers: which client each of them may act for."""

from __future__ import annotations

from freezer_api.db import clients
from freezer_api.db import models
from freezer_api.db import run_rows
from freezer_api import errors
from freezer_api.services import callers
from freezer_api.services import dependencies


class Schedulers:
    """Admits schedulers to the runs of their clients."""

    def __init__(self, services: dependencies.Services) -> None:
        self._database = services.database
        self._trusts = services.trusts

    def client(self, caller: callers.Caller, project_id: str, client_id: str,
               rule: str) -> models.Client:
        """Return the project's own client, if the caller may act for it.

        :param rule: the policy; that of a central client ends in ``_central``
        :raises freezer_api.errors.ApiError: client_not_found, not_trustee, or
            whatever :meth:`freezer_api.services.callers.Caller.must` raises
        :raises freezer_api.keystone.trusts.KeystoneUnavailable: if it is not
            known who the trustee is
        """
        with self._database.read() as session:
            client = clients.find_owned(session, project_id, client_id)
        for_central = f'{rule}_central'
        if client is not None:
            caller.must(for_central if client.is_central else rule, project_id)
        elif not caller.may(for_central, project_id):
            caller.must(rule, project_id)
        if client is None:
            raise errors.ApiError(
                'client_not_found',
                f'Client not registered with ID {client_id}')
        if client.is_central and not self._trusts.is_trustee(
                caller.user_id):
            # Trusts are of use to their trustee alone, and shown to no other.
            raise errors.ApiError(
                'not_trustee',
                'Runs of a central client are handed to the service account '
                'that the trusts are made for. The scheduler must log in as '
                'the user that the API is configured with.')
        return client


def holder(client: models.Client, scheduler_id: str) -> run_rows.Holder:
    """Return a scheduler of a client as the holder of runs."""
    return run_rows.Holder(
        client_id=client.client_id,
        project_id=None if client.is_central else client.project_id,
        scheduler_id=scheduler_id)

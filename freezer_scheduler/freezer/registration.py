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

"""Registration of this client and its capabilities with the API.

The client registers at start, on reload, and as a heartbeat. So it appears
again after it was deleted, or after the API's database was restored.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib

from oslo_log import log as logging

from freezer_api.domain import capabilities as domain_capabilities
from freezer_scheduler.freezer import client as freezer_client
from freezer_scheduler.telemetry import monitor

LOG = logging.getLogger(__name__)

_POWERFUL = frozenset(('service', 'admin'))


class Registration:
    """This client as the API knows it.

    :ivar offered: the capabilities to register
    """

    def __init__(self, api: freezer_client.Api, client_id: str | None,
                 hostname: str, offered: domain_capabilities.Capabilities,
                 central: bool, observer: monitor.Monitor) -> None:
        self._api = api
        self._observer = observer
        self._hostname = hostname
        self._client_id = client_id
        self._central = central
        self.offered = offered

    @property
    def client_id(self) -> str:
        """The name by which users assign jobs to the client.

        :raises freezer_scheduler.freezer.client.ApiUnreachable: if Keystone is
            needed for it and does not answer
        """
        if self._client_id is None:
            self._client_id = f'{self._api.project_id()}_{self._hostname}'
        return self._client_id

    def begin(self) -> None:
        """Register for the first time.

        :raises freezer_scheduler.freezer.client.CatalogueRefused: if the
            options name no endpoint, or several
        :raises freezer_scheduler.freezer.client.NoClaims: if the API is too
            old
        :raises freezer_scheduler.freezer.client.NoServiceRole: if a central
            client needs that role and the account has not got it
        :raises freezer_scheduler.freezer.client.ApiError: if the API does not
            answer, or refuses
        """
        with self._watched():
            self._api.check_catalogue()
            powerless = self._central and not _POWERFUL & self._api.roles()
            if powerless:
                # A policy may allow other roles. And an API with the same
                # account cannot check tokens, so it does not refuse them.
                LOG.warning('%s', freezer_client.NoServiceRole.text)
            self._api.check_claims()
        try:
            self.renew()
        except freezer_client.ApiRefused as error:
            if error.status == 403 and powerless:
                raise freezer_client.NoServiceRole(error) from None
            raise
        LOG.info('Registered as client %s: %s', self.client_id,
                 described(self.offered))

    def renew(self) -> None:
        """Register again, with the current capabilities.

        :raises freezer_scheduler.freezer.client.ApiError: if the API does not
            answer, or refuses
        """
        with self._watched():
            self._api.register(self.client_id, self._hostname, self.offered,
                               self._central)
        self._observer.registered(self.client_id)

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except freezer_client.ApiError as error:
            self._observer.not_registered(str(error))
            raise


def described(offered: domain_capabilities.Capabilities) -> str:
    """Return capabilities in words."""
    return '; '.join(
        f'{noun} {", ".join(words) or "none"}' for noun, words in (
            ('actions', offered.actions), ('modes', offered.modes),
            ('storages', offered.storages), ('engines', offered.engines)))

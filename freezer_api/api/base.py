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

"""What all resources have: the services and the caller."""

from __future__ import annotations

import falcon

from freezer_api.db import models
from freezer_api.services import callers
from freezer_api.services import dependencies
from freezer_api.services import schedulers


class Resource:
    """A falcon resource that has the services at hand."""

    def __init__(self, services: dependencies.Services) -> None:
        self._services = services
        self._conf = services.conf

    @staticmethod
    def _caller(req: falcon.Request) -> callers.Caller:
        caller: callers.Caller = req.context.caller
        return caller


class SchedulerResource(Resource):
    """A resource that only the schedulers of a client may use."""

    def __init__(self, services: dependencies.Services) -> None:
        super().__init__(services)
        self._schedulers = schedulers.Schedulers(services)

    def _client(self, req: falcon.Request, project_id: str, client_id: str,
                rule: str) -> models.Client:
        """Return the client, if the caller may act for it.

        :param rule: the policy; see
            :meth:`freezer_api.services.schedulers.Schedulers.client`
        """
        return self._schedulers.client(
            self._caller(req), project_id, client_id, rule)

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

"""What all resources share: the services, the caller and its permissions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic
from typing import TypeVar

import falcon

from freezer_api.db import models
from freezer_api.services import callers
from freezer_api.services import dependencies
from freezer_api.services import schedulers

Service = TypeVar('Service')


class Resource(Generic[Service]):
    """A falcon resource with its service.

    Below the line of what they do, the docstrings of its methods list the
    status of success and those of the errors that not every request has; see
    ``_EVERY`` in :mod:`freezer_api.api.openapi.document`.

    :cvar service: the class of the service
    """

    service: Callable[[dependencies.Services], Service]

    def __init__(self, services: dependencies.Services) -> None:
        self._services = services
        self._conf = services.conf
        self._service = self.service(services)

    @staticmethod
    def _allow(req: falcon.Request, rule: str,
               project_id: str) -> callers.Caller:
        """Return the caller, if policy allows a rule on the project.

        :raises freezer_api.errors.ApiError: see
            :meth:`freezer_api.services.callers.Caller.must`
        """
        caller: callers.Caller = req.context.caller
        caller.must(rule, project_id)
        return caller


class SchedulerResource(Resource[Service]):
    """A resource that only the schedulers of a client can use."""

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
            req.context.caller, project_id, client_id, rule)

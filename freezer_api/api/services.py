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

"""What the resources work with; assembled once, in deploy."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses

import falcon
from oslo_config import cfg

from freezer_api.api import context
from freezer_api.conf import scheduling
from freezer_api.db import engine
from freezer_api import delegations as trust_keeper
from freezer_api import quotas as limit_keeper


@dataclasses.dataclass(frozen=True)
class Services:
    """Everything that outlives a request.

    :param clock: returns now, in epoch seconds
    :param self_test: looks at Keystone, unless that has been done
    """

    conf: cfg.ConfigOpts
    database: engine.Database
    delegations: trust_keeper.Delegations
    quotas: limit_keeper.Quotas
    clock: Callable[[], int]
    self_test: Callable[[], None] = lambda: None


class Resource:
    """A falcon resource that has the services at hand."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._conf = services.conf
        self._database = services.database
        self._delegations = services.delegations
        self._quotas = services.quotas
        self._rules = scheduling.rules(services.conf)

    def _now(self) -> int:
        return self._services.clock()

    @staticmethod
    def _caller(req: falcon.Request) -> context.Caller:
        caller: context.Caller = req.context.caller
        return caller

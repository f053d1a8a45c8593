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

"""The health check ``freezer_schema``: the database has the right schema."""

from __future__ import annotations

from typing import Any

from oslo_config import cfg
from oslo_middleware.healthcheck import pluginbase

from freezer_api.db import schema_version
from freezer_api import schema_gate


class Schema(pluginbase.HealthcheckBaseExtension):
    """A plugin of oslo.middleware.

    A database that does not answer leaves the service healthy: a load balancer
    that removes all processes would not help.
    """

    def __init__(self, oslo_conf: cfg.ConfigOpts, conf: dict[str, Any],
                 ) -> None:
        super().__init__(oslo_conf, conf)
        self._watch = schema_gate.SchemaWatch(
            lambda: schema_version.read(oslo_conf.database.connection))

    def healthcheck(self, server_port: int) -> pluginbase.HealthcheckResult:
        """Return whether requests can be answered."""
        problem = self._watch.problem()
        return pluginbase.HealthcheckResult(
            available=not problem,
            reason='DATABASE SCHEMA NOT READY' if problem else 'OK',
            details=problem or None)

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

"""Limits: the quota and the usage of a project."""

from __future__ import annotations

import falcon

from freezer_api.api import base
from freezer_api.services import dependencies
from freezer_api.services import quotas


class Limits(base.Resource[quotas.Quotas]):
    """``/v2/{project_id}/limits``"""

    @staticmethod
    def service(services: dependencies.Services) -> quotas.Quotas:
        return services.quotas

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str) -> None:
        """Show the limits and the usage of a project.

        Statuses: 200.
        """
        self._allow(req, 'limits:get', project_id)
        limits = self._service.with_usage(project_id)
        resp.media = {'limits': {
            resource.value: {'limit': max(limit, -1), 'usage': usage}
            for resource, (limit, usage) in limits.items()}}

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

"""Maintenance: work that central schedulers request once a minute."""

from __future__ import annotations

import falcon

from freezer_api.api import base
from freezer_api.services import maintenance


class Maintenance(base.Resource[maintenance.MaintenanceService]):
    """``/v2/{project_id}/maintenance``"""

    service = maintenance.MaintenanceService

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str) -> None:
        """Run a pass of maintenance.

        Statuses: 200.
        """
        self._allow(req, 'maintenance:run', project_id)
        done = self._service.run()
        resp.media = {
            'trusts_deleted': done.trusts_deleted,
            'trusts_pending': done.trusts.pending,
            'trusts_unproven': done.trusts.unproven,
            'runs_deleted': done.runs_deleted,
            'runs_abandoned': done.runs_abandoned,
            'jobs_suspended': sum(done.suspended.values()),
            'jobs_suspended_by_cause': dict(done.suspended),
            'clock_ahead': done.clock_ahead,
        }

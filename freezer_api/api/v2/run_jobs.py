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

"""Which jobs exist: what the scheduler of a run asks before it prunes."""

from __future__ import annotations

import falcon

from freezer_api.api import base
from freezer_api.api import params
from freezer_api.schemas import claims as schema
from freezer_api.services import dependencies
from freezer_api.services import runs


class RunJobs(base.SchedulerResource):
    """``/v2/{project_id}/clients/{client_id}/runs/{run_id}/jobs``"""

    def __init__(self, services: dependencies.Services) -> None:
        super().__init__(services)
        self._runs = runs.RunService(services)

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str, client_id: str, run_id: str) -> None:
        """Tell apart living jobs of the run's project and those that are not.

        200, 400, 403, 404, 409 where the run has another holder.
        """
        sent = params.body(req)
        client = self._client(req, project_id, client_id, 'runs:update')
        schema.validate_asked_jobs(sent)
        asked = list(dict.fromkeys(sent['job_ids']))
        living = self._runs.living_jobs(
            client, sent['scheduler_id'], run_id, sent['fence'], asked)
        resp.media = {
            'run_id': run_id,
            'living': [job_id for job_id in asked if job_id in living],
            'gone': [job_id for job_id in asked if job_id not in living]}

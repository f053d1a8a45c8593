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

"""Runs, and the jobs that exist beside the job of a run."""

from __future__ import annotations

import falcon

from freezer_api.api import base
from freezer_api.api import params
from freezer_api.api import responses
from freezer_api.schemas import claims as schema
from freezer_api.services import runs


class JobRuns(base.Resource[runs.RunService]):
    """``/v2/{project_id}/jobs/{job_id}/runs``"""

    service = runs.RunService

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str, job_id: str) -> None:
        """List the runs of a job.

        Statuses: 200, 404.
        """
        self._allow(req, 'runs:get_all', project_id)
        responses.show_list(req, resp, 'runs', self._service.list(
            project_id, job_id, params.list_params(req, self._conf).page))


class RunJobs(base.SchedulerResource[runs.RunService]):
    """``/v2/{project_id}/clients/{client_id}/runs/{run_id}/jobs``"""

    service = runs.RunService

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str, client_id: str, run_id: str) -> None:
        """Return which jobs of the run's project exist, before pruning.

        Statuses: 200, 404, 409.
        """
        sent = params.body(req)
        client = self._client(req, project_id, client_id, 'runs:update')
        schema.validate_asked_jobs(sent)
        job_ids = list(dict.fromkeys(sent['job_ids']))
        living = self._service.living_jobs(
            client, sent['scheduler_id'], run_id, sent['fence'], job_ids)
        resp.media = {
            'run_id': run_id,
            'living': [job_id for job_id in job_ids if job_id in living],
            'gone': [job_id for job_id in job_ids if job_id not in living]}

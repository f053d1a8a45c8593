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

"""Runs: what became of each firing of a job."""

from __future__ import annotations

import falcon

from freezer_api.api import base
from freezer_api.api import params
from freezer_api.api import responses
from freezer_api.services import dependencies
from freezer_api.services import runs


class JobRuns(base.Resource):
    """``/v2/{project_id}/jobs/{job_id}/runs``"""

    def __init__(self, services: dependencies.Services) -> None:
        super().__init__(services)
        self._runs = runs.RunService(services)

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str, job_id: str) -> None:
        self._caller(req).must('runs:get_all', project_id)
        wanted = params.wanted(req, self._conf)
        responses.show_list(req, resp, 'runs', self._runs.list(
            project_id, job_id, wanted.page))

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

"""Jobs: create, read, change, replace, delete."""

from __future__ import annotations

import falcon

from freezer_api.api import base
from freezer_api.api import params
from freezer_api.api import responses
from freezer_api.schemas import jobs as schema
from freezer_api.services import action_defaults
from freezer_api.services import dependencies
from freezer_api.services import job_views
from freezer_api.services import jobs


class _Resource(base.Resource):

    def __init__(self, services: dependencies.Services) -> None:
        super().__init__(services)
        self._reader = job_views.JobReader(services)

    def _change(self, req: falcon.Request, project_id: str) -> jobs.JobChange:
        return jobs.JobChange(self._services, self._caller(req), project_id)


class Jobs(_Resource):
    """``/v2/{project_id}/jobs``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str) -> None:
        caller = self._caller(req)
        caller.must('jobs:get_all', project_id)
        wanted = params.wanted(req, self._conf)
        every_project = params.flag(req, 'all_projects')
        if every_project:
            caller.must(job_views.ALL, project_id)
        responses.show_list(req, resp, 'jobs', self._reader.list(
            caller, project_id, wanted, every_project), 'job_id')

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str) -> None:
        self._caller(req).must('jobs:create', project_id)
        sent = action_defaults.filled_in(params.body(req))
        schema.validate_create(sent)
        resp.media = {'job_id': self._change(req, project_id).create(
            sent, sent.get('job_id') or None)}
        resp.status = falcon.HTTP_201


class Job(_Resource):
    """``/v2/{project_id}/jobs/{job_id}``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str, job_id: str) -> None:
        caller = self._caller(req)
        caller.must('jobs:get', project_id)
        resp.media = self._reader.get(caller, project_id, job_id)

    def on_patch(self, req: falcon.Request, resp: falcon.Response,
                 project_id: str, job_id: str) -> None:
        self._caller(req).must('jobs:update', project_id)
        sent = action_defaults.filled_in(params.body(req))
        schema.validate_update(sent)
        self._change(req, project_id).update(job_id, sent)
        resp.media = {'job_id': job_id, 'version': 0}

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str, job_id: str) -> None:
        self._caller(req).must('jobs:create', project_id)
        sent = action_defaults.filled_in(params.body(req))
        schema.validate_create({**sent, 'job_id': job_id}
                               if isinstance(sent, dict) else sent)
        self._change(req, project_id).replace(job_id, sent)
        resp.status = falcon.HTTP_201
        resp.media = {'job_id': job_id, 'version': job_id}

    def on_delete(self, req: falcon.Request, resp: falcon.Response,
                  project_id: str, job_id: str) -> None:
        self._caller(req).must('jobs:delete', project_id)
        self._change(req, project_id).delete(job_id)
        resp.status = falcon.HTTP_204

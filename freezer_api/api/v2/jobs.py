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

from typing import Any

import falcon

from freezer_api.api import base
from freezer_api.api import params
from freezer_api.api import responses
from freezer_api import errors
from freezer_api.schemas import jobs as schema
from freezer_api.services import job_views
from freezer_api.services import jobs


class Jobs(base.Resource[job_views.JobReader]):
    """``/v2/{project_id}/jobs``"""

    service = job_views.JobReader

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str) -> None:
        """List jobs.

        Statuses: 200.
        """
        caller = self._allow(req, 'jobs:get_all', project_id)
        wanted = params.list_params(req, self._conf)
        every_project = params.flag(req, 'all_projects')
        if every_project:
            caller.must(job_views.ALL, project_id)
        responses.show_list(req, resp, 'jobs', self._service.list(
            caller, project_id, wanted, every_project), 'job_id')

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str) -> None:
        """Create a job.

        Statuses: 201, 409, 422.
        """
        caller = self._allow(req, 'jobs:create', project_id)
        sent = _body(req)
        schema.validate_create(sent)
        change = jobs.JobChange(self._services, caller, project_id)
        resp.media = {'job_id': change.create(sent, sent.get('job_id'))}
        resp.status = falcon.HTTP_201


class Job(base.Resource[job_views.JobReader]):
    """``/v2/{project_id}/jobs/{job_id}``"""

    service = job_views.JobReader

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str, job_id: str) -> None:
        """Show a job.

        Statuses: 200, 404.
        """
        caller = self._allow(req, 'jobs:get', project_id)
        resp.media = self._service.get(caller, project_id, job_id)

    def on_patch(self, req: falcon.Request, resp: falcon.Response,
                 project_id: str, job_id: str) -> None:
        """Update a job.

        Statuses: 200, 404, 409, 422.
        """
        caller = self._allow(req, 'jobs:update', project_id)
        sent = _body(req)
        schema.validate_update(sent)
        jobs.JobChange(self._services, caller, project_id).update(job_id, sent)
        resp.media = {'job_id': job_id, 'version': 0}

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str, job_id: str) -> None:
        """Replace a job, or create one with this ID.

        Statuses: 201, 409, 422.
        """
        caller = self._allow(req, 'jobs:create', project_id)
        sent = _body(req)
        schema.validate_create({**sent, 'job_id': job_id}
                               if isinstance(sent, dict) else sent)
        jobs.JobChange(self._services, caller, project_id).replace(
            job_id, sent)
        resp.status = falcon.HTTP_201
        resp.media = {'job_id': job_id, 'version': job_id}

    def on_delete(self, req: falcon.Request, resp: falcon.Response,
                  project_id: str, job_id: str) -> None:
        """Delete a job.

        Statuses: 204.
        """
        caller = self._allow(req, 'jobs:delete', project_id)
        jobs.JobChange(self._services, caller, project_id).delete(job_id)
        resp.status = falcon.HTTP_204


def _body(req: falcon.Request) -> Any:
    """Return the body, with ``action_defaults`` filled into its actions.

    :raises freezer_api.errors.ApiError: 400 if it is not JSON, or if the
        defaults are not an object
    """
    sent = params.body(req)
    if not isinstance(sent, dict) or 'action_defaults' not in sent:
        return sent
    defaults = sent.pop('action_defaults')
    if not isinstance(defaults, dict):
        raise errors.ApiError(
            'bad_request', 'action_defaults must be an object')
    entries = sent.get('job_actions')
    if isinstance(entries, list):
        sent['job_actions'] = [_filled(entry, defaults) for entry in entries]
    return sent


def _filled(entry: Any, defaults: dict[str, Any]) -> Any:
    if not isinstance(entry, dict):
        return entry
    action = entry.get('freezer_action', {})
    if not isinstance(action, dict) or (
            # A reference to a stored action is not filled.
            entry.get('action_id') and 'freezer_action' not in entry):
        return entry
    return {**entry, 'freezer_action': {**defaults, **{
        key: value for key, value in action.items() if value is not None}}}

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

"""The jobs of a session, and their reports to it."""

from __future__ import annotations

import falcon

from freezer_api.api import base
from freezer_api.api import params
from freezer_api import errors
from freezer_api.schemas import sessions as schema
from freezer_api.services import jobs
from freezer_api.services import session_jobs


class SessionJob(base.Resource[session_jobs.SessionJobService]):
    """``/v2/{project_id}/sessions/{session_id}/jobs/{job_id}``"""

    service = session_jobs.SessionJobService

    def on_put(self, req: falcon.Request, resp: falcon.Response,
               project_id: str, session_id: str, job_id: str) -> None:
        """Add a job to a session.

        Statuses: 204, 404, 409, 422.
        """
        caller = self._allow(req, 'sessions:job:add', project_id)
        jobs.JobChange(self._services, caller, project_id).join(
            session_id, job_id)
        resp.status = falcon.HTTP_204

    def on_delete(self, req: falcon.Request, resp: falcon.Response,
                  project_id: str, session_id: str, job_id: str) -> None:
        """Remove a job from a session, and stop it.

        Statuses: 204, 404.
        """
        self._allow(req, 'sessions:job:remove', project_id)
        self._service.remove(project_id, session_id, job_id)
        resp.status = falcon.HTTP_204


class SessionAction(base.Resource[session_jobs.SessionJobService]):
    """``/v2/{project_id}/sessions/{session_id}/action``"""

    service = session_jobs.SessionJobService

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str, session_id: str) -> None:
        """Report that a job of the session starts or has ended.

        Statuses: 202, 404, 405.
        """
        self._allow(req, 'sessions:action:create', project_id)
        sent = params.body(req)
        if not isinstance(sent, dict) or not sent:
            raise errors.ApiError('bad_request', 'Bad action request format')
        action = next(iter(sent))
        if action not in schema.ACTIONS:
            raise errors.ApiError('method_not_allowed', 'Bad Action Method')
        schema.validate_action(action, sent[action])
        outcome = self._service.report(
            project_id, session_id, action, sent[action])
        resp.status = falcon.HTTP_202
        resp.media = {'result': outcome.result,
                      'session_tag': outcome.session.session_tag}

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

"""The jobs of a session, and what they report to it."""

from __future__ import annotations

import falcon

from freezer_api.api import base
from freezer_api.api import params
from freezer_api import errors
from freezer_api.schemas import sessions as schema
from freezer_api.services import dependencies
from freezer_api.services import jobs
from freezer_api.services import session_jobs


class _Resource(base.Resource):

    def __init__(self, services: dependencies.Services) -> None:
        super().__init__(services)
        self._session_jobs = session_jobs.SessionJobService(services)


class SessionJob(_Resource):
    """``/v2/{project_id}/sessions/{session_id}/jobs/{job_id}``"""

    def on_put(self, req: falcon.Request, resp: falcon.Response,
               project_id: str, session_id: str, job_id: str) -> None:
        caller = self._caller(req)
        caller.must('sessions:job:add', project_id)
        jobs.JobChange(self._services, caller, project_id).join(
            session_id, job_id)
        resp.status = falcon.HTTP_204

    def on_delete(self, req: falcon.Request, resp: falcon.Response,
                  project_id: str, session_id: str, job_id: str) -> None:
        self._caller(req).must('sessions:job:remove', project_id)
        self._session_jobs.remove(project_id, session_id, job_id)
        resp.status = falcon.HTTP_204


class SessionAction(_Resource):
    """``/v2/{project_id}/sessions/{session_id}/action``"""

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str, session_id: str) -> None:
        self._caller(req).must('sessions:action:create', project_id)
        sent = params.body(req)
        if not isinstance(sent, dict) or not sent:
            raise errors.ApiError('bad_request', 'Bad action request format')
        action = next(iter(sent))
        if action not in schema.ACTIONS:
            raise errors.ApiError('method_not_allowed', 'Bad Action Method')
        schema.validate_action(action, sent[action])
        outcome = self._session_jobs.report(
            project_id, session_id, action, sent[action])
        resp.status = falcon.HTTP_202
        resp.media = {'result': outcome.result,
                      'session_tag': outcome.session.session_tag}

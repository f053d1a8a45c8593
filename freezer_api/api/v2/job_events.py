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

"""Events: start, stop and abort of a job."""

from __future__ import annotations

import falcon

from freezer_api.api import base
from freezer_api.api import params
from freezer_api.domain import events
from freezer_api import errors
from freezer_api.services import job_events


class JobEvent(base.Resource[job_events.JobEventService]):
    """``/v2/{project_id}/jobs/{job_id}/event``"""

    service = job_events.JobEventService

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str, job_id: str) -> None:
        """Start, stop or abort a job.

        Statuses: 202, 404, 422.
        """
        caller = self._allow(req, 'jobs:event:create', project_id)
        sent = params.body(req)
        if not isinstance(sent, dict) or not sent:
            raise errors.ApiError('bad_request', 'Bad event request format')
        event = next(iter(sent))
        if event not in events.EVENTS:
            raise errors.ApiError('bad_request', 'Bad Action Method')
        resp.status = falcon.HTTP_202
        resp.media = {'result': self._service.apply(
            caller.trust_caller, project_id, job_id, event)}

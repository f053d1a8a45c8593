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
from sqlalchemy import orm

from freezer_api.api import errors
from freezer_api.api import request
from freezer_api.api import services
from freezer_api.api.v2 import job_change
from freezer_api.api.v2 import sessions as session_resource
from freezer_api.db import clients
from freezer_api.db import jobs
from freezer_api.db import models
from freezer_api.db import runs
from freezer_api.db import sessions
from freezer_api.domain import events
from freezer_api.domain import sessions as domain
from freezer_api.schemas import sessions as schema


class SessionJob(services.Resource):
    """``/v2/{project_id}/sessions/{session_id}/jobs/{job_id}``"""

    def on_put(self, req: falcon.Request, resp: falcon.Response,
               project_id: str, session_id: str, job_id: str) -> None:
        caller = self._caller(req)
        caller.must('sessions:job:add', project_id)
        job_change.JobChange(self._services, caller, project_id).join(
            session_id, job_id)
        resp.status = falcon.HTTP_204

    def on_delete(self, req: falcon.Request, resp: falcon.Response,
                  project_id: str, session_id: str, job_id: str) -> None:
        self._caller(req).must('sessions:job:remove', project_id)
        now = self._now()

        def work(session: orm.Session) -> None:
            job = jobs.find(session, project_id, job_id, lock=True)
            row = sessions.find(session, project_id, session_id, lock=True)
            if row is None:
                raise session_resource.not_found(session_id)
            was_in = sessions.leave(row, job_id, now)
            if job is not None and job.session_id == session_id:
                self._part(session, job, now)
            elif job is None and not was_in:
                raise errors.not_found(f'Job not registered with ID {job_id}')

        self._database.write(work)
        resp.status = falcon.HTTP_204

    def _part(self, session: orm.Session, job: models.Job, now: int) -> None:
        """Leave a job on its own, and stopped: its times were the session's.
        """
        runs.forgo(session, job, self._rules, now,
                   'The job was taken out of its session')
        job.session_id = ''
        job.session_tag = 0
        client = clients.find_visible(
            session, job.project_id or '', job.client_id)
        effect = events.apply('stop', jobs.runtime(job), now,
                              client is None or bool(client.claims))
        jobs.set_runtime(job, effect.runtime)
        if effect.for_run is not None and job.run_id is not None:
            runs.tell(session, job.run_id, effect.for_run)


class SessionAction(services.Resource):
    """``/v2/{project_id}/sessions/{session_id}/action``"""

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str, session_id: str) -> None:
        self._caller(req).must('sessions:action:create', project_id)
        sent = request.body(req)
        if not isinstance(sent, dict) or not sent:
            raise errors.bad_request('Bad action request format')
        action = next(iter(sent))
        if action not in schema.ACTIONS:
            raise errors.ApiError(falcon.HTTP_405, 'Bad Method',
                                  'Bad Action Method', 'method_not_allowed')
        schema.validate_action(action, sent[action])
        said = sent[action]
        now = self._now()

        def work(session: orm.Session) -> domain.Outcome:
            job = jobs.find(session, project_id, said['job_id'], lock=True)
            row = sessions.find(session, project_id, session_id, lock=True)
            if row is None:
                raise session_resource.not_found(session_id)
            before = sessions.state(row)
            if action == 'start':
                outcome = domain.start(before, said['job_id'],
                                       int(said['current_tag']), now)
            else:
                outcome = domain.end(
                    before, said['job_id'], said['result'], now)
            if outcome.session is not before:
                sessions.set_state(row, outcome.session)
            if job is not None and outcome.tag is not None:
                job.session_tag = outcome.tag
            return outcome

        try:
            outcome = self._database.write(work)
        except (domain.TagTooHigh, domain.NotAMember) as error:
            raise errors.bad_request(
                str(error), 'session_action_refused') from None
        resp.status = falcon.HTTP_202
        resp.media = {'result': outcome.result,
                      'session_tag': outcome.session.session_tag}

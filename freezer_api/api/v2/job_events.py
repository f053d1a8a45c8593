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
from sqlalchemy import orm

from freezer_api.api import errors
from freezer_api.api import request
from freezer_api.api import services
from freezer_api.api.v2 import assignment
from freezer_api.api.v2 import authority
from freezer_api.db import actions
from freezer_api.db import clients
from freezer_api.db import delegations
from freezer_api.db import jobs
from freezer_api.db import models
from freezer_api.db import runs
from freezer_api.domain import causes
from freezer_api.domain import events
from freezer_api.domain import jobs as domain

# What a firing came to nothing by that was due already.
_BEFORE = {'start': 'The job was started by hand',
           'stop': 'The job was stopped', 'abort': 'The job was aborted'}


class JobEvent(services.Resource):
    """``/v2/{project_id}/jobs/{job_id}/event``"""

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str, job_id: str) -> None:
        self._caller(req).must('jobs:event:create', project_id)
        sent = request.body(req)
        if not isinstance(sent, dict) or not sent:
            raise errors.bad_request('Bad event request format')
        event = next(iter(sent))
        if event not in events.EVENTS:
            raise errors.bad_request('Bad Action Method')
        now = self._now()
        trust = authority.Authority(
            self._delegations, self._caller(req).trust_caller, project_id)

        def work(session: orm.Session) -> str:
            return self._apply(
                session, project_id, job_id, event, self._caller(req).user_id,
                trust, now)

        resp.status = falcon.HTTP_202
        resp.media = {
            'result': trust.run(lambda: self._database.write(work))}

    def _takes_over(self, job: models.Job, client: models.Client,
                    given: delegations.Given | None, user_id: str) -> bool:
        """Whether who starts a job whose trust does not work gives his."""
        return (job.suspended is not None and job.run_id is None
                and not causes.lasting(job.suspended)
                and assignment.must_delegate(
                    self._conf, client, given, user_id))

    def _apply(self, session: orm.Session, project_id: str, job_id: str,
               event: str, user_id: str, trust: authority.Authority,
               now: int) -> str:
        job = jobs.find(session, project_id, job_id, lock=True)
        if job is None:
            raise errors.not_found(f'Job not registered with ID {job_id}')
        runs.leave_behind(session, job, self._rules, now)
        client = clients.look(session, project_id, job.client_id)
        if event == 'start':
            # Whatever became of client and actions, a job can be stopped.
            client = assignment.known(client, job.client_id)
            assignment.check(client, actions.look_of_job(session, job_id))
            # The run has what the trust gives, which may be more than the
            # token has, and may outlast it.
            given = delegations.given(session, job, now)
            trust.require(self._conf, client, given)
            if (self._takes_over(job, client, given, user_id)
                    and trust.may_delegate()):
                trust.give(session, job, now)
        effect = events.apply(
            event, jobs.runtime(job), now,
            client is None or bool(client.claims))
        if effect.runtime.next_run_at != job.next_run_at:
            runs.forgo(session, job, self._rules, now, _BEFORE[event])
        state = effect.runtime
        if state.event == 'start' and state.next_run_at == now:
            state = domain.start(
                state, runs.start_time(session, job, now))
        jobs.set_runtime(job, state)
        if effect.for_run is not None and job.run_id is not None:
            runs.tell(session, job.run_id, effect.for_run)
        return effect.result

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

from sqlalchemy import orm

from freezer_api.conf import scheduling
from freezer_api.db import actions
from freezer_api.db import assignment as db_assignment
from freezer_api.db import jobs
from freezer_api.db import run_rows
from freezer_api.domain import events
from freezer_api.domain import job_state
from freezer_api.domain import trust_errors
from freezer_api import errors
from freezer_api.keystone import trusts
from freezer_api.services import assignment
from freezer_api.services import dependencies
from freezer_api.services import new_schedule
from freezer_api.services import parsed_documents
from freezer_api.services import trust_for_change

# Reasons of a due firing that an event skips.
_BEFORE = {'start': 'The job was started by hand',
           'stop': 'The job was stopped', 'abort': 'The job was aborted'}


class JobEventService:
    """Applies events to jobs and to their current runs."""

    def __init__(self, services: dependencies.Services) -> None:
        self._services = services
        self._rules = scheduling.rules(services.conf)

    def apply(self, caller: trusts.Caller, project_id: str, job_id: str,
              event: str) -> str:
        """Apply an event to a job.

        :param event: one of freezer_api.domain.events.EVENTS
        :returns: the text for stock clients
        :raises freezer_api.errors.ApiError: not_found, or when the job cannot
            be started as it is
        :raises freezer_api.keystone.trusts.KeystoneUnavailable: when the
            event needs a trust
        """
        now = self._services.clock()
        trust = trust_for_change.TrustForChange(
            self._services, caller, project_id)
        read = parsed_documents.Readings(project_id, now, self._services.known)

        def work(session: orm.Session) -> str:
            return self._apply(
                session, project_id, job_id, event, trust, read, now)

        return trust.run(lambda: read.run(
            lambda: self._services.database.write(work)))

    def _apply(self, session: orm.Session, project_id: str, job_id: str,
               event: str, trust: trust_for_change.TrustForChange,
               read: parsed_documents.Readings, now: int) -> str:
        job = errors.found(
            jobs.find(session, project_id, job_id, lock=True),
            f'Job not registered with ID {job_id}')
        run_rows.abort_orphan(session, job, self._rules, now)
        client, job_trust = db_assignment.find(session, project_id, job, now)
        if event == 'start':
            # A job can be stopped without its client and its actions.
            client = assignment.known(client, job.client_id)
            new_schedule.check_known(jobs.schedule(job), client)
            assignment.check(read, client,
                             actions.of_job(session, job_id), new=False)
            # The run has what the trust gives, which may be more than the
            # token has, and may outlast it.
            trust.require(client, job_trust)
            # A start replaces a trust that does not work by the caller's.
            if (job.suspension_reason is not None and job.run_id is None
                    and not trust_errors.lasting(job.suspension_reason)
                    and trust.is_due(client, job_trust)
                    and trust.may_delegate()):
                trust.attach(session, job, now)
        effect = events.apply(
            event, jobs.plan(job, self._rules), jobs.runtime(job), now,
            client is None or bool(client.supports_claims))
        if effect.runtime.next_run_at != job.next_run_at:
            run_rows.skip_unclaimed(session, job, self._rules, now,
                                    _BEFORE[event])
        state = effect.runtime
        if state.event == 'start' and state.next_run_at == now:
            state = job_state.start(
                state, run_rows.start_time(session, job.id, now), now)
        jobs.set_runtime(job, state)
        if effect.for_run is not None and job.run_id is not None:
            run_rows.set_event(session, job.run_id, effect.for_run)
        return effect.result

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

"""The jobs of a session: their removal, and their reports to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm

from freezer_api.conf import scheduling
from freezer_api.db import clients
from freezer_api.db import jobs
from freezer_api.db import models
from freezer_api.db import run_rows
from freezer_api.db import sessions as db_sessions
from freezer_api.domain import events
from freezer_api.domain import sessions as domain_sessions
from freezer_api import errors
from freezer_api.services import dependencies
from freezer_api.services import sessions


class SessionJobService:
    """Changes that concern a session and one of its jobs.

    A job is added to a session by
    :meth:`freezer_api.services.jobs.JobChange.join`.
    """

    def __init__(self, services: dependencies.Services) -> None:
        self._clock = services.clock
        self._database = services.database
        self._rules = scheduling.rules(services.conf)

    def remove(self, project_id: str, session_id: str, job_id: str) -> None:
        """Remove a job from a session.

        :raises freezer_api.errors.ApiError: not_found
        """
        now = self._clock()

        def work(session: orm.Session) -> None:
            job = jobs.find(session, project_id, job_id, lock=True)
            row = sessions.find(session, project_id, session_id, lock=True)
            was_in = db_sessions.leave(row, job_id, now)
            if job is not None and job.session_id == session_id:
                self._stop(session, job, now)
            elif job is None and not was_in:
                raise errors.ApiError(
                    'not_found', f'Job not registered with ID {job_id}')

        self._database.write(work)

    def _stop(self, session: orm.Session, job: models.Job, now: int) -> None:
        """Stop a job that leaves its session, because it has its schedule."""
        run_rows.skip_unclaimed(session, job, self._rules, now,
                                'The job was taken out of its session')
        job.session_id = ''
        job.session_tag = 0
        client = clients.find_visible(
            session, job.project_id or '', job.client_id)
        effect = events.apply(
            'stop', jobs.plan(job, self._rules), jobs.runtime(job), now,
            client is None or bool(client.supports_claims))
        jobs.set_runtime(job, effect.runtime)
        if effect.for_run is not None and job.run_id is not None:
            run_rows.set_event(session, job.run_id, effect.for_run)

    def report(self, project_id: str, session_id: str, action: str,
               said: Mapping[str, Any]) -> domain_sessions.Outcome:
        """Process the report that a job of the session starts or has ended.

        :param action: start or end
        :param said: a validated document
        :raises freezer_api.errors.ApiError: not_found, session_action_refused
        """
        now = self._clock()
        job_id = said['job_id']

        def work(session: orm.Session) -> domain_sessions.Outcome:
            job = jobs.find(session, project_id, job_id, lock=True)
            row = sessions.find(session, project_id, session_id, lock=True)
            before = db_sessions.state(row)
            if action == 'start':
                outcome = domain_sessions.start(
                    before, job_id, int(said['current_tag']), now)
            else:
                outcome = domain_sessions.end(
                    before, job_id, said['result'], now)
            if outcome.session is not before:
                db_sessions.set_state(row, outcome.session)
            if job is not None and outcome.tag is not None:
                job.session_tag = outcome.tag
            return outcome

        try:
            return self._database.write(work)
        except (domain_sessions.TagTooHigh,
                domain_sessions.NotAMember) as error:
            raise errors.ApiError(
                'session_action_refused', str(error)) from None

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

"""Creation and changes of jobs.

Each change is checked against the capabilities of the client. If the client
uses trusts, the author of a change of what a job does becomes its trustor.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import functools
import types
from typing import Any
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.conf import scheduling
from freezer_api.db import actions
from freezer_api.db import clients
from freezer_api.db import job_actions
from freezer_api.db import job_schedule
from freezer_api.db import job_size
from freezer_api.db import jobs
from freezer_api.db import models
from freezer_api.db import run_rows
from freezer_api.db import search_index
from freezer_api.db import session_runs
from freezer_api.db import sessions
from freezer_api.db import trusts
from freezer_api.domain import firing_plan
from freezer_api.domain import job_state
from freezer_api.domain import legacy_scheduler
from freezer_api.domain import quota
from freezer_api.domain import schedule as schedules
from freezer_api.domain import suspension
from freezer_api import errors
from freezer_api.services import assignment
from freezer_api.services import callers
from freezer_api.services import dependencies
from freezer_api.services import new_schedule
from freezer_api.services import parsed_documents
from freezer_api.services import sessions as session_service
from freezer_api.services import trust_for_change

Result = TypeVar('Result')

# The values of a job that are stored unchanged, with their defaults.
_PLAIN = {'description': '', 'session_id': '', 'session_tag': 0}


class JobChange:
    """One caller's changes to the jobs of one project."""

    def __init__(self, made: dependencies.Services, caller: callers.Caller,
                 project_id: str) -> None:
        self._conf = made.conf
        self._database = made.database
        self._quotas = made.quotas
        self._caller = caller
        self._project_id = project_id
        self._now = made.clock()
        self._trust = trust_for_change.TrustForChange(
            made, caller.trust_caller, project_id)
        self._read = parsed_documents.Readings(project_id, self._now,
                                               made.known)

    @functools.cached_property
    def _rules(self) -> firing_plan.Rules:
        return scheduling.rules(self._conf)

    def create(self, sent: Mapping[str, Any],
               job_id: str | None) -> str:
        """Add a job from a validated document and return its ID."""

        def work(session: orm.Session) -> str:
            client = assignment.client_of(
                session, self._project_id, sent['client_id'])
            job = jobs.add(session, self._project_id, self._caller.user_id,
                           job_id, sent['client_id'])
            self._fill(session, job, sent, client)
            return job.id

        return self._run(lambda: self._write(work), sent)

    def replace(self, job_id: str, sent: Mapping[str, Any]) -> None:
        """Replace a job with a validated document, or add it."""

        def work(session: orm.Session) -> None:
            job = jobs.find(session, self._project_id, job_id, lock=True)
            client = assignment.client_of(
                session, self._project_id, sent['client_id'])
            if job is None:
                job = jobs.add(session, self._project_id,
                               self._caller.user_id, job_id,
                               sent['client_id'])
            self._fill(session, job, sent, client)

        self._run(lambda: self._write(work), sent)

    def update(self, job_id: str, sent: Mapping[str, Any]) -> None:
        """Change the parts of a job that a validated document contains."""
        if (set(sent) == {'description'}
                and self._describe(job_id, sent['description'] or '')):
            return

        def work(session: orm.Session) -> None:
            job = self._find(session, job_id)
            self._update(session, job, self._intended(session, job, sent))

        if set(sent) == {'job_schedule'}:
            user, _ = job_state.split_schedule(sent['job_schedule'])
            self._run(lambda: (
                self._quotas.write_rows(
                    self._project_id,
                    lambda connection, limits: self._reschedule_waiting(
                        connection, job_id, user, limits))
                or self._write(work)), sent)
        else:
            self._run(lambda: self._write(work), sent)

    def _describe(self, job_id: str, text: str) -> bool:
        """Set the description of a job, if nothing else is to be done.

        No value is read and written again, so the job is not locked. If its
        trust becomes invalid meanwhile, the next change handles that.

        :returns: whether that was done
        """
        return self._database.write_rows(
            lambda connection: not trusts.needs_new(
                connection, job_id, self._caller.user_id, self._now
                ) and jobs.describe(
                    connection, self._project_id, job_id, text))

    def _reschedule_waiting(self, connection: sa.Connection, job_id: str,
                            user: dict[str, Any],
                            limits: quota.Limits) -> bool:
        """Change the schedule of a job, if nothing else is to be done.

        :meth:`_update` does the same for a job that waits for its next firing
        and whose trust the caller need not replace.

        :returns: whether that was done
        """
        job = job_schedule.lock(connection, self._project_id, job_id)
        if job is None:
            return False
        state = job.state
        stored = jobs.user_part(job.schedule)
        if (state.run_id is not None or state.retry_run_id is not None
                or job_state.overdue(state, self._now) or user == stored):
            return False
        assigned = job_schedule.assigned(connection, job, self._now)
        if assigned is None:
            return False
        client = assigned.client
        if not client.supports_claims or not self._trust.is_kept(
                client, assigned.trust, state.suspension_reason):
            return False
        self._check_schedule(stored, user, client)
        assignment.check(self._read, client, assigned.actions, new=False)
        search_index.reschedule(
            connection, job, assigned.actions, user, job_state.reschedule(
                firing_plan.Plan(user, job.id, self._rules), state,
                self._now), limits)
        return True

    def delete(self, job_id: str) -> None:
        """Delete a job, if it exists, and its trust, if no other needs it."""

        def work(session: orm.Session) -> None:
            job = jobs.find(session, self._project_id, job_id, lock=True)
            if job is not None:
                self._trust.take(session, job, self._now)
                jobs.delete(session, job, self._now)

        self._trust.run(lambda: self._database.write(work))

    def join(self, session_id: str, job_id: str) -> None:
        """Add a job to a session, with the schedule of the session."""

        def work(session: orm.Session) -> None:
            job = self._find(session, job_id)
            row = session_service.find(
                session, self._project_id, session_id, lock=True)
            client = clients.find_visible(
                session, self._project_id, job.client_id)
            if client is not None:
                assignment.check(
                    self._read, client,
                    actions.of_job(session, job.id), new=False)
            self._update(session, job, {
                'session_id': session_id,
                'job_schedule': sessions.schedule(row)
                if client is not None and client.supports_claims
                else row.schedule or {}})
            sessions.join(row, job)

        self._run(lambda: self._write(work))

    def _find(self, session: orm.Session, job_id: str) -> models.Job:
        """Return a job, locked."""
        return errors.found(
            jobs.find(session, self._project_id, job_id, lock=True),
            f'Job not registered with ID {job_id}')

    def _intended(self, session: orm.Session, job: models.Job,
                  sent: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a PATCH without the parts that its sender did not intend.

        See :mod:`freezer_api.domain.legacy_scheduler`.
        """
        stored, state = jobs.schedule(job), jobs.runtime(job)
        sent = legacy_scheduler.with_hidden(sent, 'job_schedule', stored)
        if legacy_scheduler.is_report(sent, state):
            client = clients.find_visible(
                session, self._project_id, job.client_id)
            if client is not None and not client.supports_claims:
                return legacy_scheduler.settled(
                    sent, stored, state, job.session_id or '')
        return sent

    def _run(self, transaction: Callable[[], Result],
             sent: Mapping[str, Any] = types.MappingProxyType({})) -> Result:
        """Execute a transaction, with a trust if it needs one."""
        self._read.prepare(
            sent, {0, self._conf.scheduling.minimum_interval})
        try:
            return self._trust.run(
                lambda: self._read.run(transaction))
        except schedules.ScheduleError as error:
            raise errors.ApiError('invalid_document', str(error)) from None

    def _write(self, work: Callable[[orm.Session], Result]) -> Result:
        return self._quotas.write(self._project_id, work)

    def _needs_new(self, session: orm.Session, job: models.Job) -> bool:
        """Return whether a job of the caller needs a new trust."""
        job_trust = trusts.of_job(session, job, self._now)
        if (job_trust is None or not job_trust.invalid
                or job_trust.trustor_user_id != self._caller.user_id):
            return False
        client = clients.find_visible(
            session, self._project_id, job.client_id)
        return (client is not None
                and self._trust.is_wanted(client)
                and self._trust.may_delegate())

    def _says_what(self, session: orm.Session, job: models.Job,
                   sent: Mapping[str, Any],
                   current: Sequence[models.Action]) -> bool:
        """Return whether a document changes what, when or where a job runs.

        :param current: the actions of the job, if the document has actions
        """
        if sent.get('client_id', job.client_id) != job.client_id:
            return True
        # A stock scheduler runs the job when the session lets it.
        if ((sent.get('session_id', job.session_id) or '')
                != (job.session_id or '')
                and trusts.of_job(session, job, self._now) is not None):
            return True
        if 'job_schedule' in sent:
            wanted, _ = job_state.split_schedule(sent['job_schedule'])
            if wanted != jobs.schedule(job):
                return True
        if 'job_actions' in sent:
            entries = sent['job_actions']
            if len(current) != len(entries) or not all(
                    actions.is_named(action, entry)
                    for action, entry in zip(current, entries, strict=True)):
                return True
        return ((sent.get('client_id') is not None or 'job_actions' in sent)
                and job.id not in trusts.of_jobs(session, [job.id]))

    def _fill(self, session: orm.Session, job: models.Job,
              sent: Mapping[str, Any], client: clients.AnyClient) -> None:
        """Set all values of a job from a document."""
        new = job.time_created is None
        current = () if new else actions.of_job(session, job.id)
        moved = job.client_id != sent['client_id']
        if moved:
            jobs.assign(session, job, sent['client_id'])
        run_rows.abort_orphan(session, job, self._rules, self._now)
        session_id = job.session_id
        for name, default in _PLAIN.items():
            value = sent.get(name)
            setattr(job, name, default if value is None else value)
        if job.session_id != session_id:
            session_runs.leave(session, job, session_id, self._now)
        user, runtime = job_state.split_schedule(
            sent.get('job_schedule') or {})
        self._check_schedule(jobs.schedule(job), user, client, moved or new)
        if new:
            job.schedule = user
            jobs.set_runtime(job, job_state.create(
                jobs.plan(job, self._rules), runtime, self._now,
                client.supports_claims))
        else:
            self._reschedule(session, job, user, runtime, client, moved)
        assignment.check(self._read, client, self._set_actions(
            session, job, sent['job_actions'], current))
        self._trust.give(
            session, job, client,
            None if new else trusts.of_job(session, job, self._now),
            self._now, new)

    def _update(self, session: orm.Session, job: models.Job,
                sent: Mapping[str, Any]) -> None:
        entries = sent.get('job_actions')
        current: Sequence[models.Action] = (
            () if entries is None else actions.of_job(session, job.id))
        says_what = self._says_what(session, job, sent, current)
        if says_what and entries is None:
            current = self._kept(session, job)
        withdraws = sent.get('user_credentials') == {}
        needs_new = not (says_what or withdraws) and self._needs_new(
            session, job)
        session_id = job.session_id
        same_session = sent.get('session_id', session_id) == session_id
        for name, default in _PLAIN.items():
            if name in sent and not (
                    name == 'session_tag' and same_session
                    and sent[name] < (job.session_tag or 0)):
                setattr(job, name,
                        default if sent[name] is None else sent[name])
        if job.session_id != session_id:
            session_runs.leave(session, job, session_id, self._now)
        moved = (sent.get('client_id') or job.client_id) != job.client_id
        if moved:
            jobs.assign(session, job, sent['client_id'])
        run_rows.abort_orphan(session, job, self._rules, self._now)
        if not (says_what or withdraws or needs_new or 'job_schedule' in sent):
            return
        client, job_trust = assignment.of_job(
            session, self._project_id, job, self._now)
        if 'job_schedule' in sent or moved:
            user, runtime = job_state.split_schedule(
                sent.get('job_schedule', jobs.schedule(job)))
            if not client.supports_claims and legacy_scheduler.restarts(
                    jobs.runtime(job), runtime):
                self._trust.require(client, job_trust)
            self._check_schedule(jobs.schedule(job), user, client, moved)
            self._reschedule(session, job, user, runtime, client, moved)
        if says_what:
            self._trust.require(client, job_trust)
            assignment.check(
                self._read, client, current if entries is None else
                self._set_actions(session, job, entries, current),
                new=entries is not None)
        if withdraws and self._trust.is_wanted(client):
            self._trust.take(session, job, self._now)
            jobs.set_runtime(job, suspension.withdraw(
                jobs.plan(job, self._rules), jobs.runtime(job), self._now))
        elif says_what or needs_new:
            self._trust.give(session, job, client, job_trust, self._now)

    def _check_schedule(self, stored: Mapping[str, Any],
                        user: Mapping[str, Any], client: clients.AnyClient,
                        moved: bool = False) -> None:
        new_schedule.check_known(user, client)
        new_schedule.check(
            self._read, 'job_schedule', stored, user,
            new_schedule.minimum_interval(self._conf, client), moved)

    def _reschedule(self, session: orm.Session, job: models.Job,
                    user: dict[str, Any], runtime: Mapping[str, Any],
                    client: clients.AnyClient, moved: bool) -> None:
        """Set the schedule of a job, and arm it again if the schedule differs.

        A job that moves to another client keeps a firing that is not claimed
        yet.
        """
        state = jobs.runtime(job)
        if not client.supports_claims:
            # A polling scheduler keeps the runtime, and sends all of it.
            state = legacy_scheduler.reported_runtime(state, runtime)
        elif user != jobs.schedule(job):
            run_rows.skip_unclaimed(session, job, self._rules, self._now,
                                    'The schedule of the job was changed')
            state = job_state.reschedule(
                firing_plan.Plan(user, job.id, self._rules), state, self._now)
        elif moved and not job_state.overdue(state, self._now):
            state = job_state.arm(
                jobs.plan(job, self._rules), state, self._now, 0)
        job.schedule = user
        jobs.set_runtime(job, state)

    def _kept(self, session: orm.Session,
              job: models.Job) -> Sequence[models.Action]:
        """Return the actions that a locked job keeps."""
        found = actions.of_job(session, job.id)
        search_index.set_actions(session, job, found)
        return found

    def _set_actions(self, session: orm.Session, job: models.Job,
                     entries: Any, current: Sequence[models.Action],
                     ) -> Sequence[models.Action]:
        size = job_size.of_actions(current)
        made = job_actions.set_of_job(
            session, job, self._caller.user_id, entries, current, self._now)
        job_size.check(made, size)
        search_index.set_actions(session, job, made)
        return made

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

"""Creating and changing jobs.

Each change is checked against the client's capabilities, and one that says
what is done makes its author the trustor, where the client works with trusts.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import functools
from typing import Any
from typing import TypeVar

from sqlalchemy import orm

from freezer_api.api import context
from freezer_api.api import errors
from freezer_api.api import services
from freezer_api.api.v2 import assignment
from freezer_api.api.v2 import authority
from freezer_api.api.v2 import new_schedule
from freezer_api.conf import scheduling
from freezer_api.db import actions
from freezer_api.db import clients
from freezer_api.db import delegations
from freezer_api.db import job_actions
from freezer_api.db import job_size
from freezer_api.db import jobs
from freezer_api.db import models
from freezer_api.db import rounds
from freezer_api.db import runs
from freezer_api.db import sessions
from freezer_api.db import terms
from freezer_api.domain import jobs as domain
from freezer_api.domain import plans
from freezer_api.domain import schedule as schedules
from freezer_api.domain import stock
from freezer_api.domain import suspension

Result = TypeVar('Result')

# What a job is set to, beside its schedule, actions and client.
_PLAIN = {'description': '', 'session_id': '', 'session_tag': 0}


class JobChange:
    """One caller's changes to the jobs of one project."""

    def __init__(self, made: services.Services, caller: context.Caller,
                 project_id: str) -> None:
        self._conf = made.conf
        self._database = made.database
        self._write = functools.partial(made.quotas.write, project_id)
        self._caller = caller
        self._project_id = project_id
        self._now = made.clock()
        self._trust = authority.Authority(
            made.delegations, caller.trust_caller, project_id)

    @functools.cached_property
    def _rules(self) -> plans.Rules:
        return scheduling.rules(self._conf)

    def create(self, sent: Mapping[str, Any],
               job_id: str | None) -> models.Job:
        """Add a job from a checked document and return it."""

        def work(session: orm.Session) -> models.Job:
            client = assignment.client_of(
                session, self._project_id, sent['client_id'])
            job = jobs.add(session, self._project_id, self._caller.user_id,
                           job_id, sent['client_id'])
            self._fill(session, job, sent, client)
            return job

        return self._run(work)

    def replace(self, job_id: str, sent: Mapping[str, Any]) -> models.Job:
        """Put a checked document in the place of a job, or add it."""

        def work(session: orm.Session) -> models.Job:
            job = jobs.find(session, self._project_id, job_id, lock=True)
            client = assignment.client_of(
                session, self._project_id, sent['client_id'])
            if job is None:
                job = jobs.add(session, self._project_id,
                               self._caller.user_id, job_id,
                               sent['client_id'])
            self._fill(session, job, sent, client)
            return job

        return self._run(work)

    def update(self, job_id: str, sent: Mapping[str, Any]) -> None:
        """Change what a checked document names, and nothing else."""
        if (set(sent) == {'description'}
                and self._describe(job_id, sent['description'] or '')):
            return

        def work(session: orm.Session) -> None:
            if (set(sent) == {'job_schedule'}
                    and self._rearm(session, job_id, sent['job_schedule'])):
                return
            job = self._find(session, job_id, lock=True)
            self._update(session, job, self._settled(session, job, sent))

        self._run(work)

    def _describe(self, job_id: str, text: str) -> bool:
        """Set a job's description, if that is all there is to do.

        Nothing of the job is read to be written again, so it need not be
        locked meanwhile. Should its trust be spent this very moment, the
        next change finds it so.
        """
        return self._database.write_rows(
            lambda connection: not delegations.owes(
                connection, job_id, self._caller.user_id, self._now
                ) and jobs.describe(
                    connection, self._project_id, job_id, text))

    def _rearm(self, session: orm.Session, job_id: str,
               sent: Mapping[str, Any]) -> bool:
        """Give a job another schedule, if that is all there is to do.

        Where the job waits for its next firing, with a trust of the
        caller's, this is all that :meth:`_update` would do. Rows are read for
        it, and no objects.
        """
        job = jobs.look(session, self._project_id, job_id, lock=True)
        if job is None:
            return False
        user, _ = domain.split_schedule(sent)
        state = jobs.runtime(job)
        if (state.run_id is not None or domain.overdue(state, self._now)
                or user == jobs.schedule(job)):
            return False
        client, given = assignment.of_job(
            session, self._project_id, job, self._now)
        if (not client.claims
                or not assignment.wants_trust(self._conf, client)
                or assignment.must_delegate(
                    self._conf, client, given, self._caller.user_id)
                or not self._trust.may_delegate()):
            return False
        self._check_schedule(job, user, client)
        its_actions = actions.look_of_job(session, job_id)
        assignment.check(client, its_actions)
        terms.reschedule(session, job, its_actions, user, domain.arm(
            plans.Plan(user, job.id, self._rules), state, self._now, 0))
        return True

    def _settled(self, session: orm.Session, job: models.Job,
                 sent: Mapping[str, Any]) -> Mapping[str, Any]:
        """Take out of a document what a stock scheduler has no say in."""
        if not stock.is_report(sent):
            return sent
        client = clients.find_visible(
            session, self._project_id, job.client_id)
        if client is None or client.claims:
            return sent
        return stock.settled(sent, jobs.schedule(job), jobs.runtime(job),
                             job.session_id or '')

    def join(self, session_id: str, job_id: str) -> models.Job:
        """Put a job into a session, under the session's schedule."""

        def work(session: orm.Session) -> models.Job:
            job = self._find(session, job_id, lock=True)
            row = sessions.find(
                session, self._project_id, session_id, lock=True)
            if row is None:
                raise errors.not_found(
                    f'Session not register with ID {session_id}')
            client = clients.find_visible(
                session, self._project_id, job.client_id)
            self._update(session, job, {
                'session_id': session_id,
                'job_schedule': sessions.schedule(row)
                if client is not None and client.claims
                else row.schedule or {}})
            sessions.join(row, job)
            return job

        return self._run(work)

    def _find(self, session: orm.Session, job_id: str,
              lock: bool = False) -> models.Job:
        job = jobs.find(session, self._project_id, job_id, lock)
        if job is None:
            raise errors.not_found(f'Job not registered with ID {job_id}')
        return job

    def _run(self, work: Callable[[orm.Session], Result]) -> Result:
        """Do the work in a transaction, with a trust if it needs one."""
        try:
            return self._trust.run(lambda: self._write(work))
        except jobs.Taken as error:
            raise errors.conflict(str(error)) from None
        except (actions.Refused, job_size.TooLarge) as error:
            raise errors.unprocessable(str(error), 'action_refused') from None
        except schedules.ScheduleError as error:
            raise errors.bad_request(
                str(error), 'invalid_document') from None

    def _owes(self, session: orm.Session, job: models.Job) -> bool:
        """Whether a job of the caller's needs another trust of his."""
        given = delegations.given(session, job, self._now)
        if (given is None or not given.spent
                or given.trustor_user_id != self._caller.user_id):
            return False
        client = clients.find_visible(
            session, self._project_id, job.client_id)
        return (client is not None
                and assignment.wants_trust(self._conf, client)
                and self._trust.may_delegate())

    def _says_what(self, session: orm.Session, job: models.Job,
                   sent: Mapping[str, Any],
                   current: Sequence[models.Action]) -> bool:
        """Whether a document changes what the job does, when or by whom.

        :param current: the job's actions, where the document has others
        """
        if sent.get('client_id', job.client_id) != job.client_id:
            return True
        # A stock scheduler runs the job when the session lets it.
        if ((sent.get('session_id', job.session_id) or '')
                != (job.session_id or '')
                and delegations.given(session, job, self._now) is not None):
            return True
        if 'job_schedule' in sent:
            wanted, _ = domain.split_schedule(sent['job_schedule'])
            if wanted != jobs.schedule(job):
                return True
        if ((sent.get('client_id') is not None or 'job_actions' in sent)
                and job.id not in delegations.of_jobs(session, [job.id])):
            return True
        if 'job_actions' not in sent:
            return False
        entries = sent['job_actions']
        return len(current) != len(entries) or not all(
            actions.is_named(action, entry)
            for action, entry in zip(current, entries, strict=True))

    def _fill(self, session: orm.Session, job: models.Job,
              sent: Mapping[str, Any], client: models.Client) -> None:
        """Set all of a job from a document."""
        new = job.time_created is None
        current = () if new else actions.look_of_job(session, job.id)
        moved = job.client_id != sent['client_id']
        if moved:
            jobs.give(session, job, sent['client_id'])
        runs.leave_behind(session, job, self._rules, self._now)
        session_id = job.session_id
        for name, default in _PLAIN.items():
            value = sent.get(name)
            setattr(job, name, default if value is None else value)
        if job.session_id != session_id:
            rounds.leave(session, job, session_id, self._now)
        user, runtime = domain.split_schedule(sent.get('job_schedule') or {})
        self._check_schedule(job, user, client, moved or new)
        if new:
            job.schedule = user
            jobs.set_runtime(job, domain.create(
                jobs.plan(job, self._rules), runtime, self._now,
                client.claims))
        else:
            self._reschedule(session, job, user, runtime, client, moved)
        assignment.check(client, self._set_actions(
            session, job, sent['job_actions'], current))
        self._delegate(
            session, job, client,
            None if new else delegations.given(session, job, self._now), new)

    def _update(self, session: orm.Session, job: models.Job,
                sent: Mapping[str, Any]) -> None:
        entries = sent.get('job_actions')
        current: Sequence[models.Action] = (
            () if entries is None else actions.look_of_job(session, job.id))
        says_what = self._says_what(session, job, sent, current)
        if says_what and entries is None:
            current = self._kept(session, job)
        withdraws = sent.get('user_credentials') == {}
        owes = not (says_what or withdraws) and self._owes(session, job)
        session_id = job.session_id
        same_session = sent.get('session_id', session_id) == session_id
        for name, default in _PLAIN.items():
            if name in sent and not (
                    name == 'session_tag' and same_session
                    and sent[name] < (job.session_tag or 0)):
                setattr(job, name,
                        default if sent[name] is None else sent[name])
        if job.session_id != session_id:
            rounds.leave(session, job, session_id, self._now)
        moved = (sent.get('client_id') or job.client_id) != job.client_id
        if moved:
            jobs.give(session, job, sent['client_id'])
        runs.leave_behind(session, job, self._rules, self._now)
        if not (says_what or withdraws or owes or 'job_schedule' in sent):
            return
        client, given = assignment.of_job(
            session, self._project_id, job, self._now)
        if 'job_schedule' in sent or moved:
            user, runtime = domain.split_schedule(
                sent.get('job_schedule', jobs.schedule(job)))
            if not client.claims and stock.restarts(
                    jobs.runtime(job), runtime):
                self._trust.require(self._conf, client, given)
            self._check_schedule(job, user, client, moved)
            self._reschedule(session, job, user, runtime, client, moved)
        if says_what:
            self._trust.require(self._conf, client, given)
            assignment.check(client, current if entries is None else
                             self._set_actions(session, job, entries, current))
        if withdraws and assignment.wants_trust(self._conf, client):
            self._trust.take(session, job, self._now)
            jobs.set_runtime(job, suspension.withdraw(
                jobs.plan(job, self._rules), jobs.runtime(job), self._now))
        elif says_what or owes:
            self._delegate(session, job, client, given)

    def _check_schedule(self, job: models.Job, user: Mapping[str, Any],
                        client: models.Client, moved: bool = False) -> None:
        new_schedule.check(
            'job_schedule', jobs.schedule(job), user,
            new_schedule.minimum_interval(self._conf, client), moved)

    def _reschedule(self, session: orm.Session, job: models.Job,
                    user: dict[str, Any], runtime: Mapping[str, Any],
                    client: models.Client, moved: bool) -> None:
        """Set a job's schedule; arm it anew where that makes a difference.

        A firing that nobody has claimed yet stays with a job that moves.
        """
        state = jobs.runtime(job)
        if not client.claims:
            # Its scheduler keeps these itself, and sends the whole of them.
            kept = {key: value for key, value in runtime.items()
                    if key != 'time_created'}
            state = domain.Runtime(**{
                **{name: getattr(state, name) for name in (
                    *domain.RUNTIME_KEYS, 'status_reason', 'suspended',
                    'suspended_at')},
                **kept})
        elif user != jobs.schedule(job):
            runs.forgo(session, job, self._rules, self._now,
                       'The schedule of the job was changed')
            state = domain.arm(
                plans.Plan(user, job.id, self._rules), state, self._now, 0)
        elif moved and not domain.overdue(state, self._now):
            state = domain.arm(
                jobs.plan(job, self._rules), state, self._now, 0)
        job.schedule = user
        jobs.set_runtime(job, state)

    def _kept(self, session: orm.Session,
              job: models.Job) -> Sequence[models.Action]:
        """Return the actions that a job keeps, which is locked."""
        found = actions.look_of_job(session, job.id)
        terms.know(session, job, found)
        return found

    def _set_actions(self, session: orm.Session, job: models.Job,
                     entries: Any, current: Sequence[models.Action],
                     ) -> Sequence[models.Action]:
        size = job_size.of_actions(current)
        made = job_actions.set_of_job(
            session, job, self._caller.user_id, entries)
        job_size.check(made, size)
        terms.know(session, job, made)
        return made

    def _delegate(self, session: orm.Session, job: models.Job,
                  client: models.Client, given: delegations.Given | None,
                  new: bool = False) -> None:
        """Give a job a trust of the caller's, if it needs one."""
        wanted = assignment.wants_trust(self._conf, client)
        self._trust.require(self._conf, client, given)
        if assignment.must_delegate(
                self._conf, client, given, self._caller.user_id):
            self._trust.give(session, job, self._now, new)
        elif not (wanted or new):
            self._trust.take(session, job, self._now)
            jobs.set_runtime(job, suspension.resume(
                jobs.runtime(job), self._now))

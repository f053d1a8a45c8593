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

"""Claims: how schedulers get runs and keep them."""

from __future__ import annotations

import dataclasses
from typing import Any

import falcon
from oslo_log import log
from sqlalchemy import orm

from freezer_api.api import errors
from freezer_api.api import request
from freezer_api.api import services
from freezer_api.api.v2 import job_documents
from freezer_api.conf import scheduling
from freezer_api.db import abandoned
from freezer_api.db import clients
from freezer_api.db import history
from freezer_api.db import jobs
from freezer_api.db import models
from freezer_api.db import presence
from freezer_api.db import refusals
from freezer_api.db import runs
from freezer_api.db import takeover
from freezer_api.schemas import runs as schema
from freezer_api.services import claims

LOG = log.getLogger(__name__)

# Of jobs that are taken over by one claim: about a second's work.
_BATCHES = 8


class ForSchedulers(services.Resource):
    """What only the scheduler of a client may do."""

    def __init__(self, made: services.Services) -> None:
        super().__init__(made)
        self._database = made.database.for_schedulers()

    def client(self, req: falcon.Request, session: orm.Session,
               project_id: str, client_id: str, rule: str) -> models.Client:
        """Return the project's own client, if the caller may act as it.

        :raises freezer_api.api.errors.ApiError: 403, or 404 without a client
        """
        caller = self._caller(req)
        client = clients.find_owned(session, project_id, client_id)
        central = client is not None and client.is_central
        if client is None and caller.may(f'{rule}_central', project_id):
            raise errors.not_found(
                f'Client not registered with ID {client_id}',
                'client_not_found')
        caller.must(f'{rule}_central' if central else rule, project_id)
        if client is None:
            raise errors.not_found(
                f'Client not registered with ID {client_id}',
                'client_not_found')
        if central and not self._delegations.is_trustee(caller.user_id):
            # Trusts are of use to their trustee alone, and shown to no other.
            raise errors.forbidden(
                'Runs of a central client are handed to the service account '
                'that the trusts are made for. The scheduler must log in as '
                'the user that the API is configured with.', 'not_trustee')
        return client


def holder_of(client: models.Client, sent: dict[str, Any]) -> runs.Holder:
    """Return the scheduler that asks."""
    return runs.Holder(
        client_id=client.client_id,
        project_id=None if client.is_central else client.project_id,
        scheduler_id=sent['scheduler_id'])


class Claims(ForSchedulers):
    """``/v2/{project_id}/clients/{client_id}/claims``"""

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str, client_id: str) -> None:
        sent = request.body(req)
        with self._database.read() as session:
            client = self.client(
                req, session, project_id, client_id, 'clients:claim')
        schema.validate_claim(sent)
        now = self._now()
        if takeover.pending(client):
            self._take_over(client.id, now)
        holder = holder_of(client, sent)
        lease = sent['lease_seconds']
        if presence.outdated(client, lease, now):
            self._note(client.id, holder, lease, now)
        claimer = claims.Claimer(
            self._database, self._delegations,
            scheduling.rules(self._conf, client.is_central), holder,
            client.is_central, self._conf.deadlines.slow_claim)
        held = {one['run_id']: one['fence'] for one in sent.get('held', ())}
        made = claimer.claim(claims.Wanted(
            sent['limit'], sent.get('per_project'), lease, held), now)
        since, next_at = made.due
        reader = job_documents.Reader(
            user_id='', sees_trusts=False, pids_of=None, now=now, delay=0)
        resp.media = {
            'runs': [_document(one, lease, reader) for one in made.runs],
            'held': [{'run_id': run_id, 'event': event}
                     for run_id, event in made.renewed.items()],
            'lost': [run_id for run_id in held if run_id not in made.renewed],
            'missed': made.missed,
            'more': made.more,
            'due_since': since and job_documents.iso(since),
            'next_due_at': next_at and job_documents.iso(next_at),
            'server_time': job_documents.iso(now),
        }

    def _note(self, client_row_id: str, holder: runs.Holder, lease: int,
              now: int) -> None:
        prolonged = presence.note(
            self._database, client_row_id, holder, lease, now)
        if prolonged:
            LOG.info('No scheduler of client %s has asked for runs for a '
                     'while. The %d that were under way stay with their '
                     'holders for %d seconds more.', holder.client_id,
                     prolonged, lease)

    def _take_over(self, client_row_id: str, now: int) -> None:
        """Arm jobs that an earlier scheduler kept to itself, some at a time.

        Each batch is a transaction of its own, so that nobody who writes one
        of these jobs waits for long.
        """
        for _ in range(_BATCHES):
            if not self._take_some_over(client_row_id, now, takeover.BATCH):
                return

    def _take_some_over(self, client_row_id: str, now: int,
                        most: int) -> bool:
        """Take over as many of the next jobs as can be at once."""
        with self._database.read() as session:
            known = takeover.foresee(
                session, client_row_id, self._rules, now, most)
        try:
            return refusals.write(
                self._database, lambda session: takeover.take_over(
                    session, client_row_id, known, now, most))
        except refusals.Refused:
            if most == 1:
                self._leave_out(client_row_id, now)
                return True
        return self._take_some_over(client_row_id, now, most // 2)

    def _leave_out(self, client_row_id: str, now: int) -> None:
        job_id = self._database.write(
            lambda session: takeover.leave_out(session, client_row_id))
        if job_id is not None:
            refusals.stop_job(self._database, job_id, now)


def _document(handed_out: claims.HandedOut, lease: int,
              reader: job_documents.Reader) -> dict[str, Any]:
    """Return a run as its scheduler gets it."""
    job, run = handed_out.job, handed_out.run
    return {
        'run_id': run.id,
        'fence': run.fence,
        'project_id': run.project_id,
        'job_id': run.job_id,
        'client_id': run.client_id,
        'user_id': job.user_id,
        'nominal_at': job_documents.iso(run.nominal_at),
        'trigger': run.trigger,
        'lease_seconds': lease,
        'event': run.event,
        'actions': run.actions or [],
        'job': job_documents.document(job, handed_out.actions, reader),
        'credentials': (None if handed_out.credentials is None
                        else dataclasses.asdict(handed_out.credentials)),
    }


class Maintenance(services.Resource):
    """``/v2/{project_id}/maintenance``"""

    def __init__(self, made: services.Services) -> None:
        super().__init__(made)
        self._database = made.database.for_schedulers()
        group = self._conf.scheduling
        self._history = history.History(self._database, history.Policy(
            days=group.keep_runs_days, last=group.keep_runs_last))
        self._abandoned = abandoned.Abandoned(self._database)

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str) -> None:
        self._caller(req).must('maintenance:run', project_id)
        self._services.self_test()
        gone = self._delegations.maintain()
        trimmed = self._history.trim(self._now())
        after = self._conf.scheduling.abandoned_after
        ended = after and self._abandoned.end_all(
            self._rules, after, self._now())
        with self._database.read() as session:
            suspended = jobs.suspended(session)
        trusts = self._delegations.counts()
        resp.media = {'trusts_deleted': gone,
                      'trusts_pending': trusts.pending,
                      'trusts_unproven': trusts.unproven,
                      'runs_deleted': trimmed,
                      'runs_abandoned': ended,
                      'jobs_suspended': sum(suspended.values()),
                      'jobs_suspended_by_cause': suspended}

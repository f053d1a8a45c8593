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

"""Reports: what schedulers say of the runs that they hold."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import falcon

from freezer_api.api import errors
from freezer_api.api import request
from freezer_api.api.v2 import claims
from freezer_api.conf import scheduling
from freezer_api.db import models
from freezer_api.db import refusals
from freezer_api.db import reports
from freezer_api.db import runs
from freezer_api.domain import causes
from freezer_api.domain import quota
from freezer_api.domain import runs as domain
from freezer_api.schemas import runs as schema


def _report(run_id: str, sent: Mapping[str, Any]) -> reports.Report:
    return reports.Report(
        run_id=run_id, fence=sent['fence'],
        state=domain.State(sent['state']), reason=sent.get('reason'),
        actions=sent.get('actions', []),
        release=sent.get('release', False), age=sent.get('age', 0),
        cause=causes.reported(sent.get('cause')),
        backups=sent.get('backups', ()))


class _ForReports(claims.ForSchedulers):

    def _asking(self, req: falcon.Request, project_id: str,
                client_id: str) -> models.Client:
        with self._database.read() as session:
            return self.client(
                req, session, project_id, client_id, 'runs:update')

    def _take(self, client: models.Client, sent: dict[str, Any],
              said: Sequence[reports.Report]) -> reports.Taken:
        now = self._now()
        holder = claims.holder_of(client, sent)
        rules = scheduling.rules(self._conf, bool(client.is_central))

        with self._database.read() as session:
            known = reports.foresee(session, holder, said, rules, now)
        limits = self._limits(client, said)

        def take(those: Sequence[reports.Report]) -> reports.Taken:
            return refusals.write(
                self._database, lambda session: reports.take(
                    session, holder, those, known, now, limits))

        taken = reports.Taken({}, [])
        for part in reports.parts(said):
            try:
                taken.add(take(part))
            except refusals.Refused:
                for one in part:
                    taken.add(self._take_alone(take, holder, one, now))
        return taken

    def _limits(self, client: models.Client,
                said: Sequence[reports.Report]) -> quota.Limits | None:
        """Return the limits that reports are held to, None for no limit.

        A central scheduler is the operator's and reports what is there. The
        token of a project's own scheduler is a member's, who could report
        any number of records.
        """
        if client.is_central or not any(one.backups for one in said):
            return None
        project_id = client.project_id or ''
        return quota.Limits(project_id, self._quotas.of_project(project_id))

    def _take_alone(
            self, take: Callable[[Sequence[reports.Report]], reports.Taken],
            holder: runs.Holder, one: reports.Report,
            now: int) -> reports.Taken:
        try:
            return take([one])
        except refusals.Refused:
            with self._database.read() as session:
                ours = reports.holds(session, holder, one)
            if ours:
                refusals.end_run(self._database, one.run_id, now, one.fence)
            return reports.Taken({}, [one.run_id])


class Run(_ForReports):
    """``/v2/{project_id}/clients/{client_id}/runs/{run_id}``"""

    def on_patch(self, req: falcon.Request, resp: falcon.Response,
                 project_id: str, client_id: str, run_id: str) -> None:
        sent = request.body(req)
        client = self._asking(req, project_id, client_id)
        schema.validate_report(sent)
        taken = self._take(client, sent, [_report(run_id, sent)])
        if taken.stale:
            raise errors.ApiError(
                falcon.HTTP_409, 'Conflict',
                f'Run {run_id} has another holder or has ended',
                'run_fence_stale')
        if run_id not in taken.events:
            raise errors.not_found(f'No run with ID {run_id}')
        resp.media = {'run_id': run_id, 'event': taken.events[run_id]}


class Reports(_ForReports):
    """``/v2/{project_id}/clients/{client_id}/reports``"""

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str, client_id: str) -> None:
        sent = request.body(req)
        client = self._asking(req, project_id, client_id)
        schema.validate_reports(sent)
        said = [_report(one['run_id'], one) for one in sent['reports']]
        taken = self._take(client, sent, said)
        resp.media = {
            'reports': [{'run_id': run_id, 'event': event}
                        for run_id, event in taken.events.items()],
            'lost': [one.run_id for one in said
                     if one.run_id not in taken.events]}

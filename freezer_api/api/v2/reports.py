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

"""Reports of schedulers about their claimed runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import falcon

from freezer_api.api import base
from freezer_api.api import params
from freezer_api.db import reports as db_reports
from freezer_api.domain import run_state
from freezer_api.domain import trust_errors
from freezer_api.schemas import claims as schema
from freezer_api.services import reports


def _report(run_id: str, sent: Mapping[str, Any]) -> db_reports.Report:
    return db_reports.Report(
        run_id=run_id, fence=sent['fence'],
        state=run_state.State(sent['state']), reason=sent.get('reason'),
        actions=sent.get('actions', []),
        release=sent.get('release', False), age=sent.get('age', 0),
        lease=sent.get('lease_seconds'),
        cause=trust_errors.reported(sent.get('cause')),
        backups=sent.get('backups', ()))


class Run(base.SchedulerResource[reports.ReportService]):
    """``/v2/{project_id}/clients/{client_id}/runs/{run_id}``"""

    service = reports.ReportService

    def on_patch(self, req: falcon.Request, resp: falcon.Response,
                 project_id: str, client_id: str, run_id: str) -> None:
        """Report the state of one run.

        Statuses: 200, 404, 409.
        """
        sent = params.body(req)
        client = self._client(req, project_id, client_id, 'runs:update')
        schema.validate_report(sent)
        event = self._service.take_one(
            client, sent['scheduler_id'], _report(run_id, sent))
        resp.media = {'run_id': run_id, 'event': event}


class Reports(base.SchedulerResource[reports.ReportService]):
    """``/v2/{project_id}/clients/{client_id}/reports``"""

    service = reports.ReportService

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str, client_id: str) -> None:
        """Report the states of several runs.

        Statuses: 200, 404.
        """
        sent = params.body(req)
        client = self._client(req, project_id, client_id, 'runs:update')
        schema.validate_reports(sent)
        sent_reports = [_report(one['run_id'], one) for one in sent['reports']]
        taken = self._service.take(client, sent['scheduler_id'], sent_reports)
        resp.media = {
            'reports': [{'run_id': run_id, 'event': event}
                        for run_id, event in taken.events.items()],
            'lost': [report.run_id for report in sent_reports
                     if report.run_id not in taken.events]}

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

from collections.abc import Mapping
from typing import Any

import falcon

from freezer_api.api import base
from freezer_api.api import params
from freezer_api.db import reports as db_reports
from freezer_api.domain import run_state
from freezer_api.domain import trust_errors
from freezer_api.schemas import claims as schema
from freezer_api.services import dependencies
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


class _Resource(base.SchedulerResource):

    def __init__(self, services: dependencies.Services) -> None:
        super().__init__(services)
        self._reports = reports.ReportService(services)


class Run(_Resource):
    """``/v2/{project_id}/clients/{client_id}/runs/{run_id}``"""

    def on_patch(self, req: falcon.Request, resp: falcon.Response,
                 project_id: str, client_id: str, run_id: str) -> None:
        sent = params.body(req)
        client = self._client(req, project_id, client_id, 'runs:update')
        schema.validate_report(sent)
        event = self._reports.take_one(
            client, sent['scheduler_id'], _report(run_id, sent))
        resp.media = {'run_id': run_id, 'event': event}


class Reports(_Resource):
    """``/v2/{project_id}/clients/{client_id}/reports``"""

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str, client_id: str) -> None:
        sent = params.body(req)
        client = self._client(req, project_id, client_id, 'runs:update')
        schema.validate_reports(sent)
        said = [_report(one['run_id'], one) for one in sent['reports']]
        taken = self._reports.take(client, sent['scheduler_id'], said)
        resp.media = {
            'reports': [{'run_id': run_id, 'event': event}
                        for run_id, event in taken.events.items()],
            'lost': [one.run_id for one in said
                     if one.run_id not in taken.events]}

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

"""Runs: what became of each firing of a job."""

from __future__ import annotations

from typing import Any

import falcon

from freezer_api.api import answers
from freezer_api.api import errors
from freezer_api.api import request
from freezer_api.api import services
from freezer_api.api.v2 import job_documents
from freezer_api.db import jobs
from freezer_api.db import models
from freezer_api.db import runs


# Seconds in which it is nothing that a run waits for a scheduler.
_SOON = 120


def document(run: models.JobRun, now: int) -> dict[str, Any]:
    """Return a run as users see it."""
    made: dict[str, Any] = {
        'run_id': run.id,
        'job_id': run.job_id,
        'project_id': run.project_id,
        'client_id': run.client_id,
        'nominal_at': job_documents.iso(run.nominal_at),
        'trigger': run.trigger,
        'state': run.state,
        'reason': run.reason,
        'time_started': -1 if run.time_started is None else run.time_started,
        'time_ended': -1 if run.time_ended is None else run.time_ended,
        'scheduler_id': run.scheduler_id,
        'actions': run.actions or [],
    }
    if run.covers_until is not None:
        made['covers_until'] = job_documents.iso(run.covers_until)
    if run.cause is not None:
        made['cause'] = run.cause
    if (run.lease_expires_at is not None
            and run.lease_expires_at < now - _SOON):
        made['reason'] = (
            f'Waits for a scheduler of client {run.client_id} to go on with '
            f'it, since {job_documents.iso(run.lease_expires_at)}.')
    return made


class JobRuns(services.Resource):
    """``/v2/{project_id}/jobs/{job_id}/runs``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str, job_id: str) -> None:
        self._caller(req).must('runs:get_all', project_id)
        wanted = request.wanted(req, self._conf)
        now = self._now()
        with self._database.read() as session:
            job = jobs.find(session, project_id, job_id)
            if job is None:
                raise errors.not_found(f'No job with ID {job_id}')
            found = runs.list_of_job(
                session, job_id, wanted.page.limit, wanted.page.offset)
            answers.show_list(
                req, resp, 'runs', (document(run, now) for run in found))

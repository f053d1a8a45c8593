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

"""Claims: schedulers get runs and renew their leases."""

from __future__ import annotations

import dataclasses
from typing import Any

import falcon

from freezer_api.api import base
from freezer_api.api import params
from freezer_api.domain import firing_plan
from freezer_api.schemas import claims as schema
from freezer_api.services import claims


class Claims(base.SchedulerResource[claims.ClaimService]):
    """``/v2/{project_id}/clients/{client_id}/claims``"""

    service = claims.ClaimService

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str, client_id: str) -> None:
        """Claim due runs, and renew the leases of claimed ones.

        Statuses: 200, 404.
        """
        sent = params.body(req)
        client = self._client(req, project_id, client_id, 'clients:claim')
        schema.validate_claim(sent)
        lease = sent['lease_seconds']
        held = {one['run_id']: one['fence'] for one in sent.get('held', ())}
        made = self._service.claim(client, sent['scheduler_id'], claims.Wanted(
            sent['limit'], sent.get('per_project'), lease, held))
        since, next_at = made.due
        resp.media = {
            'runs': [_document(one, lease) for one in made.runs],
            'held': [{'run_id': run_id, 'event': event}
                     for run_id, event in made.renewed.items()],
            'lost': [run_id for run_id in held if run_id not in made.renewed],
            'missed': made.missed,
            'more': made.more,
            'due_since': since and firing_plan.iso(since),
            'next_due_at': next_at and firing_plan.iso(next_at),
            'server_time': firing_plan.iso(made.now),
        }


def _document(handed_out: claims.HandedOut, lease: int) -> dict[str, Any]:
    """Return the document of a run for its scheduler."""
    job, run = handed_out.job, handed_out.run
    return {
        'run_id': run.id,
        'fence': run.fence,
        'project_id': run.project_id,
        'job_id': run.job_id,
        'client_id': run.client_id,
        'user_id': job.user_id,
        'nominal_at': firing_plan.iso(run.nominal_at),
        'trigger': run.trigger,
        'lease_seconds': lease,
        'event': run.event,
        'actions': run.actions or [],
        'job': handed_out.content,
        'credentials': (None if handed_out.credentials is None
                        else dataclasses.asdict(handed_out.credentials)),
    }

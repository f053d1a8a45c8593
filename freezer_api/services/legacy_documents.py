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

"""What the documents of stock clients are taken for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm

from freezer_api.db import clients
from freezer_api.db import jobs
from freezer_api.db import models
from freezer_api.domain import legacy_scheduler


def as_meant(session: orm.Session, project_id: str, job: models.Job,
             sent: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a PATCH of a job without what its sender did not mean to say.

    :param job: locked
    """
    sent = legacy_scheduler.with_hidden(sent, 'job_schedule',
                                        jobs.schedule(job))
    state = jobs.runtime(job)
    if not legacy_scheduler.is_report(sent, state):
        return sent
    client = clients.find_visible(session, project_id, job.client_id)
    if client is None or client.supports_claims:
        return sent
    return legacy_scheduler.settled(
        sent, jobs.schedule(job), state, job.session_id or '')

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

"""What a job is assigned to: its client, and the trust that it runs with.

Both are read at once, whenever a job is changed.
"""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import clients
from freezer_api.db import models
from freezer_api.db import trusts

# Created once: constructing a query takes longer than executing it.
_ASSIGNED = clients.named(sa.select(
    models.UserCredential.trustor_user_id, trusts.REPLACED,
    *(getattr(models.Client, field.name)
      for field in dataclasses.fields(clients.Assigned))).select_from(
          sa.outerjoin(models.Client, models.UserCredential, trusts.OF_JOB)
          .outerjoin(models.Delegation, trusts.DELEGATION)))


def find(session: orm.Session, project_id: str, job: models.Job, now: int,
         ) -> tuple[clients.Assigned | None, trusts.JobTrust | None]:
    """Return a job's client, None where it is gone, and whose trust it has.

    :param now: epoch seconds
    """
    found = session.connection().execute(_ASSIGNED, {
        'project': project_id, 'name': job.client_id, 'job': job.id,
        'now': now}).first()
    if found is None:
        return None, trusts.of_job(session, job, now)
    trustor, replaced, *client = found
    return clients.Assigned(*client), trusts.job_trust(
        trustor, replaced, job.suspension_reason)

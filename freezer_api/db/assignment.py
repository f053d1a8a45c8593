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

Both are asked for at once, whenever a job is changed.
"""

from __future__ import annotations

from typing import Any
from typing import cast

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import clients
from freezer_api.db import delegations
from freezer_api.db import exact
from freezer_api.db import models
from freezer_api.db import rows

# Made once: to put a query together takes longer than to ask it.
_ASSIGNED = clients.NAMED.with_only_columns(
    models.Client.client_id, models.Client.supported_actions,
    models.Client.supported_modes, models.Client.supported_storages,
    models.Client.supported_engines, models.Client.is_central,
    models.Client.claims, *delegations.GIVEN).select_from(
        sa.join(models.Client, models.UserCredential, sa.and_(
            rows.live(models.UserCredential),
            models.UserCredential.job_id == exact.text('job')), isouter=True)
        .outerjoin(
            models.Delegation,
            models.Delegation.id == models.UserCredential.delegation_id))


def look(session: orm.Session, project_id: str, job: models.Job,
         now: int) -> tuple[models.Client, delegations.Given | None] | None:
    """Return a job's client, to be looked at, and whose trust it has.

    :returns: None where a job's client is not there any more
    """
    found: Any = session.connection().execute(_ASSIGNED, {
        'project': project_id, 'name': job.client_id,
        'job': job.id}).first()
    if found is None:
        return None
    return cast(models.Client, found), delegations.of_row(found, job, now)

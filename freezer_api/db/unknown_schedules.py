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

"""Jobs with a schedule that the scheduler of their client does not know.

The API refuses to make any. They come about when a scheduler of an earlier
release registers in the place of one that claims. Such a scheduler polls,
ignores the key, and would run the job at once. So these jobs are shown as
stopped, which it leaves alone, and nothing of that is stored: once a
scheduler that claims registers again, they go on.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import collation
from freezer_api.db import models
from freezer_api.db import rows

_KEY = 'schedule_cron'

# As freezer_api.db.json_text writes it.
_WRITTEN = f'"{_KEY}": "'


def condition() -> sa.ColumnElement[bool]:
    """Return the condition that a job is such a one."""
    schedule = sa.func.coalesce(
        sa.type_coerce(models.Job.schedule, sa.Text()), '')
    client = models.Client
    central = client.is_central == sa.true()
    return sa.and_(
        collation.occurs(_WRITTEN, schedule),
        sa.not_(collation.occurs(f'{_WRITTEN}"', schedule)),
        _client(client.supports_claims == sa.false(), sa.or_(
            central, client.project_id == collation.comparable(
                models.Job.project_id, client.project_id))),
        # It goes before the project's own.
        sa.not_(_client(client.supports_claims == sa.true(), central)))


def _client(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """The condition that there is such a client of the job's client_id."""
    client = models.Client
    return sa.exists().where(
        rows.live(client),
        collation.same(client.client_id, models.Job.client_id),
        collation.letters(client.client_id) == collation.letters(
            models.Job.client_id), *conditions).correlate(models.Job)


def among(session: orm.Session, found: Sequence[models.Job]) -> set[str]:
    """Return the ids of such jobs; without a query where there can be none."""
    # A row may hold what is no schedule.
    ids = [job.id for job in found if isinstance(job.schedule, dict)
           and job.schedule.get(_KEY)]
    if not ids:
        return set()
    return set(session.scalars(sa.select(models.Job.id).where(
        models.Job.id.in_(ids), condition())))

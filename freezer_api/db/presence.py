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

"""When a scheduler of a client last asked for runs.

After something that kept all of them away, such as an API that did not run,
each lease has expired, and whoever asks first would be handed the runs of
others that are as well as itself. So these leases are prolonged once more,
and who is alive has its runs again before they end.
"""

from __future__ import annotations

from collections.abc import Mapping
import functools

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import engine
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import runs

# Leases that one transaction prolongs.
_ROWS = 500


def outdated(client: models.Client, lease: int, now: int) -> bool:
    """Whether it is time to note that a scheduler of a client is there.

    :param lease: seconds; a scheduler asks more than twice within them
    """
    return client.claimed_at is None or now - client.claimed_at >= lease // 8


def note(database: engine.Database, client_row_id: str,
         holder: runs.Holder, lease: int, now: int) -> int:
    """Note that a scheduler is there.

    Leases are prolonged before that is noted, some in each transaction: of
    several schedulers that come back at one moment each prolongs what the
    others have not yet, before it claims.

    :param client_row_id: of the row, not the name of the client
    :returns: how many leases were prolonged
    """
    with database.read() as session:
        client = session.get(models.Client, client_row_id)
        if client is None or not outdated(client, lease, now):
            return 0
        last = client.claimed_at
    prolonged = 0
    if last is None or now - last > lease * 3 // 4:
        prolonged = _prolong_all(database, holder, last, lease, now)
    database.write(lambda session: _set(session, client_row_id, now))
    return prolonged


def _set(session: orm.Session, client_row_id: str, now: int) -> None:
    client = session.get(models.Client, client_row_id, with_for_update=True)
    if client is not None:
        client.claimed_at = max(client.claimed_at or 0, now)


def _prolong_all(database: engine.Database, holder: runs.Holder,
                 last: int | None, lease: int, now: int) -> int:
    run = models.JobRun
    held = [runs.of_client(holder), run.lease_expires_at < now + lease]
    if last is not None:
        # What was handed back, or orphaned before, is nobody's.
        held.append(run.lease_expires_at > last + lease // 2)
    query = sa.select(run.id, run.lease_expires_at).where(*held).limit(_ROWS)
    prolonged = 0
    while True:
        with database.read() as session:
            found = dict(session.execute(query).all())
        prolonged += database.write(functools.partial(
            _prolong, found=found, until=now + lease))
        if len(found) < _ROWS:
            return prolonged


def _prolong(session: orm.Session, found: Mapping[str, int | None],
             until: int) -> int:
    """Prolong leases that are still as they were found."""
    if not found:
        return 0
    run = models.JobRun
    same = [row.id for row in session.execute(rows.locked_by_id(
        run, list(found)).with_only_columns(run.id, run.lease_expires_at))
        if row.lease_expires_at == found[row.id]]
    session.connection().execute(sa.update(run).where(
        run.id.in_(same)).values(lease_expires_at=until))
    return len(same)

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

"""The time of the last claim by a scheduler of a client.

After an outage of all schedulers, for example of the API, all leases have
expired, and the first scheduler to claim would reclaim the runs of others that
work. So these leases are extended once, and each running scheduler has its
runs again before they expire.
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import run_rows

#: Number of leases that one transaction extends.
MOST_ROWS = 500


def outdated(client: models.Client, lease: int, now: int) -> bool:
    """Return whether the time of the last claim must be updated.

    :param lease: seconds; a scheduler claims more than twice in this time
    :param now: epoch seconds
    """
    return (client.last_claim_at is None
            or now - client.last_claim_at >= lease // 8)


def note(session: orm.Session, client_row_id: str, now: int) -> None:
    """Store the time of a claim by a scheduler of a client.

    :param client_row_id: ID of the row, not of the client
    :param now: epoch seconds
    """
    client = session.get(models.Client, client_row_id, with_for_update=True)
    if client is not None:
        client.last_claim_at = max(client.last_claim_at or 0, now)


def were_away(last: int | None, lease: int, now: int) -> bool:
    """Return whether the schedulers of a client may have lost their leases.

    :param last: time of their last claim, in epoch seconds; None for never
    :param lease: seconds
    :param now: epoch seconds
    """
    return last is None or now - last > lease * 3 // 4


def leases(session: orm.Session, holder: run_rows.Holder, last: int | None,
           lease: int, now: int) -> dict[str, int | None]:
    """Return the ends of some leases to extend, by run.

    :param last: time of the last claim for the client, in epoch seconds
    :param lease: seconds
    :param now: epoch seconds
    :returns: MOST_ROWS leases if there may be more
    """
    run = models.JobRun
    held = [run_rows.of_client(holder), run.lease_expires_at < now + lease]
    if last is not None:
        # Leases that were returned or had expired before are not extended.
        held.append(run.lease_expires_at > last + lease // 2)
    return dict(session.execute(sa.select(run.id, run.lease_expires_at).where(
        *held).limit(MOST_ROWS)).all())


def prolong(session: orm.Session, found: Mapping[str, int | None],
            until: int) -> int:
    """Extend leases that have not changed since they were read.

    :param found: the result of :func:`leases`
    :param until: their new end, in epoch seconds
    :returns: number of extended leases
    """
    if not found:
        return 0
    run = models.JobRun
    same = [row.id for row in session.execute(rows.locked_by_id(
        run, list(found)).with_only_columns(run.id, run.lease_expires_at))
        if row.lease_expires_at == found[row.id]]
    session.connection().execute(sa.update(run).where(
        run.id.in_(same)).values(lease_expires_at=until))
    return len(same)

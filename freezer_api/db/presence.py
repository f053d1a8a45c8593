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

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import models
from freezer_api.db import runs


def outdated(client: models.Client, lease: int, now: int) -> bool:
    """Whether it is time to note that a scheduler of a client is there.

    :param lease: seconds; a scheduler asks more than twice within them
    """
    return client.claimed_at is None or now - client.claimed_at >= lease // 8


def note(session: orm.Session, client_row_id: str, holder: runs.Holder,
         lease: int, now: int) -> int:
    """Note that a scheduler is there.

    A short transaction of its own, before any run is locked: of several that
    come back at one moment, the others wait for the first.

    :param client_row_id: of the row, not the name of the client
    :returns: how many leases were prolonged
    """
    client = session.get(models.Client, client_row_id, with_for_update=True)
    if client is None or not outdated(client, lease, now):
        return 0
    last, client.claimed_at = client.claimed_at, now
    run = models.JobRun
    held = [runs.of_client(holder), run.lease_expires_at < now + lease]
    if last is not None:
        if now - last <= lease * 3 // 4:
            return 0
        # What was handed back, or orphaned before, is nobody's.
        held.append(run.lease_expires_at > last + lease // 2)
    return session.connection().execute(sa.update(run).where(*held).values(
        lease_expires_at=now + lease)).rowcount

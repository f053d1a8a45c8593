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

It shows whether all schedulers were unavailable, and their leases must be
extended; see :mod:`freezer_api.db.leases`.
"""

from __future__ import annotations


from sqlalchemy import orm

from freezer_api.db import models


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

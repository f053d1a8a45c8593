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

"""Intents to make a trust of which Keystone's answer was lost for good.

Such an intent is set aside: nothing is to be deleted for it, and it is not
known to have come to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import models
from freezer_api.db import rows

#: The rows of those that are set aside.
UNPROVEN = (rows.live(models.Delegation), models.Delegation.trust_id == '',
            models.Delegation.delete_after.is_(None))


def set_aside(session: orm.Session, intent_id: str) -> None:
    """Note that what an intent left in Keystone cannot be proven to be ours.
    """
    session.execute(sa.update(models.Delegation).where(
        models.Delegation.id == intent_id,
        models.Delegation.trust_id == '').values(delete_after=None))


def get(session: orm.Session, limit: int | None = None,
        ) -> Sequence[models.Delegation]:
    """Return intents that were set aside, the oldest first."""
    return session.scalars(rows.ordered(sa.select(models.Delegation).where(
        *UNPROVEN), models.Delegation).limit(limit)).all()


def count(session: orm.Session) -> int:
    """Return how many intents are set aside."""
    return session.scalar(sa.select(sa.func.count()).select_from(
        models.Delegation).where(*UNPROVEN)) or 0


def existing(session: orm.Session, ids: Iterable[str]) -> set[str]:
    """Return which of some ids are those of rows, deleted ones too."""
    return set(session.scalars(sa.select(models.Delegation.id).where(
        models.Delegation.id.in_(list(ids)))))


def drop(session: orm.Session, intent_id: str) -> None:
    """Note that nothing is left of an intent, unless it has become a trust.
    """
    session.execute(sa.delete(models.Delegation).where(
        models.Delegation.id == intent_id,
        models.Delegation.trust_id == ''))

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

"""Remove all trusts from a database that is a copy.

A copy contains the trusts of the original deployment. It would run their jobs
a second time, and delete the trusts when its jobs end.
"""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import engine
from freezer_api.db import models
from freezer_api.db import rows

_BATCH = 500


@dataclasses.dataclass(frozen=True)
class Disowned:
    """Numbers of removed trusts and of their jobs."""

    trusts: int
    jobs: int


def disown(database: engine.Database, now: int) -> Disowned:
    """Remove all trusts without any request to Keystone.

    The jobs stay, and are suspended until a member delegates them again.

    :param now: epoch seconds
    :returns: the numbers of removed trusts and of their jobs
    """
    jobs = trusts = 0
    while found := database.write(
            lambda session: _jobs(session, _BATCH, now)):
        jobs += found
    while found := database.write(
            lambda session: _trusts(session, _BATCH, now)):
        trusts += found
    return Disowned(trusts, jobs)


def _jobs(session: orm.Session, limit: int, now: int) -> int:
    """Detach the trusts of some jobs, without a deletion in Keystone.

    :returns: the number of changed jobs; 0 if no job has a trust
    """
    found = session.scalars(sa.select(models.UserCredential).where(
        rows.live(models.UserCredential)).limit(limit)).all()
    for credential in found:
        rows.delete(credential, now)
        credential.trust_id = ''
    return len(found)


def _trusts(session: orm.Session, limit: int, now: int) -> int:
    """Remove some trusts, and intents to create one.

    :returns: their number; 0 if none remains
    """
    found = session.scalars(sa.select(models.Delegation).where(
        rows.live(models.Delegation)).limit(limit)).all()
    for delegation in found:
        delegation.active_key = delegation.delete_after = None
        if delegation.trust_id:
            delegation.trust_id = ''
            rows.delete(delegation, now)
        else:
            session.delete(delegation)
    return len(found)

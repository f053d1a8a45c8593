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

"""End runs that no scheduler continues.

Then their failure is visible and their jobs continue. If the scheduler of such
a run returns, its reports are refused, and no scheduler gets the run again.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import backups
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import run_rows
from freezer_api.domain import firing_plan
from freezer_api.domain import run_state

# Maximum number of runs that one call returns.
_BATCH = 100

# Number of projects' clients that one call examines.
_CLIENTS = 200


class Search:
    """Finds such runs, some with each call.

    A call examines the central clients, and some of the projects' clients,
    whose number is unlimited. The next call continues from there.
    """

    def __init__(self) -> None:
        # Each process has its own position.
        self._seen = ''

    def abandoned(self, session: orm.Session, before: int) -> list[str]:
        """Return the IDs of some runs whose lease had expired at a time.

        :param before: in epoch seconds
        """
        run = models.JobRun
        found: list[str] = []
        for client_id in self._clients(session):
            # One query for each client: for a join MariaDB reads all runs.
            found += session.scalars(sa.select(run.id).where(
                run.client_id == client_id, run.lease_expires_at <= before)
                .limit(_BATCH - len(found)))
            if len(found) == _BATCH:
                break
        return found

    def _clients(self, session: orm.Session) -> Iterator[str]:
        """Yield clients that have or had jobs, by one index entry each."""
        yield from session.scalars(sa.select(models.Client.client_id).where(
            rows.live(models.Client),
            models.Client.is_central == sa.true())).all()
        for _ in range(_CLIENTS):
            known = session.scalar(
                sa.select(sa.func.min(models.Queue.client_id)).where(
                    models.Queue.client_id > self._seen))
            if known is None:
                self._seen = ''
                return
            yield known
            self._seen = known


def end(session: orm.Session, run_id: str, rules: firing_plan.Rules,
        after: int, now: int) -> bool:
    """End a run, unless a scheduler has continued it.

    :param after: seconds since the end of its lease
    :param now: epoch seconds
    :returns: whether it was ended
    """
    run = session.get_one(models.JobRun, run_id)
    job = session.get_one(models.Job, run.job_id, with_for_update=True,
                          populate_existing=True)
    session.refresh(run, with_for_update=True)
    if run.lease_expires_at is None or run.lease_expires_at > now - after:
        return False
    reason = (f'No scheduler of client {run.client_id} has continued the run '
              f'since {firing_plan.iso(run.lease_expires_at)}.')
    backups.give_up(session, job, run, reason, now)
    run_rows.end(session, job, run, run_state.State.FAIL, reason, rules, now)
    return True

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

"""Runs that no scheduler goes on with any more.

They are ended, so that somebody hears of it and their jobs can go on. Whoever
held one and comes back after all is told that it is not its any more, and
nobody is ever handed it again.
"""

from __future__ import annotations

from collections.abc import Iterator
import datetime
import functools

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import backups
from freezer_api.db import engine
from freezer_api.db import models
from freezer_api.db import refusals
from freezer_api.db import rows
from freezer_api.db import runs as db_runs
from freezer_api.domain import plans
from freezer_api.domain import runs

# Runs ended in one go.
_BATCH = 100

# Clients of projects that are looked at in one go.
_CLIENTS = 200


class Abandoned:
    """Ends such runs, some in each pass.

    A pass looks at the central clients, and at some of those of projects,
    which may have as many as they like. The next goes on from there.
    """

    def __init__(self, database: engine.Database) -> None:
        self._database = database
        # Another process has another, which is as good.
        self._seen = ''

    def end_all(self, rules: plans.Rules, after: int, now: int) -> int:
        """End some of the runs whose lease was over long ago.

        :param after: seconds since then
        :returns: how many were ended
        """
        with self._database.read() as session:
            found = self._left_behind(session, now - after)
        return sum(self._end_one(run_id, rules, after, now)
                   for run_id in found)

    def _end_one(self, run_id: str, rules: plans.Rules, after: int,
                 now: int) -> bool:
        try:
            return refusals.write(self._database, functools.partial(
                _end, run_id=run_id, rules=rules, after=after, now=now))
        except refusals.Refused:
            refusals.end_run(self._database, run_id, now)
            return True

    def _left_behind(self, session: orm.Session, before: int) -> list[str]:
        """Return the ids of some runs whose lease ended by then.

        :param before: in epoch seconds
        """
        run = models.JobRun
        found: list[str] = []
        for client_id in self._clients(session):
            # Each by itself: joined with its clients MariaDB reads all runs.
            found += session.scalars(sa.select(run.id).where(
                run.client_id == client_id, run.lease_expires_at <= before)
                .limit(_BATCH - len(found)))
            if len(found) == _BATCH:
                break
        return found

    def _clients(self, session: orm.Session) -> Iterator[str]:
        """Yield who has, or had, jobs: an entry of an index is read for each.
        """
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


def _end(session: orm.Session, run_id: str, rules: plans.Rules, after: int,
         now: int) -> bool:
    run = session.get_one(models.JobRun, run_id)
    job = session.get_one(models.Job, run.job_id, with_for_update=True,
                          populate_existing=True)
    session.refresh(run, with_for_update=True)
    if run.lease_expires_at is None or run.lease_expires_at > now - after:
        return False
    since = datetime.datetime.fromtimestamp(
        run.lease_expires_at, datetime.UTC).strftime('%Y-%m-%dT%H:%M:%SZ')
    reason = (f'No scheduler of client {run.client_id} has gone on with it '
              f'since {since}.')
    backups.give_up(session, job, run, reason, now)
    db_runs.end(session, job, run, runs.State.FAIL, reason, rules, now)
    return True

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

"""Some jobs whose firings are followed one by one."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import orm

from benchmarks.observation import firings
from benchmarks.stages.simulation import fill
from benchmarks.stages.simulation import plan
from freezer_api.db import engine
from freezer_api.db import models

# So many, about.
_FOLLOWED = 2000
_PART = 500

# A firing that comes while the run before it goes on waits for its end.
_LONGEST = 2 * plan.HOUR

_RUN = models.JobRun
_JOB = models.Job


class Following:
    """Jobs of all kinds, from among all.

    :param jobs: how many there are
    """

    def __init__(self, database: engine.Database, jobs: int) -> None:
        self._database = database
        # Odd, so that every kind is among them.
        step = jobs // _FOLLOWED | 1
        ids = [f'{number:032x}' for number in range(0, jobs, step)]
        self._parts = [ids[start:start + _PART]
                       for start in range(0, len(ids), _PART)]
        with database.read() as session:
            self._chains = {job.id: firings.Chain(
                job.id, job.schedule or {}, job.time_created or 0,
                plan.BEGIN - 1)
                for part in self._parts
                for job in session.scalars(
                    sa.select(_JOB).where(_JOB.id.in_(part)))}

    @property
    def followed(self) -> int:
        """How many runs were followed."""
        return sum(chain.followed for chain in self._chains.values())

    def follow(self, now: int) -> list[str]:
        """Go on to where all has been claimed; return what is wrong.

        :param now: epoch seconds
        """
        wrong: list[str] = []
        with self._database.read() as session:
            oldest = session.scalar(sa.select(_JOB.due_at).where(
                _JOB.client_id == fill.CLIENT, _JOB.due_at <= now)
                .order_by(_JOB.due_at).limit(1))
            until = now if oldest is None else oldest - 1
            for part in self._parts:
                found = self._rows(session, part)
                for job_id in part:
                    wrong += self._chains[job_id].follow(
                        found[job_id], until - _LONGEST)
        return wrong

    def _rows(self, session: orm.Session, job_ids: Sequence[str],
              ) -> dict[str, list[firings.Run]]:
        """Return the runs that were not followed yet, by job."""
        found: dict[str, list[firings.Run]] = {
            job_id: [] for job_id in job_ids}
        for row in session.execute(
                sa.select(_RUN.id, _RUN.job_id, _RUN.nominal_at, _RUN.state,
                          _RUN.reason, _RUN.time_started, _RUN.time_ended,
                          _RUN.coalesced_until)
                .where(_RUN.job_id.in_(job_ids))
                .order_by(_RUN.job_id, _RUN.nominal_at)):
            run = firings.Run(*row)
            if run.nominal_at > self._chains[run.job_id].after:
                found[run.job_id].append(run)
        return found

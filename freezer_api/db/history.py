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

"""The history of runs, and its end.

Each pass looks at a limited number of rows and removes what is too old, or
what its job has too many of; the next goes on from there. Of a job there is
its latest run left, from which its next one is told apart, and whatever has
not ended or is to be tried again.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import functools

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import engine
from freezer_api.db import models
from freezer_api.db import rows

_RUN = models.JobRun
_DAY = 86_400

# Rows that are looked at in one transaction, and such transactions a pass.
_BATCH = 500
_BATCHES = 10

# The jobs that are counted in a pass: of the runs that have ended last.
_LATEST = 200
_RECENT = 600


@dataclasses.dataclass(frozen=True)
class Policy:
    """How much is kept; 0 is no limit.

    :ivar days: since the end of a run
    :ivar last: runs of one job
    """

    days: int
    last: int


class History:
    """Removes runs that nobody wants to know of any more."""

    def __init__(self, database: engine.Database, policy: Policy) -> None:
        self._database = database
        self._policy = policy
        # Where the last pass ended, so that what is kept is not looked at
        # each time. Another process has another, which is as good.
        self._seen = (0, '')

    def trim(self, now: int) -> int:
        """Remove some of what is to go, and return how many runs went."""
        gone = 0
        if self._policy.days:
            for _ in range(_BATCHES):
                removed, more = self._old(now - self._policy.days * _DAY)
                gone += removed
                if not more:
                    break
        if self._policy.last:
            gone += self._too_many(now)
        return gone

    def _old(self, before: int) -> tuple[int, bool]:
        """Go through a batch of old runs; return how many went, and more."""
        seen = self._seen

        def work(session: orm.Session) -> tuple[int, list[tuple[int, str]]]:
            found = session.execute(
                sa.select(_RUN.time_ended, _RUN.id).where(
                    _RUN.time_ended >= seen[0], _RUN.time_ended < before,
                    sa.or_(_RUN.time_ended > seen[0], _RUN.id > seen[1]))
                .order_by(_RUN.time_ended, _RUN.id).limit(_BATCH)).all()
            return (_remove(session, [run_id for _, run_id in found]),
                    [(ended, run_id) for ended, run_id in found
                     if ended is not None])

        removed, found = self._database.write(work)
        more = len(found) == _BATCH
        self._seen = found[-1] if more else (0, '')
        return removed, more

    def _too_many(self, now: int) -> int:
        with self._database.read() as session:
            job_ids = set(session.scalars(
                sa.select(_RUN.job_id).where(
                    _RUN.time_ended >= now - _RECENT,
                    _RUN.time_ended <= now)
                .order_by(_RUN.time_ended.desc()).limit(_LATEST)))
            surplus = {job_id: found for job_id in sorted(job_ids)
                       if (found := self._surplus(session, job_id))}
        return sum(
            self._database.write(functools.partial(_remove, run_ids=run_ids))
            for run_ids in surplus.values())

    def _surplus(self, session: orm.Session, job_id: str) -> Sequence[str]:
        """Return runs of a job beyond those that are kept."""
        return session.scalars(
            sa.select(_RUN.id).where(_RUN.job_id == job_id)
            .order_by(_RUN.nominal_at.desc())
            .offset(self._policy.last).limit(_BATCH)).all()


def _remove(session: orm.Session, run_ids: Sequence[str]) -> int:
    """Remove those of some runs that nothing needs."""
    if not run_ids:
        return 0
    later = orm.aliased(_RUN)
    job = models.Job
    wanted = session.scalars(
        sa.select(_RUN.id).join(job, job.id == _RUN.job_id).where(
            _RUN.id.in_(run_ids), _RUN.time_ended.is_not(None),
            _RUN.lease_expires_at.is_(None),
            sa.func.coalesce(job.run_id, '') != _RUN.id,
            sa.func.coalesce(job.retry_run_id, '') != _RUN.id,
            sa.or_(sa.not_(rows.live(job)), sa.exists().where(
                later.job_id == _RUN.job_id,
                later.nominal_at > _RUN.nominal_at)))).all()
    if not wanted:
        return 0
    # One may be tried again since.
    session.execute(
        sa.delete(_RUN).where(_RUN.id.in_(wanted),
                              _RUN.time_ended.is_not(None)),
        execution_options={'synchronize_session': False})
    return len(wanted)

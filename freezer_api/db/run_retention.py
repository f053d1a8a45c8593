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

"""The retention of runs.

Runs are removed if they are too old, or exceed the number for their job. The
latest run of a job stays, because the next run is compared with it, and so do
runs that have not ended or are to be retried.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import collation
from freezer_api.db import models
from freezer_api.db import rows

# The end time of a run, in epoch seconds, and its ID.
Position = tuple[int, str]

_RUN = models.JobRun

# The jobs whose runs are counted: those of the runs that have ended last.
_LATEST = 200
_RECENT = 600


def remove_old(session: orm.Session, after: Position,
               before: int) -> tuple[int, Position | None]:
    """Remove unneeded runs of a batch of old ones.

    :param after: where the batch begins
    :param before: only runs that ended earlier, in epoch seconds
    :returns: number of removed runs, and where the next batch begins; None if
        none follows
    """
    found = session.execute(
        sa.select(_RUN.time_ended, _RUN.id).where(
            _RUN.time_ended >= after[0], _RUN.time_ended < before,
            sa.or_(_RUN.time_ended > after[0], _RUN.id > after[1]))
        .order_by(_RUN.time_ended, _RUN.id).limit(rows.MOST)).all()
    removed = remove(session, [run_id for _, run_id in found])
    if len(found) < rows.MOST:
        return removed, None
    ended, run_id = found[-1]
    return removed, (ended or 0, run_id)


def surplus(session: orm.Session, last: int, now: int) -> list[Sequence[str]]:
    """Return the runs that exceed the number for their job.

    Only jobs with recently ended runs are examined.

    :param last: number of runs of each job to keep
    :param now: epoch seconds
    :returns: run IDs, one list for each such job
    """
    job_ids = set(session.scalars(
        sa.select(_RUN.job_id).where(
            _RUN.time_ended >= now - _RECENT, _RUN.time_ended <= now)
        .order_by(_RUN.time_ended.desc()).limit(_LATEST)))
    found = (session.scalars(
        sa.select(_RUN.id).where(_RUN.job_id == job_id)
        .order_by(_RUN.nominal_at.desc())
        .offset(last).limit(rows.MOST)).all() for job_id in sorted(job_ids))
    return [run_ids for run_ids in found if run_ids]


def remove(session: orm.Session, run_ids: Sequence[str]) -> int:
    """Remove runs, except those that are still needed; return the number."""
    if not run_ids:
        return 0
    later = orm.aliased(_RUN)
    job = models.Job
    wanted = session.scalars(
        sa.select(_RUN.id).join(job, collation.same(
            job.id, _RUN.job_id)).where(
                _RUN.id.in_(run_ids), _RUN.time_ended.is_not(None),
                _RUN.lease_expires_at.is_(None), _RUN.id != sa.func.coalesce(
                    collation.comparable(job.run_id, _RUN.id), ''), _RUN.id
                != sa.func.coalesce(
                    collation.comparable(job.retry_run_id, _RUN.id), ''),
                sa.or_(
                    sa.not_(rows.live(job)),
                    sa.exists().where(later.job_id == _RUN.job_id,
                                      later.nominal_at
                                      > _RUN.nominal_at)))).all()
    if not wanted:
        return 0
    # A run may have been retried since.
    session.execute(
        sa.delete(_RUN).where(_RUN.id.in_(wanted),
                              _RUN.time_ended.is_not(None)),
        execution_options={'synchronize_session': False})
    return len(wanted)

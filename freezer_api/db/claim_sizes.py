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

"""How much of a claim's answer each run takes, before any is claimed.

The sizes come from the database without the documents. They are estimates on
the safe side, so that no run is claimed that does not fit into the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import collation
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.domain import fair_share

# Bytes of an answer.
MOST = 4 * 2 ** 20

# Bytes of the JSON of a run, its job and its trust, and of an action, beside
# the texts that are counted.
_RUN = 2048
_ACTION = 512

# Ids in one query.
_IDS = 500


def fitting(session: orm.Session, line: Sequence[fair_share.Entry],
            most: int = MOST) -> tuple[Sequence[fair_share.Entry], bool]:
    """Return the first of a line whose runs fit into one answer.

    The first of all fits, however large it is.

    :returns: them, and whether any are left over
    """
    runs = _runs(session, [entry.id for entry in line if entry.goes_on])
    job_of = {entry.id: runs[entry.id][0] if entry.goes_on else entry.id
              for entry in line if not entry.goes_on or entry.id in runs}
    jobs = _jobs(session, list(job_of.values()))
    total = 0
    for number, entry in enumerate(line):
        total += _RUN + jobs.get(job_of.get(entry.id, ''), 0)
        if entry.id in runs:
            total += runs[entry.id][1]
        if number and total > most:
            return line[:number], True
    return line, False


def _size(session: orm.Session, *columns: Any) -> sa.ColumnElement[int]:
    """Return how many bytes there are in columns of texts."""
    length = (sa.func.length
              if session.get_bind().dialect.name == 'sqlite'
              else sa.func.octet_length)
    total: Any = sum(sa.func.coalesce(length(column), 0)
                     for column in columns)
    return sa.cast(total, sa.BigInteger)


def _runs(session: orm.Session,
          ids: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Return the job of each run, and the size of what is reported of it."""
    run = models.JobRun
    found = {}
    for start in range(0, len(ids), _IDS):
        for run_id, job_id, size in session.execute(sa.select(
                run.id, run.job_id, _size(session, run.actions)).where(
                    run.id.in_(ids[start:start + _IDS]))):
            found[run_id] = (job_id, size)
    return found


def _jobs(session: orm.Session, ids: Sequence[str]) -> dict[str, int]:
    """Return the size of each job with its actions."""
    job, action, link = models.Job, models.Action, models.JobAction
    found: dict[str, int] = {}
    for start in range(0, len(ids), _IDS):
        some = ids[start:start + _IDS]
        own = sa.select(job.id, _size(
            session, job.schedule, job.description,
            job.status_reason)).where(job.id.in_(some))
        its = (sa.select(link.job_id, sa.func.sum(
            _ACTION + _size(session, action.backup_metadata)))
            .join(action, collation.same(action.id, link.action_id))
            .where(link.job_id.in_(some), rows.live(link))
            .group_by(link.job_id))
        for query in (own, its):
            for job_id, size in session.execute(query):
                found[job_id] = found.get(job_id, 0) + int(size)
    return found

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

from collections.abc import Callable
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

# Bytes of the JSON of a run with its trust, and of an action, beside the texts
# that are counted.
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
    sizes = {**_runs(session, [entry.id for entry in line if entry.goes_on]),
             **_jobs(session, [entry.id for entry in line
                               if not entry.goes_on])}
    total = 0
    for number, entry in enumerate(line):
        total += _RUN + sizes.get(entry.id, 0)
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


def _runs(session: orm.Session, ids: Sequence[str]) -> dict[str, int]:
    """Return the size of what each run carries out, and has reported."""
    run, document = models.JobRun, models.RunDocument
    return _summed(session, ids, lambda some: [
        sa.select(run.id, _size(session, run.actions, document.content))
        .outerjoin(document, collation.same(
            document.id, run.document_id))
        .where(run.id.in_(some))])


def _jobs(session: orm.Session, ids: Sequence[str]) -> dict[str, int]:
    """Return the size of the schedule and the actions of each job."""
    job, action, link = models.Job, models.Action, models.JobAction
    return _summed(session, ids, lambda some: [
        sa.select(job.id, _size(session, job.schedule)).where(
            job.id.in_(some)),
        sa.select(link.job_id, sa.func.sum(
            _ACTION + _size(session, action.backup_metadata)))
        .join(action, collation.same(action.id, link.action_id))
        .where(link.job_id.in_(some), rows.live(link))
        .group_by(link.job_id)])


def _summed(session: orm.Session, ids: Sequence[str],
            queries: Callable[[Sequence[str]], Sequence[sa.Select[Any, Any]]],
            ) -> dict[str, int]:
    found: dict[str, int] = {}
    for start in range(0, len(ids), _IDS):
        for query in queries(ids[start:start + _IDS]):
            for row_id, size in session.execute(query):
                found[row_id] = found.get(row_id, 0) + int(size)
    return found

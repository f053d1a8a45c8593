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

"""The projects with jobs for a client, and their next due jobs.

The queue of due jobs, or of runs with an expired lease, is as long as one
project makes it. So it is never read completely: only its oldest entries, and
if there are more, the oldest entries of each project.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Sequence
import contextlib
import dataclasses

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import collation
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import transactions
from freezer_api.domain import fair_share

# Entries of a queue that are read before it is split by projects.
_HEAD = 500
# ... if some of them belong to projects that have reached their limit.
_AMONG_FULL = 2000

# Maximum number of queries combined into one.
_CHUNK = 100


@dataclasses.dataclass(frozen=True)
class Line:
    """A queue of a client: rows of a table, ordered by a time.

    There are indexes on client, time and id, and on client, project, time and
    id.

    :ivar at: the column of the time
    :ivar goes_on: see :class:`freezer_api.domain.fair_share.Entry`
    """

    id: orm.InstrumentedAttribute[str]
    client_id: orm.InstrumentedAttribute[str]
    project_id: orm.InstrumentedAttribute[str | None]
    at: orm.InstrumentedAttribute[int | None]
    goes_on: bool = False

    def select(self, client_id: str, now: int,
               ) -> sa.Select[str, str | None, int | None, int | None]:
        """Return the query of the entries of the due rows, oldest first."""
        queue = models.Queue
        return sa.select(
            self.id.label('id'), self.project_id.label('project_id'),
            self.at.label('at'), queue.last_turn_at.label('last_turn_at')
        ).outerjoin(queue, sa.and_(
            collation.same(queue.client_id, self.client_id),
            collation.same(queue.project_id, self.project_id))).where(
                *self.due(client_id, now)).order_by(self.at, self.id)

    def due(self, client_id: str, now: int) -> list[sa.ColumnElement[bool]]:
        """Return the conditions of a due row."""
        return [collation.same_text(self.client_id, client_id), self.at <= now]


DUE = Line(models.Job.id, models.Job.client_id, models.Job.project_id,
           models.Job.due_at)
EXPIRED = Line(models.JobRun.id, models.JobRun.client_id,
               models.JobRun.project_id, models.JobRun.lease_expires_at,
               goes_on=True)


_KNOWN = sa.select(models.Queue.id).where(
    models.Queue.client_id == collation.text('client'),
    models.Queue.project_id == collation.text('project'))
# A purge removes unused rows. Lock by ID, because for a name MySQL would also
# lock neighbouring rows.
_LOCKED = sa.select(models.Queue.id).where(
    models.Queue.id == sa.bindparam('known')).with_for_update(read=True)


def ensure(session: orm.Session, client_id: str,
           project_id: str | None) -> None:
    """Store that a project has jobs for a client."""
    if project_id is None:
        return
    known = session.scalar(
        _KNOWN, {'client': client_id, 'project': project_id})
    if known is None or session.scalar(_LOCKED, {'known': known}) is None:
        session.add(models.Queue(id=rows.new_id(), client_id=client_id,
                                 project_id=project_id))


def ensure_all(session: orm.Session, client_id: str,
               project_ids: Collection[str | None]) -> None:
    """Store that projects have jobs for a client; most are stored already."""
    wanted = sorted({one for one in project_ids if one is not None})
    for start in range(0, len(wanted), _CHUNK):
        part = wanted[start:start + _CHUNK]
        found = dict(session.execute(
            sa.select(models.Queue.project_id, models.Queue.id).where(
                models.Queue.client_id == client_id,
                models.Queue.project_id.in_(part))).all())
        locked = set(session.scalars(
            sa.select(models.Queue.id).where(models.Queue.id.in_(sorted(
                found.values()))).with_for_update(read=True)))
        for project_id in part:
            if found.get(project_id) not in locked:
                ensure(session, client_id, project_id)


def of_project(session: orm.Session, line: Line, client_id: str,
               project_id: str, now: int,
               limit: int) -> list[fair_share.Entry]:
    """Return the first entries of one project."""
    return _entries(session, line, line.select(client_id, now).where(
        line.project_id == project_id).limit(limit), now)


def head(session: orm.Session, line: Line, client_id: str, now: int,
         limit: int, full: Sequence[str],
         room: Callable[[str], int]) -> list[fair_share.Entry]:
    """Return enough entries of a queue to choose the next in fair-share order.

    :param limit: number of entries to choose
    :param full: projects that have reached their limit
    :param room: returns the number of further runs for another project
    """
    most = max(_AMONG_FULL if full else _HEAD, 2 * limit)
    # Include the full projects: skipping them would read all due rows.
    oldest = _entries(session, line, line.select(client_id, now).limit(most),
                      now)
    passed = set(full)
    found = [entry for entry in oldest if entry.project_id not in passed]
    if (len(oldest) < most
            # These projects have all waited longer than any that was not
            # read: their first entries suffice.
            or len({entry.project_id for entry in found
                    if entry.waiting_since <= oldest[-1].at}) >= limit):
        return found
    # Rows of earlier releases can have no project.
    firsts: Sequence[str | None] = [
        None, *_projects(session, line, client_id, now, limit, full)]
    known = {entry.id: entry for entry in found}
    seen: dict[str | None, int] = {}
    # Read so many entries of each project that none is missed, but not more
    # if few of many projects are needed.
    each = -(-limit // max(1, len(firsts)))
    while firsts:
        seen |= dict.fromkeys(firsts, 0)
        for start in range(0, len(firsts), _CHUNK):
            part = [line.select(client_id, now).where(
                line.project_id == project_id).limit(each).subquery().select()
                for project_id in firsts[start:start + _CHUNK]]
            for entry in _entries(session, line, sa.union_all(*part), now):
                known[entry.id] = entry
                seen[entry.project_id] += 1
        if sum(min(number, room(project_id or ''))
               for project_id, number in seen.items()) >= limit:
            break
        firsts = [project_id for project_id in firsts
                  if each <= seen[project_id] < room(project_id or '')]
        each = min(2 * each, limit)
    return list(known.values())


def _projects(session: orm.Session, line: Line, client_id: str, now: int,
              limit: int, full: Sequence[str]) -> Sequence[str]:
    """Return the projects that have waited longest, in that order.

    :param full: projects to omit
    """
    queue = models.Queue
    first = sa.select(line.at).where(
        *line.due(client_id, now),
        collation.same(line.project_id, queue.project_id)
    ).order_by(line.at, line.id).limit(1).scalar_subquery().correlate(queue)
    each = sa.select(queue.project_id, queue.last_turn_at,
                     first.label('first')).where(queue.client_id == client_id)
    if full:
        each = each.where(queue.project_id.not_in(full))
    waiting = each.subquery().c
    since = sa.case((waiting.last_turn_at > now, now),
                    (waiting.last_turn_at > waiting.first,
                     waiting.last_turn_at), else_=waiting.first)
    return session.scalars(
        sa.select(waiting.project_id).where(waiting.first.is_not(None))
        .order_by(since, waiting.first, waiting.project_id)
        .limit(limit)).all()


def note_turns(session: orm.Session, client_id: str,
               project_ids: Collection[str], now: int) -> None:
    """Store that projects have had a turn.

    :param project_ids: at most 500; a project whose row a user's request
        has locked is left out
    :param now: epoch seconds
    """
    queue = models.Queue
    ids = session.scalars(sa.select(queue.id).where(
        queue.client_id == client_id,
        queue.project_id.in_(project_ids))).all()
    for row in session.scalars(rows.locked_by_id(queue, ids,
                                                 skip_locked=True)):
        row.last_turn_at = now


_MISSING = sa.select(models.Job.client_id, models.Job.project_id).where(
    rows.live(models.Job), models.Job.project_id.is_not(None),
    ~sa.exists().where(
        collation.same(models.Queue.client_id, models.Job.client_id),
        collation.same(models.Queue.project_id, models.Job.project_id))
).distinct()


def add_missing(session: orm.Session) -> None:
    """Store the missing projects of existing jobs."""
    for client_id, project_id in session.execute(_MISSING).all():
        ensure(session, client_id, project_id)


def repair(connection: sa.Connection) -> int:
    """Add jobs to the queue that an API of an earlier release scheduled.

    Such an API sets only the next firing of a job.

    :param connection: in a transaction on SQLite only
    :returns: number of added jobs
    """
    job = models.Job
    left_out = (rows.live(job), job.next_run_at.is_not(None),
                job.due_at.is_(None), job.run_id.is_(None))
    total = 0
    while True:
        with transactions.lasting(connection):
            ids = connection.scalars(
                sa.select(job.id).where(*left_out).limit(_HEAD)).all()
            total += connection.execute(sa.update(job).where(
                job.id.in_(ids), *left_out).values(
                    due_at=job.next_run_at,
                    updated_at=job.updated_at)).rowcount
        if not ids:
            break
    with transactions.lasting(connection):
        unknown = connection.execute(_MISSING).all()
    for client_id, project_id in unknown:
        # A running API can add the same row.
        with (contextlib.suppress(sa.exc.IntegrityError),
              transactions.lasting(connection), connection.begin_nested()):
            connection.execute(sa.insert(models.Queue).values(
                id=rows.new_id(), client_id=client_id,
                project_id=project_id, deleted=False))
    return total


def _entries(session: orm.Session, line: Line, query: sa.Executable,
             now: int) -> list[fair_share.Entry]:
    return [fair_share.Entry(
        row.id, row.project_id, row.at, line.goes_on,
        # A clock that was ahead may have stored a time to come.
        None if row.last_turn_at is None else min(row.last_turn_at, now))
        for row in session.execute(query)]

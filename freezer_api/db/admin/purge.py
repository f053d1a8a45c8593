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

"""Remove rows permanently that were deleted long ago.

A deleted row is only marked; it and its ID stay until an operator purges. A
row is removed if it was deleted before a given time and no remaining row
refers to it, neither by a foreign key nor by ID. For example, if a job with a
live backup were purged, another job could get its ID. Dependent rows are
removed with their row: the links and runs of a job, its trust, and values that
an upgrade kept aside.

Which rows are removed depends on the rows alone, not on earlier purges. So a
count shows the result beforehand, and an interrupted purge continues when it
is run again. The queue of a project, which is never marked as deleted, is
removed after the last of its jobs.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import datetime
import functools
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import collation
from freezer_api.db import due_queue
from freezer_api.db import engine
from freezer_api.db.migrations import migration_quarantine
from freezer_api.db import models

BATCH = 500

_Condition = sa.ColumnElement[bool]

# Core tables, so that no session tracks the purged rows.
_TABLES = models.Base.metadata.tables
JOBS = _TABLES['jobs']
LINKS = _TABLES['job_actions']
ACTIONS = _TABLES['actions']
REPORTS = _TABLES['action_reports']
RUNS = _TABLES['job_runs']
RUN_DOCUMENTS = _TABLES['run_documents']
CREDENTIALS = _TABLES['user_credentials']
DELEGATIONS = _TABLES['delegations']
BACKUPS = _TABLES['backups']
SESSIONS = _TABLES['sessions']
CLIENTS = _TABLES['clients']
QUEUES = _TABLES['queues']


def _live(table: sa.Table) -> _Condition:
    """Not marked as deleted, including rows with a NULL mark."""
    return sa.func.coalesce(table.c.deleted, sa.false()) == sa.false()


def _expired(table: sa.Table, before: datetime.datetime) -> _Condition:
    """Deleted before a time; never if the time is unknown."""
    return sa.and_(table.c.deleted == sa.true(), sa.func.coalesce(
        table.c.deleted_at, table.c.updated_at) < before)


def _not_among(column: sa.Column[Any],
               query: sa.Select[Any]) -> _Condition:
    """NOT IN for a column that may be NULL; the query yields no NULL."""
    return sa.or_(column.is_(None), column.not_in(query))


def _named(column: sa.Column[Any], by: sa.Column[Any],
           *where: _Condition) -> sa.Select[Any]:
    """Return the values of a column, comparable with the column ``by``."""
    return sa.select(collation.comparable(column, by)).where(
        column.is_not(None), *where)


def _jobs(before: datetime.datetime) -> _Condition:
    return sa.and_(
        _expired(JOBS, before),
        JOBS.c.id.not_in(_named(BACKUPS.c.job_id, JOBS.c.id, _live(BACKUPS))),
        # A trust that is not yet deleted, and a run that may still report.
        ~sa.exists().where(collation.same(CREDENTIALS.c.job_id, JOBS.c.id),
                           _live(CREDENTIALS)),
        ~sa.exists().where(collation.same(RUNS.c.job_id, JOBS.c.id),
                           RUNS.c.lease_expires_at.is_not(None)),
        # A session lists its jobs by their ids.
        _not_among(JOBS.c.session_id, _named(
            SESSIONS.c.id, JOBS.c.session_id, _live(SESSIONS))))


def _staying(before: datetime.datetime) -> _Condition:
    """The jobs that are not purged."""
    return sa.not_(sa.func.coalesce(_jobs(before), sa.false()))


def _actions(before: datetime.datetime) -> _Condition:
    return sa.and_(
        _expired(ACTIONS, before),
        ~sa.exists().where(
            collation.same(LINKS.c.action_id, ACTIONS.c.id), _live(LINKS),
            collation.same(JOBS.c.id, LINKS.c.job_id), _staying(before)))


def _delegations(before: datetime.datetime) -> _Condition:
    going = sa.or_(
        sa.func.coalesce(_expired(CREDENTIALS, before), sa.false()),
        CREDENTIALS.c.job_id.in_(_named(
            JOBS.c.id, CREDENTIALS.c.job_id, _jobs(before))))
    return sa.and_(
        _expired(DELEGATIONS, before),
        DELEGATIONS.c.delete_after.is_(None),
        DELEGATIONS.c.id.not_in(_named(
            CREDENTIALS.c.delegation_id, DELEGATIONS.c.id, sa.not_(going))),
        DELEGATIONS.c.id.not_in(_named(
            RUNS.c.delegation_id, DELEGATIONS.c.id,
            RUNS.c.lease_expires_at.is_not(None))))


def _backups(before: datetime.datetime) -> _Condition:
    return sa.and_(
        _expired(BACKUPS, before),
        ~sa.exists().where(collation.same(RUNS.c.job_id, BACKUPS.c.job_id),
                           RUNS.c.lease_expires_at.is_not(None)))


def _sessions(before: datetime.datetime) -> _Condition:
    return sa.and_(
        _expired(SESSIONS, before),
        SESSIONS.c.id.not_in(_named(
            JOBS.c.session_id, SESSIONS.c.id, _live(JOBS))))


def _clients(before: datetime.datetime) -> _Condition:
    return sa.and_(
        _expired(CLIENTS, before),
        CLIENTS.c.client_id.not_in(_named(
            JOBS.c.client_id, CLIENTS.c.client_id, _live(JOBS))))


def _reports(before: datetime.datetime) -> _Condition:
    return sa.and_(_expired(REPORTS, before), REPORTS.c.id.not_in(
        _named(ACTIONS.c.id, REPORTS.c.id)))


def _queues(before: datetime.datetime) -> _Condition:
    """Queues without jobs and runs; the API never deletes a queue."""
    def of(table: sa.Table) -> _Condition:
        return sa.and_(collation.same(table.c.client_id, QUEUES.c.client_id),
                       collation.same(table.c.project_id, QUEUES.c.project_id))

    return sa.and_(
        ~sa.exists().where(of(JOBS), _staying(before)),
        ~sa.exists().where(of(RUNS), RUNS.c.lease_expires_at.is_not(None)))


@dataclasses.dataclass(frozen=True)
class _Kind:
    """Rows that are purged together.

    :ivar dependent: columns of other tables with the ID of a purged row; their
        rows are removed with it
    :ivar wanted: whether the API may use a row at the same time; it then
        locks the row first
    """

    table: sa.Table
    condition: Callable[[datetime.datetime], _Condition]
    dependent: tuple[sa.Column[Any], ...] = ()
    wanted: bool = False


# Rows come before the rows that they refer to.
_KINDS = (
    _Kind(BACKUPS, _backups),
    _Kind(CREDENTIALS, functools.partial(_expired, CREDENTIALS)),
    _Kind(JOBS, _jobs, (LINKS.c.job_id, CREDENTIALS.c.job_id, RUNS.c.job_id,
                        RUN_DOCUMENTS.c.job_id)),
    _Kind(DELEGATIONS, _delegations),
    _Kind(ACTIONS, _actions, (LINKS.c.action_id, REPORTS.c.id)),
    _Kind(REPORTS, _reports),
    _Kind(SESSIONS, _sessions),
    _Kind(CLIENTS, _clients),
    _Kind(QUEUES, _queues, wanted=True),
)


class Purge:
    """Removes rows that were deleted before a time.

    :param before: naive UTC, as in the columns
    """

    def __init__(self, database: engine.Database,
                 before: datetime.datetime) -> None:
        self._database = database
        self._before = before

    def _kinds(self) -> list[_Kind]:
        orphaned = migration_quarantine.ORPHANED_CREDENTIALS
        with self._database.read() as session:
            present = migration_quarantine.present(session.connection())
        return [*_KINDS, *(
            _Kind(table, functools.partial(_expired, table))
            for table in present if table is orphaned)]

    def counts(self) -> dict[str, int]:
        """Count the rows that would be removed, without dependent rows.

        :returns: the numbers by table
        """
        kinds = self._kinds()
        with self._database.read() as session:
            return {kind.table.name: session.scalar(
                sa.select(sa.func.count()).select_from(kind.table).where(
                    kind.condition(self._before))) or 0 for kind in kinds}

    def run(self) -> dict[str, int]:
        """Remove the rows, each batch in its own transaction.

        :returns: the numbers by table, without dependent rows
        """
        found = {kind.table.name: self._all(kind) for kind in self._kinds()}
        if found[QUEUES.name]:
            # The locks of another node of a cluster are not visible here.
            self._database.write(due_queue.add_missing)
        return found

    def _all(self, kind: _Kind) -> int:
        total = 0
        last = ''
        while True:
            batch = self._database.write(functools.partial(
                self._batch, kind=kind, last=last))
            if not batch:
                return total
            total += len(batch)
            last = batch[-1]

    def _batch(self, session: orm.Session, kind: _Kind,
               last: str) -> Sequence[str]:
        """Purge the batch after an ID; return the IDs in it."""
        ids = session.scalars(
            sa.select(kind.table.c.id).where(
                kind.condition(self._before), kind.table.c.id > last)
            .order_by(kind.table.c.id).limit(BATCH)).all()
        if not ids:
            return ids
        for column in kind.dependent:
            session.execute(sa.delete(column.table).where(column.in_(ids)))
        migration_quarantine.forget(session, kind.table.name, ids)
        going: _Condition = kind.table.c.id.in_(ids)
        if kind.wanted:
            # A separate statement sees the changes of the previous holder.
            session.execute(sa.select(kind.table.c.id).where(going)
                            .order_by(kind.table.c.id).with_for_update())
            going = sa.and_(going, kind.condition(self._before))
        session.execute(sa.delete(kind.table).where(going))
        return ids

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

"""The search terms of rows, updated with every change.

No other module sets ``search_terms``. Event listeners of the session update
them, so that other modules can change rows without regard to terms. The terms
of a job include those of its actions: a transaction that changes an action
locks its jobs and then reads all of their actions again. So the last of two
such transactions sees both changes.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from oslo_log import log
import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import actions
from freezer_api.db import backups
from freezer_api.db import bulk
from freezer_api.db import clients
from freezer_api.db import collation
from freezer_api.db import job_schedule
from freezer_api.db import job_search
from freezer_api.db import jobs
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import serializers
from freezer_api.db import sessions
from freezer_api.db import transactions
from freezer_api.db import usage
from freezer_api.domain import job_state
from freezer_api.domain import quota
from freezer_api.domain import search as domain_search

LOG = log.getLogger(__name__)

_CHUNK = 500

TABLES: tuple[type[Any], ...] = (
    models.Client, models.Action, models.Session, models.Backup, models.Job)

_Row = (models.Client | models.Action | models.Session | models.Backup
        | models.Job)


def _of(row: _Row, its_actions: Sequence[models.Action] = ()) -> str:
    match row:
        case models.Client():
            return domain_search.terms(
                serializers.client(row), clients.SEARCHED.keys)
        case models.Action():
            return domain_search.terms(
                serializers.listed_action(row), actions.SEARCHED.keys)
        case models.Session():
            return domain_search.terms(
                serializers.session(row), sessions.SEARCHED.keys)
        case models.Backup():
            return domain_search.terms(
                serializers.backup(row), backups.SEARCHED.keys)
        case models.Job():
            return _of_job(jobs.schedule(row), its_actions)


# Keys at the top of each job. They hide those of its schedule and actions.
_TOP = dict.fromkeys(job_search.ALWAYS)


def _of_job(schedule: Mapping[str, object],
            its_actions: Sequence[actions.AnyAction]) -> str:
    return domain_search.terms({
        **_TOP, 'job_schedule': schedule, 'job_actions': [
            serializers.action(one) for one in its_actions]}, _TOP)


def made(session: orm.Session, found: Sequence[_Row],
         anew: bool = False) -> list[str]:
    """Return the correct terms of rows.

    :param anew: whether to read the current actions of jobs again
    """
    job_ids = [row.id for row in found if isinstance(row, models.Job)]
    # With a lock MySQL reads current rows, without one the snapshot of the
    # transaction.
    lock = anew and session.get_bind().dialect.name in ('mysql', 'mariadb')
    its_actions = (
        actions.of_jobs(session, job_ids, lock, anew) if job_ids else {})
    return [_of(row, its_actions.get(row.id, ())) for row in found]


def set_actions(session: orm.Session, job: models.Job,
                its_actions: Sequence[models.Action]) -> None:
    """Pass the actions of a job, so that they are not read again.

    :param job: locked, so that no other transaction changes its actions
    :param its_actions: in their order, read since the job is locked
    """
    if isinstance(session, Session):
        session.changed.set_actions(session, job, its_actions)


_RESCHEDULE = sa.update(
    models.Job).where(models.Job.id == collation.text('job'))


def reschedule(connection: sa.Connection, job: job_schedule.Job,
               its_actions: Sequence[actions.Definition],
               schedule: dict[str, Any], state: job_state.Runtime,
               limits: quota.Limits) -> None:
    """Set the schedule of a locked job and the resulting runtime.

    :param its_actions: in their order, read since the job is locked
    :param schedule: the user's part of the job_schedule
    :param state: the new runtime
    :param limits: of the project
    :raises freezer_api.domain.quota.Exceeded: see freezer_api.db.usage
    :raises freezer_api.domain.quota.LimitsUnknown: see there
    """
    connection.execute(_RESCHEDULE, {
        'job': job.id, 'schedule': schedule,
        'search_terms': _of_job(schedule, its_actions),
        **{name: value
           for name, value in vars(job_state.shortened(state)).items()
           if value != getattr(job.state, name)}})
    usage.write(connection, {job.project_id: {
        quota.Resource.STORED_BYTES:
        usage.size(schedule) - usage.size(job.schedule)}}, limits)


class Session(orm.Session):
    """A session that updates terms and usage with every change.

    :param limits: see :class:`freezer_api.db.usage.Usage`
    """

    def __init__(self, bind: sa.Engine,
                 limits: quota.Limits | None = None) -> None:
        super().__init__(bind, expire_on_commit=False)
        self.changed = _Changed()
        self.usage = usage.Usage(limits)


@sa.event.listens_for(Session, 'before_flush')
def _note(session: Session, context: Any, instances: Any) -> None:
    session.changed.note(session)
    session.usage.note(session)


@sa.event.listens_for(Session, 'before_commit')
def _write(session: Session) -> None:
    session.changed.write(session)
    session.usage.write(session)


@sa.event.listens_for(Session, 'do_orm_execute')
def _refuse_bulk(state: orm.ORMExecuteState) -> None:
    """Refuse bulk statements, whose changes the session does not see.

    :raises TypeError: for a bulk UPDATE or DELETE
    """
    if state.is_update or state.is_delete:
        mapper = state.bind_mapper
        if mapper is not None and issubclass(
                mapper.class_, (*TABLES, models.JobAction)):
            raise TypeError(f'{mapper.class_.__name__} is to be changed row '
                            'by row')


class _Changed:
    """The changes of a transaction that affect the terms of jobs.

    New jobs are known completely: no other transaction sees them, so this one
    has created their links and has added or locked their actions.
    """

    def __init__(self) -> None:
        self._new: dict[str, models.Job] = {}
        self._links: list[tuple[models.JobAction, models.Action]] = []
        self._jobs: set[str] = set()
        self._actions: set[str] = set()
        self._locked: dict[
            str, tuple[models.Job, Sequence[models.Action]]] = {}

    def set_actions(self, session: orm.Session, job: models.Job,
                    its_actions: Sequence[models.Action]) -> None:
        """Store a locked job's actions until its links change."""
        if job not in session.new and job.id not in self._new:
            session.flush()
            self._locked[job.id] = job, its_actions

    def note(self, session: orm.Session) -> None:
        """Set the terms of known rows; collect the other affected jobs."""
        # Each access to session.new builds a new collection.
        new = session.new
        changed = [*new, *session.deleted, *(
            row for row in session.dirty
            if isinstance(row, models.Job) or session.is_modified(row))]
        added = {row.id: row for row in new if isinstance(row, models.Action)}
        for row in changed:
            match row:
                case models.JobAction():
                    self._jobs.add(row.job_id)
                    self._locked.pop(row.job_id, None)
                    if row in new:
                        self._links.append((row, added.get(
                            row.action_id) or session.get_one(
                                models.Action, row.action_id)))
                    else:
                        self._new.pop(row.job_id, None)
                case models.Job() if row in new:
                    self._new[row.id] = row
                case models.Job():
                    history = orm.attributes.get_history(row, 'schedule')
                    if history.has_changes() and not self._set_terms(row.id):
                        self._jobs.add(row.id)
                case (models.Client() | models.Action() | models.Session()
                      | models.Backup()):
                    if row in new:
                        _set_defaults(row)
                    row.search_terms = _of(row)
                    # Of a deleted action the links have changed, too.
                    if (isinstance(row, models.Action) and row not in new
                            and not row.deleted):
                        self._actions.add(row.id)
        if any(isinstance(row, models.Job | models.JobAction | models.Action)
               for row in changed):
            self._write_new()

    def _write_new(self) -> None:
        for job in self._new.values():
            found = sorted(
                (link.position or 0, link.id, action) for link, action
                in self._links if link.job_id == job.id)
            job.search_terms = _of(job, [action for _, _, action in found])

    def _set_terms(self, job_id: str) -> bool:
        if job_id not in self._locked:
            return False
        job, its_actions = self._locked[job_id]
        job.search_terms = _of(job, its_actions)
        return True

    def write(self, session: orm.Session) -> None:
        """Set the terms of the affected jobs."""
        session.flush()
        for ids in _chunks(self._actions):
            # With a lock, because without one MySQL reads the snapshot of
            # the transaction.
            self._jobs |= set(session.scalars(
                sa.select(models.JobAction.job_id).where(
                    models.JobAction.action_id.in_(ids))
                .with_for_update(read=True)))
        for job_id in self._jobs & self._locked.keys():
            self._set_terms(job_id)
        for ids in _chunks(
                self._jobs - self._new.keys() - self._locked.keys()):
            found = session.scalars(
                sa.select(models.Job).where(
                    models.Job.id.in_(ids), rows.live(models.Job))
                .order_by(models.Job.id).with_for_update()).all()
            for job, terms in zip(found, made(session, found, anew=True),
                                  strict=True):
                job.search_terms = terms


def _set_defaults(row: models.Base) -> None:
    """Set the defaults of a new row before the flush would do so."""
    for name, column in sa.inspect(row).mapper.columns.items():
        default = column.default
        if (isinstance(default, sa.ColumnDefault) and default.is_scalar
                and name not in sa.inspect(row).dict):
            setattr(row, name, default.arg)


def _chunks(ids: Collection[str]) -> Iterator[list[str]]:
    ordered = sorted(ids)
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start:start + _CHUNK]


def fill(connection: sa.Connection) -> None:
    """Set the terms of all rows without terms.

    These are the rows of an adopted database, and those that an API of an
    earlier release has written. If it is interrupted, call it again: each
    batch is committed, and rows with terms are skipped. A row that changes
    meanwhile gets its terms from that change, and keeps them.

    :param connection: in a transaction on SQLite only
    """
    _each_batch(connection, anew=False)


def refresh(connection: sa.Connection) -> int:
    """Compute the terms of all rows again.

    An API of an earlier release changes rows without their terms. Otherwise
    like :func:`fill`.

    :returns: number of rows with wrong terms
    """
    return _each_batch(connection, anew=True)


def _each_batch(connection: sa.Connection, anew: bool) -> int:
    total = 0
    for model in TABLES:
        table = model.__table__
        update = bulk.Update(
            table, ['search_terms'],
            only_if=sa.func.coalesce(table.c.search_terms, ''),
            updated_at=table.c.updated_at)
        last = ''
        while True:
            with transactions.lasting(connection):
                ids, changed = _fill_batch(connection, model, last, anew,
                                           update)
            if not ids:
                break
            if not last:
                # This can take minutes without any other log line.
                LOG.info('Setting the search terms of table %s', table.name)
            total += changed
            last = ids[-1]
    return total


def missing(connection: sa.Connection) -> bool:
    """Return whether any row has no terms."""
    return any(connection.execute(
        sa.select(model.id).where(_without(model)).limit(1)).first()
        for model in TABLES)


def _without(model: Any) -> sa.ColumnElement[bool]:
    return sa.and_(model.search_terms.is_(None), rows.live(model))


def _fill_batch(connection: sa.Connection, model: Any, last: str, anew: bool,
                update: bulk.Update) -> tuple[list[str], int]:
    """Set the terms of the batch after an ID.

    :returns: the IDs in it, and the number of changed rows
    """
    with orm.Session(connection) as session:
        found: Sequence[Any] = session.scalars(
            sa.select(model).where(
                rows.live(model) if anew else _without(model),
                model.id > last)
            .options(orm.undefer(model.search_terms))
            .order_by(model.id).limit(_CHUNK)).all()
        ids = [row.id for row in found]
        values = [{'id': row.id, 'search_terms': terms,
                   'old': row.search_terms or ''}
                  for row, terms in zip(found, made(session, found),
                                        strict=True)
                  if terms != row.search_terms]
    # Compare and set: other transactions may change the rows.
    update.run(connection, values)
    return ids, len(values)

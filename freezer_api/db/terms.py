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

"""The search terms of rows, which follow what is written.

No other module sets ``search_terms``. A transaction's session is watched, so
that whoever changes a row need not think of it. The terms of a job are those
of its actions too: whoever changes an action locks its jobs and then reads
all of their actions anew, so that of two who do so the last sees both.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

from oslo_log import log
import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import actions
from freezer_api.db import backups
from freezer_api.db import bulk
from freezer_api.db import clients
from freezer_api.db import documents
from freezer_api.db import exact
from freezer_api.db import job_search
from freezer_api.db import jobs
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import sessions
from freezer_api.db import transactions
from freezer_api.db import usage
from freezer_api.domain import jobs as job_rules
from freezer_api.domain import quota
from freezer_api.domain import search as domain

LOG = log.getLogger(__name__)

_CHUNK = 500

TABLES: tuple[type[Any], ...] = (
    models.Client, models.Action, models.Session, models.Backup, models.Job)

_Row = (models.Client | models.Action | models.Session | models.Backup
        | models.Job)


def _of(row: _Row, its_actions: Sequence[models.Action] = ()) -> str:
    match row:
        case models.Client():
            return domain.terms(
                documents.client(row), clients.SEARCHED.keys)
        case models.Action():
            return domain.terms(
                documents.listed_action(row), actions.SEARCHED.keys)
        case models.Session():
            return domain.terms(
                documents.session(row), sessions.SEARCHED.keys)
        case models.Backup():
            return domain.terms(
                documents.backup(row), backups.SEARCHED.keys)
        case models.Job():
            return domain.terms(
                documents.job(row, its_actions), job_search.ALWAYS)


def made(session: orm.Session, found: Sequence[_Row],
         anew: bool = False) -> list[str]:
    """Return the terms that rows ought to have.

    :param anew: look at the actions of jobs as they are by now
    """
    jobs = [row.id for row in found if isinstance(row, models.Job)]
    # With a lock MySQL shows what is there, without one what was there when
    # the transaction began.
    lock = anew and session.get_bind().dialect.name in ('mysql', 'mariadb')
    its_actions = actions.of_jobs(session, jobs, lock, anew) if jobs else {}
    return [_of(row, its_actions.get(row.id, ())) for row in found]


def know(session: orm.Session, job: models.Job,
         its_actions: Sequence[models.Action]) -> None:
    """Tell what the actions of a job are, so that they are not read again.

    :param job: locked, so that nobody else gives it others or changes these
    :param its_actions: in their order, as they are since the job is locked
    """
    if isinstance(session, Session):
        session.changed.know(session, job, its_actions)


# Past the session, which would have the job read as one of its objects.
_RESCHEDULE = sa.update(models.Job).where(models.Job.id == exact.text('job'))


def reschedule(session: orm.Session, job: models.Job,
               its_actions: Sequence[models.Action],
               schedule: dict[str, Any], state: job_rules.Runtime) -> None:
    """Give a job another schedule, and put it where it stands then.

    :param job: looked at and locked
    :param its_actions: in their order
    """
    before = jobs.runtime(job)
    terms = domain.terms({**documents.job(job, its_actions),
                          'job_schedule': schedule}, job_search.ALWAYS)
    if isinstance(session, Session):
        session.usage.add(
            job.project_id, quota.Resource.STORED_BYTES,
            usage.size(schedule) - usage.size(job.schedule))
    session.connection().execute(_RESCHEDULE, {
        'job': job.id, 'schedule': schedule, 'search_terms': terms,
        **{name: value
           for name, value in vars(job_rules.shortened(state)).items()
           if value != getattr(before, name)}})


class Session(orm.Session):
    """A session in which terms and usage follow what is written.

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
    """Let nobody change in one statement what nobody would then see.

    :raises TypeError: by way of a test that comes past
    """
    if state.is_update or state.is_delete:
        mapper = state.bind_mapper
        if mapper is not None and issubclass(
                mapper.class_, (*TABLES, models.JobAction)):
            raise TypeError(f'{mapper.class_.__name__} is to be changed row '
                            'by row')


class _Changed:
    """What a transaction has changed, of which jobs' terms are made.

    Of new jobs it knows all: nobody else can see them, so that their links
    are those of this transaction, which has added or locked the actions.
    """

    def __init__(self) -> None:
        self._new: dict[str, models.Job] = {}
        self._links: list[tuple[models.JobAction, models.Action]] = []
        self._jobs: set[str] = set()
        self._actions: set[str] = set()
        self._known: dict[
            str, tuple[models.Job, Sequence[models.Action]]] = {}

    def know(self, session: orm.Session, job: models.Job,
             its_actions: Sequence[models.Action]) -> None:
        """Take note of a locked job's actions, until its links change."""
        if job not in session.new and job.id not in self._new:
            session.flush()
            self._known[job.id] = job, its_actions

    def note(self, session: orm.Session) -> None:
        """Set the terms of what is known; note what other jobs hold."""
        # It is made anew, of all there is, each time it is asked for.
        new = session.new
        changed = [*new, *session.deleted, *(
            row for row in session.dirty
            if isinstance(row, models.Job) or session.is_modified(row))]
        added = {row.id: row for row in new if isinstance(row, models.Action)}
        for row in changed:
            match row:
                case models.JobAction():
                    self._jobs.add(row.job_id)
                    self._known.pop(row.job_id, None)
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
                    if history.has_changes() and not self._write_known(row.id):
                        self._jobs.add(row.id)
                case (models.Client() | models.Action() | models.Session()
                      | models.Backup()):
                    if row in new:
                        _set_defaults(row)
                    row.search_terms = _of(row)
                    if isinstance(row, models.Action) and row not in new:
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

    def _write_known(self, job_id: str) -> bool:
        if job_id not in self._known:
            return False
        job, its_actions = self._known[job_id]
        job.search_terms = _of(job, its_actions)
        return True

    def write(self, session: orm.Session) -> None:
        """Set the terms of the jobs."""
        session.flush()
        for ids in _chunks(self._actions):
            # With a lock, since MySQL would else read what was there when
            # the transaction began.
            self._jobs |= set(session.scalars(
                sa.select(models.JobAction.job_id).where(
                    models.JobAction.action_id.in_(ids))
                .with_for_update(read=True)))
        for job_id in self._jobs & self._known.keys():
            self._write_known(job_id)
        for ids in _chunks(
                self._jobs - self._new.keys() - self._known.keys()):
            self._write(session, session.scalars(
                sa.select(models.Job).where(
                    models.Job.id.in_(ids), rows.live(models.Job))
                .order_by(models.Job.id).with_for_update()).all())

    def _write(self, session: orm.Session,
               jobs: Sequence[models.Job]) -> None:
        for job, terms in zip(jobs, made(session, jobs, anew=True),
                              strict=True):
            job.search_terms = terms


def _set_defaults(row: models.Base) -> None:
    """Give a new row what it would get from its table a moment later."""
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
    """Give terms to each row that has none.

    These are the rows of an adopted database, and any that an API of an older
    release has written. To be called again when it was killed: each batch
    lasts, and what has terms is passed over. A row that somebody changes
    meanwhile gets its terms from him, and keeps them.

    :param connection: on SQLite in a transaction, elsewhere in none
    """
    _each_batch(connection, anew=False)


def refresh(connection: sa.Connection) -> int:
    """Make the terms of all rows anew.

    An API of a release without terms has changed rows and left theirs as they
    were. Otherwise as :func:`fill`.

    :returns: how many rows had other terms
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
                # On many rows nothing else is heard for minutes.
                LOG.info('Giving rows of %s their search terms', table.name)
            total += changed
            last = ids[-1]
    return total


def missing(connection: sa.Connection) -> bool:
    """Return whether any row has no terms yet."""
    return any(connection.execute(
        sa.select(model.id).where(_without(model)).limit(1)).first()
        for model in TABLES)


def _without(model: Any) -> sa.ColumnElement[bool]:
    return sa.and_(model.search_terms.is_(None), rows.live(model))


def _fill_batch(connection: sa.Connection, model: Any, last: str, anew: bool,
                update: bulk.Update) -> tuple[list[str], int]:
    """Fill the batch that begins after an id.

    :returns: the ids in it, and how many rows were written
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
    # Compared and set: others may be at work.
    update.run(connection, values)
    return ids, len(values)

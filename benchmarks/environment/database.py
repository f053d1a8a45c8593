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

"""A database of a measured API: created, filled with jobs, read, dropped.

Tables are reflected, so that the same is done for this project and 19.0.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import datetime
import json
from typing import Any
import uuid

import sqlalchemy as sa
from sqlalchemy import pool

#: The servers of this machine, by engine.
SERVERS = {
    'mariadb': 'mysql+pymysql://root@127.0.0.1:3306/?charset=utf8mb4',
    'postgresql': 'postgresql+psycopg://postgres@127.0.0.1:5432/postgres'}

_CHUNK = 1000

# Tables with a row for each job, in the order of their foreign keys.
_TABLES = ('actions', 'action_reports', 'jobs', 'job_actions',
           'user_credentials')

_Row = dict[str, Any]


class Database:
    """One database.

    :ivar url: of the database
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._url = sa.make_url(url)
        self.engine = sa.create_engine(self._url, poolclass=pool.NullPool)

    @classmethod
    def on_server(cls, server: str) -> Database:
        """Return a database with a new name, which does not exist yet."""
        return cls(sa.make_url(server).set(
            database=f'freezer_bench_{uuid.uuid4().hex[:12]}'
            ).render_as_string(hide_password=False))

    @property
    def backend(self) -> str:
        """``sqlite``, ``mysql`` or ``postgresql``."""
        return self._url.get_backend_name()

    def create(self) -> None:
        """Create an empty database."""
        if self.backend != 'sqlite':
            charset = (' CHARACTER SET utf8mb4' if self.backend == 'mysql'
                       else '')
            self._on_server(f'CREATE DATABASE {self._url.database}{charset}')

    def drop(self) -> None:
        if self.backend != 'sqlite':
            force = ' WITH (FORCE)' if self.backend == 'postgresql' else ''
            self._on_server(
                f'DROP DATABASE IF EXISTS {self._url.database}{force}')

    def cut_connections(self) -> None:
        """End all connections to the database."""
        if self.backend == 'postgresql':
            self._on_server(
                'SELECT pg_terminate_backend(pid) FROM pg_stat_activity '
                f"WHERE datname = '{self._url.database}'")
            return
        for number, in self._on_server(
                'SELECT id FROM information_schema.processlist '
                f"WHERE db = '{self._url.database}'"):
            # It may have ended by itself.
            with contextlib.suppress(sa.exc.OperationalError):
                self._on_server(f'KILL {number}')

    def _on_server(self, statement: str) -> Sequence[Any]:
        engine = sa.create_engine(
            self._url.set(database='postgres' if self.backend == 'postgresql'
                          else ''),
            isolation_level='AUTOCOMMIT', poolclass=pool.NullPool)
        with engine.connect() as connection:
            result = connection.exec_driver_sql(statement)
            return result.all() if result.returns_rows else ()

    def rows(self, query: str) -> Sequence[Any]:
        with self.engine.connect() as connection:
            return connection.execute(sa.text(query)).all()

    @contextlib.contextmanager
    def _tables(self, *names: str) -> Iterator[
            tuple[sa.Connection, Mapping[str, sa.Table]]]:
        metadata = sa.MetaData()
        metadata.reflect(self.engine, only=names)
        with self.engine.begin() as connection:
            yield connection, metadata.tables

    def copy_jobs(self, template_ids: Sequence[str], first: int, last: int,
                  per_project: int) -> dict[str, list[str]]:
        """Copy jobs that the API created, with all that belongs to them.

        Each column is what the API wrote, but ids, times of creation, the
        description, and, for most, the project.

        :param template_ids: the jobs that are copied in turn
        :param first: number of the first copy
        :param last: number after that of the last copy
        :param per_project: how many jobs, by their numbers, are in one
            project; the first projects are those of the templates
        :returns: the ids of the copies that stayed in the project of their
            template, by template
        """
        own: dict[str, list[str]] = {one: [] for one in template_ids}
        with self._tables(*_TABLES) as (connection, tables):
            templates = [_rows_of(connection, tables, template_id)
                         for template_id in template_ids]
            for start in range(first, last, _CHUNK):
                batch: dict[str, list[_Row]] = {name: [] for name in _TABLES}
                for number in range(start, min(start + _CHUNK, last)):
                    which, project = _place(number, len(templates),
                                            per_project)
                    copy = _copy(templates[which], number, project)
                    for name, row in copy.items():
                        batch[name].append(row)
                    if project is None:
                        own[template_ids[which]].append(copy['jobs']['id'])
                for name, rows in batch.items():
                    if rows:
                        connection.execute(tables[name].insert(), rows)
        self._queue_projects()
        analyze(self.engine, _TABLES)
        return own

    def fire_jobs(self, count: int, at: int, seconds: int) -> None:
        """Have jobs fire, each with a volume of its own.

        :param at: when the first does, in epoch seconds
        :param seconds: within which they do, evenly; 0 for at once
        """
        with self._tables('actions', 'jobs') as (connection, tables):
            actions, jobs = tables['actions'], tables['jobs']
            # The volume is named after the action. Copies still have the
            # volume of their template.
            others = ~actions.c.backup_metadata.contains(actions.c.id)
            for volume in {json.loads(text)['cindernative_vol_id'] for text in
                           connection.scalars(sa.select(
                               actions.c.backup_metadata).where(
                                   others).distinct())}:
                connection.execute(actions.update().where(others).values(
                    backup_metadata=sa.func.replace(
                        actions.c.backup_metadata, volume, actions.c.id)))
            due: dict[int, list[str]] = {}
            for number, job_id in enumerate(connection.scalars(
                    _scheduled(jobs).order_by(jobs.c.created_at, jobs.c.id)
                    .limit(count))):
                due.setdefault(at + number * seconds // count, []).append(
                    job_id)
            for moment, ids in due.items():
                _set_due(connection, jobs, ids, moment)

    def fire_of_few_projects(self, count: int, projects: int,
                             at: int) -> None:
        """Have the newest jobs belong to a few projects, all due at once.

        :param at: when they are due, in epoch seconds
        """
        with self._tables('actions', 'job_actions', 'jobs') as (
                connection, tables):
            jobs, actions = tables['jobs'], tables['actions']
            links = tables['job_actions'].c
            ids = connection.scalars(_scheduled(jobs).order_by(
                jobs.c.created_at.desc(), jobs.c.id).limit(count)).all()
            for number in range(projects):
                project_id = uuid.uuid5(uuid.NAMESPACE_OID,
                                        f'noisy {number}').hex
                for some in _chunks(ids[number::projects]):
                    connection.execute(actions.update().where(
                        actions.c.id.in_(sa.select(links.action_id).where(
                            links.job_id.in_(some)))).values(
                                project_id=project_id))
                    _set_due(connection, jobs, some, at,
                             project_id=project_id)
        self._queue_projects()

    def postpone(self, at: int) -> None:
        """Have nothing due before a time, in epoch seconds."""
        with self._tables('jobs') as (connection, tables):
            jobs = tables['jobs']
            connection.execute(jobs.update().where(jobs.c.due_at < at).values(
                next_run_at=at, due_at=at))

    def _queue_projects(self) -> None:
        """Add the projects of new jobs to the queues of this project's API."""
        if not sa.inspect(self.engine).has_table('queues'):
            return
        with self._tables('queues', 'jobs') as (connection, tables):
            queues, jobs = tables['queues'], tables['jobs']
            known = [dict(row) for row in connection.execute(
                queues.select()).mappings()]
            for row in {one['client_id']: one for one in known}.values():
                new = set(connection.scalars(sa.select(
                    jobs.c.project_id).where(
                        jobs.c.client_id == row['client_id']).distinct()))
                new -= {one['project_id'] for one in known
                        if one['client_id'] == row['client_id']}
                if new:
                    connection.execute(queues.insert(), [
                        {**row, 'id': uuid.uuid4().hex, 'project_id': one}
                        for one in sorted(new)])


def analyze(engine: sa.Engine, tables: Sequence[str]) -> None:
    """Let the engine count rows, which it does by itself in time."""
    word = ('ANALYZE TABLE' if engine.dialect.name in ('mysql', 'mariadb')
            else 'ANALYZE')
    with engine.connect().execution_options(
            isolation_level='AUTOCOMMIT') as connection:
        for table in tables:
            connection.execute(sa.text(f'{word} {table}'))


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _CHUNK):
        yield ids[start:start + _CHUNK]


def _scheduled(jobs: sa.Table) -> sa.Select[Any]:
    return sa.select(jobs.c.id).where(
        jobs.c.next_run_at.is_not(None), jobs.c.run_id.is_(None))


def _set_due(connection: sa.Connection, jobs: sa.Table, ids: Sequence[str],
             at: int, **more: str) -> None:
    for some in _chunks(ids):
        connection.execute(jobs.update().where(jobs.c.id.in_(some)).values(
            next_run_at=at, due_at=at, **more))


def _place(number: int, templates: int,
           per_project: int) -> tuple[int, str | None]:
    """Return the template of a copy, and its project; None for its own."""
    # Each template is in its project already.
    project = (number // per_project if number >= templates * per_project
               else (number - templates) // (per_project - 1))
    return (project % templates,
            None if project < templates else f'{project}')


def _rows_of(connection: sa.Connection, tables: Mapping[str, sa.Table],
             job_id: str) -> dict[str, _Row]:
    """Return the rows of a job, by table."""

    def row(name: str, column: str, value: str) -> _Row | None:
        found = connection.execute(tables[name].select().where(
            tables[name].c[column] == value)).mappings().one_or_none()
        return None if found is None else dict(found)

    link = row('job_actions', 'job_id', job_id)
    assert link is not None
    found = {'actions': row('actions', 'id', link['action_id']),
             'action_reports': row('action_reports', 'id', link['action_id']),
             'jobs': row('jobs', 'id', job_id), 'job_actions': link,
             'user_credentials': row('user_credentials', 'job_id', job_id)}
    return {name: one for name, one in found.items() if one is not None}


def _copy(template: Mapping[str, _Row], number: int,
          project: str | None) -> dict[str, _Row]:
    """Return the rows of one more job like a template.

    :param project: name of its project; None for the template's own
    """
    job_id, action_id = uuid.uuid4().hex, uuid.uuid4().hex
    ids = {'jobs': job_id, 'actions': action_id, 'action_reports': action_id}
    made = {}
    for name, row in template.items():
        new = made[name] = {**row, 'id': ids.get(name) or uuid.uuid4().hex}
        for key, value in (('job_id', job_id), ('action_id', action_id)):
            if key in new:
                new[key] = value
        if project is not None and 'project_id' in new:
            new['project_id'] = uuid.uuid5(uuid.NAMESPACE_OID, project).hex
        if new.get('created_at') is not None:
            new['created_at'] += datetime.timedelta(seconds=number)
    made['jobs']['description'] = f'job {number}'
    return made

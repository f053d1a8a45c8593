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

"""Makes, fills and drops a database of either API, from its environment.

What to do is read from standard input, as JSON, and what was done is written
to standard output.
"""

import datetime
import json
import sys
import uuid

import sqlalchemy as sa

_CHUNK = 1000

#: Tables with a row for each job, in the order of their foreign keys, and the
#: columns by which the rows of one job name each other.
_TABLES = {
    'actions': ('id',),
    'action_reports': ('id',),
    'jobs': ('id',),
    'job_actions': ('id', 'job_id', 'action_id'),
    'user_credentials': ('id', 'job_id'),
}


def _server(url):
    made = sa.make_url(url)
    return sa.create_engine(
        made.set(database='postgres' if _is_postgresql(url) else ''),
        isolation_level='AUTOCOMMIT')


def _is_postgresql(url):
    return sa.make_url(url).get_backend_name() == 'postgresql'


def _name(url):
    return sa.make_url(url).database


def create(url):
    """Make an empty database on a server."""
    charset = '' if _is_postgresql(url) else ' CHARACTER SET utf8mb4'
    with _server(url).connect() as connection:
        connection.execute(sa.text(f'CREATE DATABASE {_name(url)}{charset}'))


def drop(url):
    """Drop a database of a server."""
    force = ' WITH (FORCE)' if _is_postgresql(url) else ''
    with _server(url).connect() as connection:
        connection.execute(sa.text(
            f'DROP DATABASE IF EXISTS {_name(url)}{force}'))


def fill(url, template_ids, first, last, per_project):
    """Copy jobs that the API made, with all that belongs to them.

    Each column is what the API itself wrote, but ids, times of creation, the
    description, and, for most, the project.

    :param template_ids: ids of the jobs that are copied in turn
    :param first: number of the first copy
    :param last: number behind that of the last copy
    :param per_project: how many jobs, by their numbers, are in one project;
        the first projects are those of the templates. None: every other copy
        is in one of a hundred further projects.
    :returns: the ids of the copies that stayed in their template's project,
        by template
    """
    engine = sa.create_engine(url)
    metadata = sa.MetaData()
    metadata.reflect(engine, only=list(_TABLES))
    made = {template_id: [] for template_id in template_ids}
    with engine.begin() as connection:
        templates = [_rows(connection, metadata, template_id)
                     for template_id in template_ids]
        for start in range(first, last, _CHUNK):
            batch = {name: [] for name in _TABLES}
            for number in range(start, min(start + _CHUNK, last)):
                which, project = _place(number, len(templates), per_project)
                copy = _copy(templates[which], number, project)
                for name, rows in copy.items():
                    batch[name] += rows
                if project is None:
                    made[template_ids[which]].append(copy['jobs'][0]['id'])
            for name, rows in batch.items():
                if rows:
                    connection.execute(metadata.tables[name].insert(), rows)
        if per_project:
            _line_up(connection, template_ids[0])
    table = 'TABLE ' if engine.dialect.name == 'mysql' else ''
    with engine.connect() as connection:
        for name in _TABLES:
            connection.execute(sa.text(f'ANALYZE {table}{name}'))
        connection.commit()
    engine.dispose()
    return made


def arm(url, count, at, seconds):
    """Have jobs fire, each with a volume of its own.

    :param at: when the first does, in epoch seconds
    :param seconds: within which they do, evenly
    """
    engine = sa.create_engine(url)
    metadata = sa.MetaData()
    metadata.reflect(engine, only=['actions', 'jobs'])
    actions, jobs = metadata.tables['actions'], metadata.tables['jobs']
    with engine.begin() as connection:
        # The id of its action. Copies have the volume of their template.
        others = ~actions.c.backup_metadata.contains(actions.c.id)
        volumes = {json.loads(text)['cindernative_vol_id'] for text in
                   connection.scalars(sa.select(
                       actions.c.backup_metadata).where(others).distinct())}
        for volume in volumes:
            connection.execute(actions.update().where(others).values(
                backup_metadata=sa.func.replace(
                    actions.c.backup_metadata, volume, actions.c.id)))
        ids = connection.scalars(sa.select(jobs.c.id).where(
            jobs.c.next_run_at.is_not(None), jobs.c.run_id.is_(None))
            .order_by(jobs.c.created_at, jobs.c.id).limit(count)).all()
        due = {}
        for number, job_id in enumerate(ids):
            due.setdefault(at + int(number * seconds / count),
                           []).append(job_id)
        for moment, fired in due.items():
            for start in range(0, len(fired), _CHUNK):
                connection.execute(jobs.update().where(
                    jobs.c.id.in_(fired[start:start + _CHUNK])).values(
                        next_run_at=moment, due_at=moment))
    engine.dispose()


def crowd(url, count, projects, at):
    """Have the last jobs belong to a few projects, and be due all at once.

    :param count: how many jobs
    :param projects: to how many projects they go, in turn
    :param at: when they are due, in epoch seconds
    """
    engine = sa.create_engine(url)
    metadata = sa.MetaData()
    metadata.reflect(engine, only=['actions', 'job_actions', 'jobs'])
    tables = metadata.tables
    jobs, actions = tables['jobs'], tables['actions']
    links = tables['job_actions'].c
    with engine.begin() as connection:
        ids = connection.scalars(sa.select(jobs.c.id).where(
            jobs.c.next_run_at.is_not(None), jobs.c.run_id.is_(None))
            .order_by(jobs.c.created_at.desc(), jobs.c.id).limit(count)).all()
        for number in range(projects):
            project_id = uuid.uuid5(uuid.NAMESPACE_OID, f'crowd {number}').hex
            own = ids[number::projects]
            for start in range(0, len(own), _CHUNK):
                some = own[start:start + _CHUNK]
                connection.execute(actions.update().where(
                    actions.c.id.in_(sa.select(links.action_id).where(
                        links.job_id.in_(some)))).values(
                            project_id=project_id))
                connection.execute(jobs.update().where(
                    jobs.c.id.in_(some)).values(
                        project_id=project_id, next_run_at=at, due_at=at))
        _line_up(connection, connection.scalar(sa.select(jobs.c.id).order_by(
            jobs.c.created_at).limit(1)))
    engine.dispose()


def calm(url, at):
    """Have nothing due before a time, in epoch seconds."""
    engine = sa.create_engine(url)
    metadata = sa.MetaData()
    metadata.reflect(engine, only=['jobs'])
    jobs = metadata.tables['jobs']
    with engine.begin() as connection:
        connection.execute(jobs.update().where(jobs.c.due_at < at).values(
            next_run_at=at, due_at=at))
    engine.dispose()


def runs(url, since):
    """Return project, job, state and times of the runs of some firings.

    :param since: of the first firing, in epoch seconds
    """
    engine = sa.create_engine(url)
    metadata = sa.MetaData()
    metadata.reflect(engine, only=['job_runs'])
    run = metadata.tables['job_runs'].c
    with engine.connect() as connection:
        found = [list(row) for row in connection.execute(sa.select(
            run.project_id, run.job_id, run.state, run.nominal_at,
            run.time_started, run.time_ended).where(
                run.nominal_at >= since))]
    engine.dispose()
    return found


def _place(number, templates, per_project):
    """Whose copy a job is, and in which project; None for its template's."""
    if per_project is None:
        turn, which = divmod(number, templates)
        return which, f'{number % 100}' if turn % 2 else None
    # Each template is in its project already.
    project = (number // per_project if number >= templates * per_project
               else (number - templates) // (per_project - 1))
    return (project % templates,
            None if project < templates else f'{project}')


def _line_up(connection, template_id):
    """Have this project's API know which projects there are jobs of."""
    if not sa.inspect(connection).has_table('queues'):
        return
    metadata = sa.MetaData()
    metadata.reflect(connection, only=['queues', 'jobs'])
    queues, jobs = metadata.tables['queues'], metadata.tables['jobs']
    client_id, project_id = connection.execute(sa.select(
        jobs.c.client_id, jobs.c.project_id).where(
            jobs.c.id == template_id)).one()
    row = dict(connection.execute(queues.select().where(
        queues.c.client_id == client_id,
        queues.c.project_id == project_id)).one()._mapping)
    known = set(connection.scalars(sa.select(queues.c.project_id).where(
        queues.c.client_id == client_id)))
    new = set(connection.scalars(sa.select(jobs.c.project_id).where(
        jobs.c.client_id == client_id).distinct())) - known
    if new:
        connection.execute(queues.insert(), [
            {**row, 'id': uuid.uuid4().hex, 'project_id': one}
            for one in sorted(new)])


def _rows(connection, metadata, job_id):
    """The rows of a job, by table."""
    tables = metadata.tables
    link = connection.execute(tables['job_actions'].select().where(
        tables['job_actions'].c.job_id == job_id)).one()
    found = {'job_actions': link}
    for name, key, value in (
            ('jobs', 'id', job_id),
            ('actions', 'id', link.action_id),
            ('action_reports', 'id', link.action_id),
            ('user_credentials', 'job_id', job_id)):
        found[name] = connection.execute(tables[name].select().where(
            tables[name].c[key] == value)).one_or_none()
    return {name: None if row is None else dict(row._mapping)
            for name, row in found.items()}


def _copy(template, number, project):
    """The rows of one more job like a template.

    :param project: name of its project; None for the template's own
    """
    job_id, action_id = uuid.uuid4().hex, uuid.uuid4().hex
    known = {'job_id': job_id, 'action_id': action_id}
    own = {'jobs': job_id, 'actions': action_id, 'action_reports': action_id}
    made = {}
    for name, row in template.items():
        if row is None:
            made[name] = []
            continue
        new = {**row, **{key: value for key, value in known.items()
                         if key in row}}
        new['id'] = own.get(name) or uuid.uuid4().hex
        if project is not None and 'project_id' in row:
            new['project_id'] = uuid.uuid5(uuid.NAMESPACE_OID, project).hex
        if row.get('created_at') is not None:
            new['created_at'] = row['created_at'] + datetime.timedelta(
                seconds=number)
        made[name] = [new]
    made['jobs'][0]['description'] = f'job {number}'
    return made


def main():
    wanted = json.load(sys.stdin)
    work = {'create': create, 'drop': drop, 'fill': fill, 'arm': arm,
            'crowd': crowd, 'calm': calm, 'runs': runs}[wanted.pop('do')]
    json.dump(work(**wanted), sys.stdout)


main()

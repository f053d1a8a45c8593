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
    return sa.create_engine(sa.make_url(url).set(database=''),
                            isolation_level='AUTOCOMMIT')


def _name(url):
    return sa.make_url(url).database


def create(url):
    """Make an empty database on a server."""
    with _server(url).connect() as connection:
        connection.execute(sa.text(
            f'CREATE DATABASE {_name(url)} CHARACTER SET utf8mb4'))


def drop(url):
    """Drop a database of a server."""
    with _server(url).connect() as connection:
        connection.execute(sa.text(f'DROP DATABASE IF EXISTS {_name(url)}'))


def fill(url, template_ids, first, last):
    """Copy jobs that the API made, with all that belongs to them.

    Each column is what the API itself wrote, but ids, times of creation, the
    description, and, for every other job, the project.

    :param template_ids: ids of the jobs that are copied in turn
    :param first: number of the first copy
    :param last: number behind that of the last copy
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
                turn, which = divmod(number, len(templates))
                copy = _copy(templates[which], number, bool(turn % 2))
                for name, rows in copy.items():
                    batch[name] += rows
                if turn % 2 == 0:
                    made[template_ids[which]].append(copy['jobs'][0]['id'])
            for name, rows in batch.items():
                if rows:
                    connection.execute(metadata.tables[name].insert(), rows)
    with engine.connect() as connection:
        if engine.dialect.name == 'sqlite':
            connection.execute(sa.text('ANALYZE'))
        else:
            for name in _TABLES:
                connection.execute(sa.text(f'ANALYZE TABLE {name}'))
    engine.dispose()
    return made


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


def _copy(template, number, elsewhere):
    """The rows of one more job like a template."""
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
        if elsewhere and 'project_id' in row:
            new['project_id'] = uuid.uuid5(
                uuid.NAMESPACE_OID, f'{number % 100}').hex
        if row.get('created_at') is not None:
            new['created_at'] = row['created_at'] + datetime.timedelta(
                seconds=number)
        made[name] = [new]
    made['jobs'][0]['description'] = f'job {number}'
    return made


def main():
    wanted = json.load(sys.stdin)
    work = {'create': create, 'drop': drop, 'fill': fill}[wanted.pop('do')]
    json.dump(work(**wanted), sys.stdout)


main()

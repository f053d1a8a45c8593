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

"""Whether an account may upgrade a database now. Nothing is changed."""

from __future__ import annotations

import os
import re

import sqlalchemy as sa

from freezer_api.db import migration_lock

_WANTED = ('ALTER', 'CREATE', 'DELETE', 'DROP', 'INDEX', 'INSERT',
           'REFERENCES', 'SELECT', 'UPDATE')
_GRANT = re.compile(r'GRANT (?P<rights>.+?) ON (?P<what>\S+) TO ')


def missing(connection: sa.Connection, to_do: bool) -> list[str]:
    """Return what keeps an account from upgrading, in sentences.

    :param to_do: whether there is anything to upgrade
    """
    found = []
    if migration_lock.is_held(connection):
        found.append('another process is upgrading the database, or locks it')
    if to_do:
        if connection.dialect.name == 'sqlite':
            found += _of_file(connection)
        elif connection.dialect.name == 'postgresql':
            found += _of_postgresql(connection)
        else:
            found += _of_mysql(connection)
    return found


def _of_file(connection: sa.Connection) -> list[str]:
    path = connection.engine.url.database
    if path in (None, '', ':memory:'):
        return []
    return [f'{part} cannot be written' for part in (
        path, os.path.dirname(os.path.abspath(str(path))))
        if not os.access(str(part), os.W_OK)]


def _of_mysql(connection: sa.Connection) -> list[str]:
    found = []
    if connection.scalar(sa.text('SELECT @@global.read_only')):
        found.append('the server is read-only')
    database = str(connection.scalar(sa.text('SELECT DATABASE()')))
    rights: set[str] = set()
    for text in connection.scalars(sa.text('SHOW GRANTS')):
        grant = _GRANT.match(text)
        if grant and _covers(grant['what'], database):
            rights |= {right.strip().upper()
                       for right in grant['rights'].split(',')}
    if not rights & {'ALL PRIVILEGES', 'ALL'}:
        lacking = [right for right in _WANTED if right not in rights]
        if lacking:
            found.append('the account has no right to '
                         f'{", ".join(lacking)} in database {database}')
    return found


def _covers(what: str, database: str) -> bool:
    """Whether what a grant names, such as ``fr%`.*``, is the database."""
    name, _, table = what.rpartition('.')
    if table != '*':
        return False
    if name == '*':
        return True
    pattern = ''
    escaped = False
    for character in name.strip('`'):
        if character == '\\' and not escaped:
            escaped = True
            continue
        wild = {'%': '.*', '_': '.'}.get(character)
        pattern += (wild if wild and not escaped else re.escape(character))
        escaped = False
    return re.fullmatch(pattern, database) is not None


def _of_postgresql(connection: sa.Connection) -> list[str]:
    found = []
    if connection.scalar(sa.text('SELECT pg_is_in_recovery()')):
        found.append('the server is read-only')
    schema = connection.scalar(sa.text('SELECT current_schema()'))
    if schema is None:
        return [*found, 'the account has no schema to work in']
    if not connection.scalar(sa.text(
            "SELECT has_schema_privilege(current_schema(), 'CREATE')")):
        found.append(f'the account has no right to CREATE in schema {schema}')
    foreign = connection.scalars(sa.text(
        'SELECT tablename FROM pg_tables WHERE schemaname = current_schema() '
        "AND NOT pg_has_role(tableowner, 'USAGE') ORDER BY 1")).all()
    if foreign:
        found.append('the account does not own, and so cannot alter, '
                     + ', '.join(foreign))
    return found

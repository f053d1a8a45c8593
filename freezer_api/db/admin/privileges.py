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

"""Checks of the privileges that an upgrade needs. They change nothing."""

from __future__ import annotations

from collections.abc import Collection
import dataclasses
import os
import re

import sqlalchemy as sa

from freezer_api.db.migrations import revision_changes
from freezer_api.db import models

# DROP is not needed, because no table is dropped. A test revokes each of these
# in turn.
_WANTED = ('ALTER', 'CREATE', 'DELETE', 'INDEX', 'INSERT', 'SELECT', 'UPDATE')
# MariaDB needs no REFERENCES to create a foreign key.
_WANTED_BY_MYSQL = (*_WANTED, 'REFERENCES')
_ALL = frozenset(('ALL', 'ALL PRIVILEGES'))
# Each of these privileges allows writing to a read-only server.
_PAST_READ_ONLY = ('SUPER', 'READ_ONLY ADMIN', 'READ ONLY ADMIN',
                   'CONNECTION_ADMIN')
_PRIVILEGES = ('DELETE', 'INSERT', 'REFERENCES', 'SELECT', 'UPDATE')
# A character of a grant's pattern, which a backslash may escape.
_CHARACTER = re.compile(r'\\?(.)')
_WILDCARDS = {'%': '.*', '_': '.'}
_GRANT = re.compile(r'GRANT (?P<rights>.+?) ON (?P<what>\S+) TO ')


def missing(connection: sa.Connection,
            revisions: Collection[str]) -> list[str]:
    """Return the reasons why an account cannot upgrade the database.

    :param revisions: the revisions that the upgrade runs
    :returns: sentences, none if the account can upgrade
    """
    if connection.dialect.name == 'sqlite':
        return _of_file(connection)
    if connection.dialect.name == 'postgresql':
        return _of_postgresql(connection, revisions)
    return _of_mysql(connection)


def unreadable(connection: sa.Connection) -> list[str]:
    """Return the reasons why an account cannot read the database.

    :returns: sentences, none if the account can read
    """
    if connection.dialect.name == 'sqlite':
        return []
    if connection.dialect.name == 'postgresql':
        if not connection.scalar(sa.text('SELECT current_schema()')):
            return ['the account has no schema to work in']
        return [_no_privilege('SELECT', table) for table in _tables(connection)
                if not _has_privilege(connection, 'SELECT', table)]
    grants = _grants(connection)
    if grants.here & {*_ALL, 'SELECT'} or grants.of_tables:
        return []
    return ['the account has no right to SELECT in database '
            + grants.database]


def sees_triggers(connection: sa.Connection) -> bool:
    """Return whether the server shows the triggers to the account."""
    if connection.dialect.name in ('sqlite', 'postgresql'):
        return True
    return bool(_grants(connection).here & {*_ALL, 'TRIGGER'})


def _of_file(connection: sa.Connection) -> list[str]:
    path = connection.engine.url.database
    if path in (None, '', ':memory:'):
        return []
    return [f'{part} cannot be written' for part in (
        path, os.path.dirname(os.path.abspath(str(path))))
        if not os.access(str(part), os.W_OK)]


@dataclasses.dataclass
class _Grants:
    """The privileges of an account of MySQL.

    :ivar here: in the whole database
    :ivar everywhere: in all databases
    :ivar of_tables: whether some are of single tables, and not examined
    """

    database: str
    here: set[str] = dataclasses.field(default_factory=set)
    everywhere: set[str] = dataclasses.field(default_factory=set)
    of_tables: bool = False


def _grants(connection: sa.Connection) -> _Grants:
    found = _Grants(str(connection.scalar(sa.text('SELECT DATABASE()'))))
    for grant in map(_GRANT.match, connection.scalars(
            sa.text('SHOW GRANTS'))):
        if grant is None:
            continue
        rights = {right.strip().upper()
                  for right in grant['rights'].split(',')}
        if _covers(grant['what'], found.database):
            found.here |= rights
        if grant['what'] == '*.*':
            found.everywhere |= rights
        found.of_tables |= not grant['what'].endswith('.*')
    return found


def _of_mysql(connection: sa.Connection) -> list[str]:
    found = []
    grants = _grants(connection)
    if (connection.scalar(sa.text('SELECT @@global.read_only'))
            and not grants.everywhere & {*_ALL, *_PAST_READ_ONLY}):
        found.append('the server is read-only')
    if not grants.here & _ALL:
        wanted = (_WANTED if getattr(connection.dialect, 'is_mariadb', False)
                  else _WANTED_BY_MYSQL)
        lacking = [right for right in wanted if right not in grants.here]
        if lacking:
            found.append('the account has no right to '
                         f'{", ".join(lacking)} in database {grants.database}')
    return found


def _covers(what: str, database: str) -> bool:
    """Return whether a grant's pattern, such as ``fr%`.*``, matches."""
    name, _, table = what.rpartition('.')
    if table != '*':
        return False
    if name == '*':
        return True
    pattern = _CHARACTER.sub(
        lambda found: _WILDCARDS.get(found[0]) or re.escape(found[1]),
        name.strip('`'))
    return re.fullmatch(pattern, database) is not None


def _of_postgresql(connection: sa.Connection,
                   revisions: Collection[str]) -> list[str]:
    found = []
    if connection.scalar(sa.text('SELECT pg_is_in_recovery()')):
        found.append('the server is read-only')
    elif connection.scalar(sa.text(
            "SELECT current_setting('default_transaction_read_only')")) in (
                'on', True):
        found.append('transactions of the account are read-only, by '
                     'default_transaction_read_only')
    schema = connection.scalar(sa.text('SELECT current_schema()'))
    if schema is None:
        return [*found, 'the account has no schema to work in']
    if not connection.scalar(sa.text(
            "SELECT has_schema_privilege(current_schema(), 'CREATE')")):
        found.append(f'the account has no right to CREATE in schema {schema}')
    ours = _tables(connection)
    foreign = [table for table in connection.scalars(sa.text(
        'SELECT tablename FROM pg_tables WHERE schemaname = current_schema() '
        "AND NOT pg_has_role(tableowner, 'USAGE') ORDER BY 1"))
        if table in ours]
    if foreign:
        found.append('the account does not own, and so cannot alter, '
                     + ', '.join(foreign))
    # An owner has each privilege unless it was revoked.
    needed = revision_changes.rights(revisions)
    return found + [
        _no_privilege(right, table) for table in ours
        for right in _PRIVILEGES if right in needed.get(table, ())
        and not _has_privilege(connection, right, table)]


def _tables(connection: sa.Connection) -> list[str]:
    """Return the tables of Freezer that exist."""
    return sorted(
        {*models.Base.metadata.tables, 'alembic_version', 'kept_values',
         'orphaned_user_credentials'}
        & set(sa.inspect(connection).get_table_names()))


def _has_privilege(connection: sa.Connection, right: str, table: str) -> bool:
    return bool(connection.scalar(
        sa.text('SELECT has_table_privilege(:table, :right)'),
        {'table': table, 'right': right}))


def _no_privilege(right: str, table: str) -> str:
    return f'the account has no right to {right} on table {table}'

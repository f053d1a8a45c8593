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

"""Objects that an operator has added to a MySQL or MariaDB database.

The server shows an account only the objects that the account has privileges
on. Triggers require the TRIGGER privilege. Tables of other databases that
refer to our tables require a privilege on those tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence

import sqlalchemy as sa

from freezer_api.db.admin.operator_objects import tables
from freezer_api.db.migrations import ddl
from freezer_api.db.migrations import revision_changes

_GONE = (revision_changes.How.DROPPED, revision_changes.How.RENAMED)

_VIEWS = """
SELECT table_schema, table_name, view_definition FROM information_schema.views
WHERE view_definition LIKE CONCAT('%`', DATABASE(), '`%')
"""
_TRIGGERS = """
SELECT trigger_name, event_object_table FROM information_schema.triggers
WHERE event_object_schema = DATABASE()
"""
_KEYS = """
SELECT constraint_name, table_schema, table_name, column_name,
       referenced_table_name, referenced_column_name,
       table_schema = DATABASE(), referenced_table_schema = DATABASE()
FROM information_schema.key_column_usage
WHERE referenced_table_name IS NOT NULL
  AND (table_schema = DATABASE() OR referenced_table_schema = DATABASE())
"""
_CHECKS = {
    True: """
SELECT table_name, constraint_name, check_clause
FROM information_schema.check_constraints
WHERE constraint_schema = DATABASE()
""",
    False: """
SELECT t.table_name, c.constraint_name, c.check_clause
FROM information_schema.check_constraints c
JOIN information_schema.table_constraints t
  ON t.constraint_schema = c.constraint_schema
 AND t.constraint_name = c.constraint_name
WHERE c.constraint_schema = DATABASE()
"""}
_GENERATED = """
SELECT table_name, column_name, generation_expression
FROM information_schema.columns
WHERE table_schema = DATABASE() AND generation_expression <> ''
"""
_TABLES = """
SELECT table_name, engine, create_options FROM information_schema.tables
WHERE table_schema = DATABASE()
"""


def in_the_way(connection: sa.Connection,
               changed: revision_changes.Changes) -> Iterator[str]:
    """Yield one sentence for each object that blocks an upgrade."""
    columns = [column for column in changed.columns
               if column.table != 'user_credentials'
               or _is_converted(connection)]
    for name, table in connection.execute(sa.text(_TRIGGERS)).all():
        if table in changed.written:
            yield tables.on_rows(f'trigger {name}', table)
    yield from _views(connection, columns)
    yield from _foreign_keys(connection, columns)
    yield from _expressions(connection, columns)
    yield from _kinds_of_table(connection, changed)


def _views(connection: sa.Connection,
           columns: Sequence[revision_changes.Column]) -> Iterator[str]:
    gone = [column for column in columns if column.how in _GONE]
    for schema, name, text in connection.execute(sa.text(_VIEWS)).all():
        for column in gone:
            if (f'`{column.table}`' in (text or '')
                    and f'`{column.name}`' in (text or '')):
                yield tables.on_column(f'view {schema}.{name}', column)


def _foreign_keys(connection: sa.Connection,
                  columns: Sequence[revision_changes.Column]) -> Iterator[str]:
    changing = [column for column in columns
                if column.how is not revision_changes.How.WRITTEN]
    for (name, schema, table, column_name, other, other_column, ours,
         others_ours) in connection.execute(sa.text(_KEYS)).all():
        for column in changing:
            if ((ours and (table, column_name) == column[1:3])
                    or (others_ours and (other, other_column) == column[1:3])):
                yield tables.on_column(
                    f'foreign key {name} of table {schema}.{table}', column)


def _expressions(connection: sa.Connection,
                 columns: Sequence[revision_changes.Column]) -> Iterator[str]:
    is_mariadb = bool(getattr(connection.dialect, 'is_mariadb', False))
    for what, query in (('check constraint', _CHECKS[is_mariadb]),
                        ('generated column', _GENERATED)):
        for table, name, text in connection.execute(sa.text(query)).all():
            for column in columns:
                if table == column.table and tables.mentions(
                        text, column.name):
                    yield tables.on_column(
                        f'{what} {name} of table {table}', column)


def _kinds_of_table(connection: sa.Connection,
                    changed: revision_changes.Changes) -> Iterator[str]:
    for name, engine, options in connection.execute(sa.text(_TABLES)).all():
        if name not in changed.linked:
            continue
        if str(engine).lower() != 'innodb':
            yield (f'table {name} is of engine {engine}, and the upgrade '
                   'makes foreign keys that only InnoDB has. Convert it: '
                   f'ALTER TABLE {name} ENGINE=InnoDB')
        if 'partitioned' in str(options).lower():
            yield (f'table {name} has partitions, and the upgrade makes '
                   'foreign keys, which such a table cannot have. Remove '
                   f'them: ALTER TABLE {name} REMOVE PARTITIONING')


def _is_converted(connection: sa.Connection) -> bool:
    """Return whether the upgrade converts user_credentials.job_id."""
    return (ddl.collation('user_credentials', 'job_id', connection)
            != ddl.collation('jobs', 'id', connection))

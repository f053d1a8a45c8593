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

"""Objects that an operator has added to a SQLite database."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from freezer_api.db.admin.operator_objects import tables
from freezer_api.db.migrations import revision_changes

_GONE = (revision_changes.How.DROPPED, revision_changes.How.RENAMED)


def in_the_way(connection: sa.Connection,
               changed: revision_changes.Changes) -> Iterator[str]:
    """Yield one sentence for each object that blocks an upgrade."""
    for kind, name, table, text in connection.execute(sa.text(
            'SELECT type, name, tbl_name, sql FROM sqlite_master '
            "WHERE type <> 'table' AND sql IS NOT NULL ORDER BY 1, 2")).all():
        if kind == 'trigger' and table in changed.written:
            yield tables.on_rows(f'trigger {name}', table)
        for column in changed.of(*_GONE):
            if tables.mentions(text, column.table) and tables.mentions(
                    text, column.name):
                yield tables.on_column(f'{kind} {name}', column)
    yield from tables.checks(connection, changed)
    inspector = sa.inspect(connection)
    for table in inspector.get_table_names():
        yield from _foreign_keys(inspector, table, changed)
        definition = str(connection.scalar(sa.text(
            'SELECT sql FROM sqlite_master WHERE name = :name'),
            {'name': table}))
        for column in changed.of(revision_changes.How.DROPPED):
            if table != column.table:
                continue
            if any('computed' in one and tables.mentions(
                    one['computed']['sqltext'], column.name)
                    for one in inspector.get_columns(table)):
                yield tables.on_column(
                    f'a generated column of table {table}', column)
            if _in_a_check(definition, column.name):
                yield tables.on_column(
                    f'a check constraint of table {table}', column)


def _foreign_keys(inspector: sa.Inspector, table: str,
                  changed: revision_changes.Changes) -> Iterator[str]:
    for key in inspector.get_foreign_keys(table):
        for column in changed.of(*_GONE):
            own = (table == column.table
                   and column.name in key['constrained_columns'])
            if own or (key['referred_table'] == column.table
                       and column.name in key['referred_columns']):
                yield tables.on_column(
                    f'a foreign key of table {table}', column)


def _in_a_check(definition: str, name: str) -> bool:
    """Return whether a line names a column after the word CHECK."""
    return any(tables.mentions(line.upper().partition('CHECK')[2], name)
               for line in definition.splitlines())

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

"""Columns and indexes that an operator has added, and common messages."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
import re

import sqlalchemy as sa

from freezer_api.db.migrations import ddl
from freezer_api.db.migrations import revision_changes
from freezer_api.db import models

_ADVICE = 'Drop it before the upgrade, and make it again afterwards'

# Columns of earlier releases that were dropped or renamed.
_PUBLISHED = {('actions', 'mode'), ('actions', 'src_file'),
              ('backups', 'user_name'), ('jobs', 'job_actions')}


def on_column(what: str, column: revision_changes.Column) -> str:
    """Return the message about an object that uses a column.

    :param what: kind and name of the object
    """
    return (f'{what} uses {column.table}.{column.name}, and the upgrade '
            f'{column.how.value} this column. {_ADVICE}')


def on_rows(what: str, table: str) -> str:
    """Return the message about an object that acts when rows are written.

    :param what: kind and name of the object
    """
    return (f'{what} acts on {table}, and the upgrade writes rows of this '
            f'table. {_ADVICE}')


def mentions(text: str | None, name: str) -> bool:
    """Return whether a definition contains a name as a whole word."""
    return re.search(rf'(?<!\w){re.escape(name)}(?!\w)', text or '',
                     re.IGNORECASE) is not None


def lengths(connection: sa.Connection) -> dict[str, dict[str, int | None]]:
    """Return the columns of each existing table of Freezer.

    :returns: by table and column, the maximum length of its texts
    """
    inspector = sa.inspect(connection)
    present = set(inspector.get_table_names())
    return {table: {column['name']: getattr(column['type'], 'length', None)
                    for column in inspector.get_columns(table)}
            for table in models.Base.metadata.tables if table in present}


def in_the_way(connection: sa.Connection,
               changed: revision_changes.Changes) -> Iterator[str]:
    """Yield the messages that are the same on all database engines."""
    inspector = sa.inspect(connection)
    present = set(inspector.get_table_names())
    for table in sorted(present & models.Base.metadata.tables.keys()):
        yield from _columns(inspector, table)
        going = [one for one in changed.of(revision_changes.How.DROPPED)
                 if one.table == table]
        if going or table in changed.added:
            yield from _indexes(inspector, table, going,
                                table in changed.added)


def _columns(inspector: sa.Inspector, table: str) -> Iterator[str]:
    known = {*models.Base.metadata.tables[table].columns.keys(),
             *(name for of, name in _PUBLISHED if of == table)}
    for column in inspector.get_columns(table):
        if not (column['name'] in known or column['nullable']
                or column['default'] is not None or column.get('computed')
                or column.get('autoincrement') is True):
            yield (f'column {table}.{column["name"]} is not one of Freezer, '
                   'and no row can be added without a value for it. Give it '
                   'a default')


def _indexes(inspector: sa.Inspector, table: str,
             going: Sequence[revision_changes.Column],
             added: bool) -> Iterator[str]:
    """Yield the messages about indexes and unique constraints of a table.

    :param going: columns that the upgrade drops
    :param added: whether the upgrade adds rows
    """
    ours = {index.name for index in models.Base.metadata.tables[table].indexes}
    found = [(f'index {index["name"]}', bool(index['unique']),
              {*index['column_names'], *index.get('expressions', ())})
             for index in ddl.reflected(inspector.get_indexes, table)
             if index['name'] not in ours]
    found += [(f'unique constraint {constraint["name"]}', True,
               {*constraint['column_names']})
              for constraint in ddl.reflected(
                  inspector.get_unique_constraints, table)
              if not constraint.get('duplicates_index')]
    for what, unique, parts in found:
        for column in going:
            if any(mentions(part, column.name) for part in parts):
                yield on_column(what, column)
        if unique and added:
            yield on_rows(what, table)


def checks(connection: sa.Connection,
           changed: revision_changes.Changes) -> Iterator[str]:
    """Yield the messages about CHECK constraints of columns."""
    inspector = sa.inspect(connection)
    for column in changed.of(revision_changes.How.DROPPED,
                             revision_changes.How.RENAMED,
                             revision_changes.How.WRITTEN):
        for check in inspector.get_check_constraints(column.table):
            if mentions(check['sqltext'], column.name):
                yield on_column(f'check constraint {check["name"]}', column)

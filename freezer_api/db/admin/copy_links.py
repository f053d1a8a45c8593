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

"""Foreign keys of rows that are copied to another database.

A source can contain rows that violate its foreign keys: SQLite and the restore
of a dump do not check them. And for MySQL an ID is equal to one that differs
only in case, for other engines it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
from typing import Any

import sqlalchemy as sa

from freezer_api.db.admin import side_tables
from freezer_api.db.migrations import migration_quarantine

_CREDENTIALS = 'user_credentials'

Row = dict[str, Any]


@dataclasses.dataclass
class Sorted:
    """Rows of a table, sorted by whether they can be copied.

    :ivar whole: rows that fit the target
    :ivar aside: values and rows to keep aside
    :ivar orphaned: credentials of jobs that do not exist
    """

    whole: list[Row] = dataclasses.field(default_factory=list)
    aside: list[migration_quarantine.Value] = dataclasses.field(
        default_factory=list)
    orphaned: list[Row] = dataclasses.field(default_factory=list)


def sort(reader: sa.Connection, table: sa.Table,
         rows: Sequence[Row]) -> Sorted:
    """Sort rows by whether the rows that they refer to exist.

    A nullable reference to a missing row becomes NULL. A row whose reference
    is required is kept aside as a whole; a credential goes where an upgrade
    puts it.

    :param reader: connection to the source
    :param rows: rows of ``table``; references are changed in place
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    found = Sorted()
    targets = {key.parent.name: _present(
        reader, key.column, [row[key.parent.name] for row in rows])
        for key in table.foreign_keys}
    for row in rows:
        fits = True
        for column, present in sorted(targets.items()):
            value = row[column]
            if value is None:
                continue
            target = present.get(value) or present.get(_folded(value))
            if target is not None:
                row[column] = target
            elif table.c[column].nullable:
                found.aside.append(migration_quarantine.Value.of(
                    table.name, column, row['id'], [_reason(table, column)],
                    value))
                row[column] = None
            else:
                fits = False
                _set_aside(found, table, column, row)
                break
        if fits:
            found.whole.append(row)
    return found


def _set_aside(found: Sorted, table: sa.Table, column: str,
               row: Row) -> None:
    if table.name == _CREDENTIALS and column == 'job_id':
        found.orphaned.append({
            name: row[name] for name
            in side_tables.ORPHANED_CREDENTIALS.columns.keys()})
        return
    found.aside.append(migration_quarantine.Value.of(
        table.name, column, row['id'], [_reason(table, column)],
        json.dumps(row, default=str)))


def _reason(table: sa.Table, column: str) -> str:
    (key,) = table.c[column].foreign_keys
    return f'names no row of {key.column.table.name}'


def _present(reader: sa.Connection, target: sa.Column[Any],
             values: Sequence[str | None]) -> Mapping[str, str]:
    """Return the existing IDs; on MySQL also by their case-folded form."""
    wanted = sorted({value for value in values if value is not None})
    found = reader.scalars(
        sa.select(target).where(target.in_(wanted))).all() if wanted else []
    ids = {row_id: row_id for row_id in found}
    if reader.dialect.name in ('mysql', 'mariadb'):
        return {**{_folded(row_id): row_id for row_id in found}, **ids}
    return ids


def _folded(row_id: str) -> str:
    """Return the same key for all IDs that MySQL considers equal."""
    return f'\0{row_id.casefold()}'

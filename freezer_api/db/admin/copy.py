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

"""Copy a database to another server, which can be of another engine.

The raw content of the columns is copied. The tables of the target are created
first. Then one transaction copies all rows, so that the target has all of them
or none.

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

from freezer_api.db.admin import upgrade
from freezer_api.db import json_text
from freezer_api.db.migrations import batches
from freezer_api.db.migrations import migration_quarantine
from freezer_api.db import models

Row = dict[str, Any]


class Refused(upgrade.MigrationError):
    """A copy is not possible; the text gives the reason."""


def copy(source: str, target: str) -> dict[str, int]:
    """Copy a database while no program writes to it.

    A nullable reference to a missing row becomes NULL, and its value is kept
    aside. A row whose reference is required is kept aside as a whole; a
    credential goes where an upgrade puts it.

    :param source: URL of the database to copy
    :param target: URL of the empty database
    :returns: the number of copied rows, by table
    :raises Refused: if the source does not have the schema of this release,
        the target has rows, or a value does not fit it; then the target has
        no rows
    :raises freezer_api.db.admin.upgrade.MigrationError: as for an upgrade
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    if sa.make_url(source) == sa.make_url(target):
        raise Refused('source and target are the same database')
    if upgrade.current(source) != upgrade.head():
        raise Refused('the source is not at the revision of this release: '
                      'run freezer-manage db sync')
    upgrade.sync(target)
    with (upgrade.exclusive(source) as reader,
          upgrade.exclusive(target) as writer):
        own = models.Base.metadata.sorted_tables
        for table in (*migration_quarantine.present(writer), *own):
            if writer.execute(sa.select(sa.literal(1)).select_from(table)
                              .limit(1)).first() is not None:
                raise Refused('the target already has rows: use an empty '
                              'database')
        # On MySQL, creating a table later would commit the transaction.
        for table in migration_quarantine.ALL:
            table.create(writer, checkfirst=True)
        # First the values that were kept aside, because more may be added.
        tables = (*migration_quarantine.present(reader), *own)
        done = {table.name: _copy_table(reader, writer, table)
                for table in tables}
        aside = {table: writer.scalar(
            sa.select(sa.func.count()).select_from(table)) or 0
            for table in migration_quarantine.ALL}
        for table, number in aside.items():
            if number:
                done[table.name] = number
            else:
                table.drop(writer)
        if writer.dialect.name != 'sqlite':
            writer.commit()
        return done


def _copy_table(reader: sa.Connection, writer: sa.Connection,
                table: sa.Table) -> int:
    raw = sa.table(table.name, *(
        sa.column(column.name, sa.Text() if isinstance(
            column.type, json_text.JSONText) else column.type)
        for column in table.columns))
    total = 0
    for rows in batches.by_key(reader, sa.select(raw), [
            raw.c[name] for name in table.primary_key.columns.keys()]):
        first = next(iter(rows[0]._mapping.values()))
        try:
            found = _sort(reader, table, [
                {name: _text(value, raw.c[name].type)
                 for name, value in row._mapping.items()} for row in rows])
            if found.whole:
                writer.execute(raw.insert(), found.whole)
            if found.aside:
                migration_quarantine.keep(found.aside, writer)
            if found.orphaned:
                writer.execute(
                    migration_quarantine.ORPHANED_CREDENTIALS.insert(),
                    found.orphaned)
        except (sa.exc.DataError, UnicodeError):
            raise Refused(
                f'a value in {table.name}, in or after row {first}, does not '
                'fit the target') from None
        except sa.exc.IntegrityError:
            raise Refused(
                f'two keys in {table.name}, in or after row {first}, are '
                'equal in the target') from None
        total += len(found.whole)
    return total


def _text(value: Any, kind: sa.types.TypeEngine[Any]) -> Any:
    """Decode a text that SQLite stores as bytes.

    :raises UnicodeDecodeError: if the bytes are not UTF-8
    """
    if isinstance(value, bytes) and not isinstance(kind, sa.LargeBinary):
        return value.decode()
    return value


@dataclasses.dataclass
class _Sorted:
    """Rows of a table, sorted by whether they can be copied.

    :ivar whole: rows that fit the target
    :ivar aside: values and rows to keep aside
    :ivar orphaned: credentials of jobs that do not exist
    """

    whole: list[Row] = dataclasses.field(default_factory=list)
    aside: list[migration_quarantine.Value] = dataclasses.field(
        default_factory=list)
    orphaned: list[Row] = dataclasses.field(default_factory=list)


def _sort(reader: sa.Connection, table: sa.Table,
          rows: Sequence[Row]) -> _Sorted:
    """Sort rows by whether the rows that they refer to exist.

    :param rows: rows of ``table``; references are changed in place
    """
    found = _Sorted()
    targets = {key.parent.name: (key.column, _existing(
        reader, key.column, [row[key.parent.name] for row in rows]))
        for key in table.foreign_keys}
    for row in rows:
        for column, (target, existing) in sorted(targets.items()):
            value = row[column]
            if value is None:
                continue
            row_id = existing.get(value) or existing.get(_folded(value))
            if row_id is None:
                nullable = table.c[column].nullable
                if table.name == 'user_credentials' and not nullable:
                    found.orphaned.append({
                        name: row[name] for name in migration_quarantine
                        .ORPHANED_CREDENTIALS.c.keys()})
                    break
                found.aside.append(migration_quarantine.Value.of(
                    table.name, column, row['id'],
                    [f'names no row of {target.table.name}'],
                    value if nullable else json.dumps(row, default=str)))
                if not nullable:
                    break
            row[column] = row_id
        else:
            found.whole.append(row)
    return found


def _existing(reader: sa.Connection, target: sa.Column[Any],
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

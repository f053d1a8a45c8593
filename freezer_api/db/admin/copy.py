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
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from freezer_api.db.admin import copy_links
from freezer_api.db.admin import side_tables
from freezer_api.db.admin import upgrade
from freezer_api.db import json_text
from freezer_api.db.migrations import migration_quarantine
from freezer_api.db import models

_BATCH = 500


class Refused(Exception):
    """A copy is not possible; the text gives the reason."""


def copy(source: str, target: str) -> dict[str, int]:
    """Copy a database while no program writes to it.

    A row that refers to a missing row is kept aside in the target; see
    :mod:`freezer_api.db.admin.copy_links`.

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
        # First the values that were kept aside, because more may be added.
        tables = [*side_tables.present(reader),
                  *models.Base.metadata.sorted_tables]
        for table in tables:
            side_tables.ensure(writer, table)
            if writer.execute(sa.select(sa.literal(1)).select_from(table)
                              .limit(1)).first() is not None:
                raise Refused('the target already has rows: use an empty '
                              'database')
        # On MySQL, creating a table later would commit the transaction.
        for table in side_tables.ALL:
            side_tables.ensure(writer, table)
        done = {table.name: _copy_table(reader, writer, table)
                for table in tables}
        aside = {table: writer.scalar(
            sa.select(sa.func.count()).select_from(table)) or 0
            for table in side_tables.ALL}
        if writer.dialect.name != 'sqlite':
            writer.commit()
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
    for rows in _batches(reader, raw, list(table.primary_key.columns.keys())):
        first = next(iter(rows[0]._mapping.values()))
        try:
            sorted_rows = copy_links.sort(reader, table, [
                {name: _text(value, raw.c[name].type)
                 for name, value in row._mapping.items()} for row in rows])
            if sorted_rows.whole:
                writer.execute(raw.insert(), sorted_rows.whole)
            _store_aside(writer, sorted_rows)
        except (sa.exc.DataError, UnicodeError):
            raise Refused(
                f'a value in {table.name}, in or after row {first}, does not '
                'fit the target') from None
        except sa.exc.IntegrityError:
            raise Refused(
                f'two keys in {table.name}, in or after row {first}, are '
                'equal in the target') from None
        total += len(sorted_rows.whole)
    return total


def _batches(reader: sa.Connection, table: sa.TableClause, keys: list[str],
             ) -> Iterator[Sequence[sa.Row[Any]]]:
    """Yield rows in the order of their primary key.

    Other queries are possible between two batches.
    """
    key = sa.tuple_(*(table.c[name] for name in keys))
    last: tuple[Any, ...] | None = None
    while True:
        query = sa.select(table).order_by(
            *(table.c[name] for name in keys)).limit(_BATCH)
        if last is not None:
            query = query.where(
                table.c[keys[0]] > last[0] if len(keys) == 1
                else key > sa.tuple_(*last))
        rows = reader.execute(query).all()
        if not rows:
            return
        yield rows
        last = tuple(rows[-1]._mapping[name] for name in keys)


def _store_aside(writer: sa.Connection, rows: copy_links.Sorted) -> None:
    """Store the values that are kept aside, in the same transaction."""
    if rows.aside:
        migration_quarantine.keep(rows.aside, writer)
    if rows.orphaned:
        writer.execute(side_tables.ORPHANED_CREDENTIALS.insert(),
                       rows.orphaned)


def _text(value: Any, kind: sa.types.TypeEngine[Any]) -> Any:
    """Decode a text that SQLite stores as bytes.

    :raises UnicodeDecodeError: if the bytes are not UTF-8
    """
    if isinstance(value, bytes) and not isinstance(kind, sa.LargeBinary):
        return value.decode()
    return value

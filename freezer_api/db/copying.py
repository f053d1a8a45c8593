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

"""A database copied to another server, of another engine perhaps.

What is copied is what the columns hold, and not what the API makes of it. The
target is made first; then all rows go over in one transaction, so that it has
all of them or none.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from freezer_api.db import json_text
from freezer_api.db import migration
from freezer_api.db import models
from freezer_api.db import side_tables

_BATCH = 500


class Refused(Exception):
    """A copy cannot be made; the text says why."""


def copy(source: str, target: str) -> dict[str, int]:
    """Copy a database that nobody writes to.

    :returns: how many rows went over, by table
    :raises Refused: when the source is not at this release, the target has
        rows, or a value does not fit it; the target has no rows then
    :raises freezer_api.db.migration.MigrationError: as for an upgrade
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    if sa.make_url(source) == sa.make_url(target):
        raise Refused('both databases are the same')
    if migration.current(source) != migration.head():
        raise Refused('the database to copy from is not at the revision of '
                      'this release: run freezer-manage db sync')
    migration.sync(target)
    with (migration.exclusive(source) as reader,
          migration.exclusive(target) as writer):
        tables = [*models.Base.metadata.sorted_tables,
                  *side_tables.present(reader)]
        for table in tables:
            side_tables.ensure(writer, table)
            if writer.execute(sa.select(sa.literal(1)).select_from(table)
                              .limit(1)).first() is not None:
                raise Refused('the database to copy to has rows already: '
                              'name an empty one')
        done = {table.name: _copy_table(reader, writer, table)
                for table in tables}
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
    found = reader.execution_options(yield_per=_BATCH).execute(sa.select(raw))
    for rows in found.partitions():
        first = rows[0]._mapping[next(iter(table.primary_key)).name]
        try:
            writer.execute(raw.insert(), [
                {name: _text(value, raw.c[name].type)
                 for name, value in row._mapping.items()} for row in rows])
        except (sa.exc.DataError, UnicodeError):
            raise Refused(
                f'a value in {table.name}, from row {first} '
                'on, does not fit the other database') from None
        total += len(rows)
    return total


def _text(value: Any, kind: sa.types.TypeEngine[Any]) -> Any:
    """What SQLite holds as bytes where text belongs, as text.

    :raises UnicodeDecodeError: for bytes that are none
    """
    if isinstance(value, bytes) and not isinstance(kind, sa.LargeBinary):
        return value.decode()
    return value

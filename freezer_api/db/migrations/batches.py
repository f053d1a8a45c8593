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

"""Steps over tables of any size, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

from alembic import op
import sqlalchemy as sa

from freezer_api.db.migrations import ddl

SIZE = 500

Rows = Sequence[sa.Row[Any]]


def by_key(bind: sa.Connection, query: sa.Select[Any],
           keys: Sequence[sa.ColumnElement[Any]]) -> Iterator[Rows]:
    """Yield the rows of a query in batches, in the order of their keys.

    The rows may be changed between two batches.

    :param keys: columns of the query that identify a row
    """
    last = None
    while True:
        batch = query if last is None else query.where(
            sa.tuple_(*keys) > last)
        rows = bind.execute(batch.order_by(*keys).limit(SIZE)).all()
        if not rows:
            return
        last = tuple(rows[-1]._mapping[key] for key in keys)
        yield rows


def by_id(bind: sa.Connection, table: sa.TableClause,
          columns: Sequence[sa.ColumnElement[Any]],
          where: sa.ColumnElement[bool]) -> Iterator[Rows]:
    """Yield batches of rows, ``id`` first, as :func:`by_key` does."""
    return by_key(bind, sa.select(table.c.id, *columns).where(where),
                  [table.c.id])


def cells(bind: sa.Connection, table: sa.TableClause, name: str,
          *columns: str) -> Iterator[Rows]:
    """Yield batches of rows with a text cell that is not NULL.

    SQLite stores any bytes in a TEXT column, and its driver fails if they are
    not UTF-8. So there the cell is read as a BLOB.

    :param name: column of the cell, which is ``cell`` in the rows
    :param columns: further columns to read
    """
    column = table.c[name]
    return by_id(bind, table, [raw(column, bind).label('cell'), *(
        table.c[other] for other in columns)], column.is_not(None))


def raw(column: sa.ColumnElement[Any], bind: sa.Connection
        ) -> sa.ColumnElement[Any]:
    """Return a text column as :func:`cells` reads it."""
    if bind.dialect.name == 'sqlite':
        return sa.cast(column, sa.LargeBinary)
    return column


def commit(bind: sa.Connection) -> None:
    """Commit the work so far, which also releases its locks.

    If the upgrade is killed, the next one continues after the last batch. On
    SQLite the upgrade stays one transaction.
    """
    if ddl.is_mysql(bind):
        bind.exec_driver_sql('COMMIT')
    elif bind.dialect.name == 'postgresql':
        with op.get_context().autocommit_block():
            pass  # Entering it commits, and leaving it begins anew.

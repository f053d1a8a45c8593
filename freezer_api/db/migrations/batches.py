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

"""Data steps over tables of any size, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

from alembic import op
import sqlalchemy as sa

from freezer_api.db.migrations import ddl

SIZE = 500


def raw(column: sa.ColumnElement[Any], bind: sa.Connection
        ) -> sa.ColumnElement[Any]:
    """A text cell as it is stored.

    SQLite keeps whatever bytes it is given in a TEXT column, and its driver
    fails on those that are not UTF-8; as a BLOB they can be read.
    """
    if bind.dialect.name == 'sqlite':
        return sa.cast(column, sa.LargeBinary)
    return column


def by_id(bind: sa.Connection, table: sa.TableClause,
          columns: Sequence[sa.ColumnElement[Any]],
          where: sa.ColumnElement[bool],
          ) -> Iterator[Sequence[sa.Row[Any]]]:
    """Yield batches of rows, ``id`` first, in the order of the id.

    The rows may be changed while the iteration goes on.
    """
    last = None
    while True:
        query = (sa.select(table.c.id, *columns).where(where)
                 .order_by(table.c.id).limit(SIZE))
        if last is not None:
            query = query.where(table.c.id > last)
        rows = bind.execute(query).all()
        if not rows:
            return
        last = rows[-1][0]
        yield rows


def commit(bind: sa.Connection) -> None:
    """Make what was done last, and let go of its locks.

    An upgrade that is killed then goes on after the last batch. On SQLite
    the upgrade stays one transaction.
    """
    if ddl.is_mysql(bind):
        bind.exec_driver_sql('COMMIT')
    elif bind.dialect.name == 'postgresql':
        with op.get_context().autocommit_block():
            pass  # Entering it commits, and leaving it begins anew.

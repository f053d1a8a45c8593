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

"""The side table for what an upgrade cannot put into the new schema.

It exists only in databases where there was something to keep.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from freezer_api.db.migrations import batches
from freezer_api.db.migrations import ddl

NAME = 'kept_values'

_metadata = sa.MetaData()


def _text(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(
        mysql.VARCHAR(length, charset='utf8mb4', collation='utf8mb4_bin'),
        'mysql', 'mariadb')


# One row per cell: value is its text as UTF-8, or its bytes where they are no
# text; reason says what became of it.
TABLE = sa.Table(
    NAME, _metadata,
    sa.Column('table_name', _text(64), primary_key=True),
    sa.Column('column_name', _text(64), primary_key=True),
    sa.Column('row_id', _text(255), primary_key=True),
    sa.Column('reason', _text(255), nullable=False),
    sa.Column('value', sa.LargeBinary(2 ** 24 - 1)),
    mysql_engine='InnoDB', mysql_row_format='DYNAMIC',
)


@dataclasses.dataclass(frozen=True)
class Value:
    """A cell as it was."""

    table_name: str
    column_name: str
    row_id: str
    reason: str
    value: bytes

    @classmethod
    def of(cls, table_name: str, column_name: str, row_id: str,
           reasons: Sequence[str], value: str | bytes) -> Value:
        if isinstance(value, str):
            value = value.encode('utf-8', 'surrogatepass')
        reason = '; '.join(dict.fromkeys(reasons))
        return cls(table_name, column_name, row_id, reason[:255], value)


def ensure_table() -> None:
    if not ddl.has_table(NAME):
        TABLE.create(op.get_bind())


def keep(values: Sequence[Value], bind: sa.Connection | None = None) -> None:
    """Store values, in place of older ones of the same cells.

    The table must be there: creating it would commit a batch on MySQL.

    :param bind: None inside of a revision
    """
    if bind is None:
        bind = op.get_bind()
    cells: dict[tuple[str, str], list[str]] = {}
    for value in values:
        cells.setdefault((value.table_name, value.column_name),
                         []).append(value.row_id)
    for (table_name, column_name), row_ids in cells.items():
        bind.execute(TABLE.delete().where(
            TABLE.c.table_name == table_name,
            TABLE.c.column_name == column_name,
            TABLE.c.row_id.in_(row_ids)))
    if values:
        bind.execute(TABLE.insert(),
                     [dataclasses.asdict(value) for value in values])


def keep_column(table: str, column: str, reason: str) -> None:
    """Store each cell of a column that is not empty."""
    bind = op.get_bind()
    source = sa.table(table, sa.column('id', sa.String),
                      sa.column(column, sa.String))
    cell = source.c[column]
    value: sa.ColumnElement[bytes]
    if ddl.is_mysql(bind):
        value = sa.literal_column(f'CONVERT({column} USING utf8mb4)',
                                  sa.LargeBinary)
    elif bind.dialect.name == 'postgresql':
        value = sa.func.convert_to(cell, 'UTF8')
    else:
        value = sa.cast(cell, sa.LargeBinary)
    for rows in batches.by_id(bind, source, [],
                              sa.and_(cell.is_not(None), cell != '')):
        ids = [row.id for row in rows]
        ensure_table()
        bind.execute(TABLE.delete().where(
            TABLE.c.table_name == table, TABLE.c.column_name == column,
            TABLE.c.row_id.in_(ids)))
        bind.execute(TABLE.insert().from_select(
            ['table_name', 'column_name', 'row_id', 'reason', 'value'],
            sa.select(sa.literal(table), sa.literal(column), source.c.id,
                      sa.literal(reason), value).where(
                          source.c.id.in_(ids))))
        batches.commit(bind)

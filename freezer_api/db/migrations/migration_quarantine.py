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

"""Tables for data that an upgrade cannot put into the new schema.

``kept_values`` holds values that do not fit, ``orphaned_user_credentials`` the
trusts of jobs that do not exist. No model describes these tables, and they
exist only in databases that need them.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
from typing import Any

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy import orm

from freezer_api.db.migrations import batches
from freezer_api.db.migrations import ddl

_metadata = sa.MetaData()


def _text(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(
        mysql.VARCHAR(length, charset='utf8mb4', collation='utf8mb4_bin'),
        'mysql', 'mariadb')


# One row for each cell: its text as UTF-8, or its bytes if they are not text.
KEPT_VALUES = sa.Table(
    'kept_values', _metadata,
    sa.Column('table_name', _text(64), primary_key=True),
    sa.Column('column_name', _text(64), primary_key=True),
    sa.Column('row_id', _text(255), primary_key=True),
    sa.Column('reason', _text(255), nullable=False),
    sa.Column('value', sa.LargeBinary(2 ** 24 - 1)),
    mysql_engine='InnoDB', mysql_row_format='DYNAMIC',
)


def orphaned_columns() -> list[sa.Column[Any]]:
    """Return the own columns of table ``orphaned_user_credentials``."""
    return [sa.Column('id', sa.String(36), primary_key=True),
            sa.Column('trust_id', sa.String(255), nullable=False),
            sa.Column('trustor_user_id', sa.String(64), nullable=False),
            sa.Column('job_id', sa.String(36), nullable=False),
            sa.Column('decrypt_method', sa.String(64))]


ORPHANED_CREDENTIALS = sa.Table(
    'orphaned_user_credentials', _metadata, *ddl.common_columns(),
    *orphaned_columns())

ALL = (KEPT_VALUES, ORPHANED_CREDENTIALS)


def present(connection: sa.Connection) -> list[sa.Table]:
    """Return those of the tables that exist."""
    names = set(sa.inspect(connection).get_table_names())
    return [table for table in ALL if table.name in names]


@dataclasses.dataclass(frozen=True)
class Value:
    """A cell as it was before the upgrade."""

    table_name: str
    column_name: str
    row_id: str
    reason: str
    value: bytes

    @classmethod
    def of(cls, table_name: str, column_name: str, row_id: str,
           reasons: Sequence[str], value: str | bytes) -> Value:
        """Return the value of a cell with all reasons to keep it."""
        if isinstance(value, str):
            value = value.encode('utf-8', 'surrogatepass')
        reason = '; '.join(dict.fromkeys(reasons))
        return cls(table_name, column_name, row_id, reason[:255], value)


def ensure_table(bind: sa.Connection | None = None) -> None:
    """Create table ``kept_values``, unless it exists.

    :param bind: None inside of a revision
    """
    KEPT_VALUES.create(bind or op.get_bind(), checkfirst=True)


def keep(values: Sequence[Value], bind: sa.Connection | None = None) -> None:
    """Store values; they replace earlier ones of the same cells.

    The table must exist: creating it would commit a batch on MySQL.

    :param bind: None inside of a revision
    """
    bind = bind or op.get_bind()
    cells: dict[tuple[str, str], list[str]] = {}
    for value in values:
        cells.setdefault((value.table_name, value.column_name),
                         []).append(value.row_id)
    for (table_name, column_name), row_ids in cells.items():
        _forget(bind, row_ids, KEPT_VALUES.c.table_name == table_name,
                KEPT_VALUES.c.column_name == column_name)
    if values:
        bind.execute(KEPT_VALUES.insert(),
                     [dataclasses.asdict(value) for value in values])


def _forget(bind: sa.Connection | orm.Session, row_ids: Sequence[str],
            *where: sa.ColumnElement[bool]) -> None:
    bind.execute(KEPT_VALUES.delete().where(
        KEPT_VALUES.c.row_id.in_(row_ids), *where))


def forget(session: orm.Session, table_name: str,
           row_ids: Sequence[str]) -> None:
    """Remove the kept values of purged rows."""
    if KEPT_VALUES in present(session.connection()):
        _forget(session, row_ids, KEPT_VALUES.c.table_name == table_name)


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
        _forget(bind, ids, KEPT_VALUES.c.table_name == table,
                KEPT_VALUES.c.column_name == column)
        bind.execute(KEPT_VALUES.insert().from_select(
            ['table_name', 'column_name', 'row_id', 'reason', 'value'],
            sa.select(sa.literal(table), sa.literal(column), source.c.id,
                      sa.literal(reason), value).where(
                          source.c.id.in_(ids))))
        batches.commit(bind)

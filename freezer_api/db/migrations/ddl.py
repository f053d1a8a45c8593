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

"""DDL that does nothing where its work is done already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
import warnings

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from freezer_api.db.migrations import sqlite_tables


def common_columns() -> list[sa.Column[Any]]:
    """The four columns that each published table has."""
    return [
        sa.Column('created_at', sa.DateTime),
        sa.Column('updated_at', sa.DateTime),
        sa.Column('deleted_at', sa.DateTime),
        sa.Column('deleted', sa.Boolean),
    ]


def is_mysql(bind: sa.Connection) -> bool:
    return bind.dialect.name in ('mysql', 'mariadb')


def has_table(name: str) -> bool:
    return bool(sa.inspect(op.get_bind()).has_table(name))


def column_types(table: str) -> dict[str, Any]:
    """Name -> type of each column that ``table`` has now."""
    return {column['name']: column['type']
            for column in sa.inspect(op.get_bind()).get_columns(table)}


def has_column(table: str, name: str) -> bool:
    return name in column_types(table)


def create_table(name: str, *items: Any) -> None:
    if not has_table(name):
        op.create_table(name, *items, mysql_engine='InnoDB', **_like_jobs())


def _like_jobs() -> dict[str, Any]:
    """Return the options of a table whose texts are compared with jobs'.

    The database may have another default by now.
    """
    if not is_mysql(op.get_bind()) or not has_table('jobs'):
        return {}
    charset, name = collation('jobs', 'id') or ('', '')
    return {'mysql_default_charset': charset, 'mysql_collate': name}


def add_column(table: str, column: sa.Column[Any]) -> None:
    if not has_column(table, column.name):
        op.add_column(table, column)


def drop_column(table: str, name: str) -> None:
    if has_column(table, name):
        op.drop_column(table, name)


def rename_column(table: str, old: str, new: str) -> None:
    """Rename a VARCHAR(255) NULL column."""
    present = column_types(table)
    if old in present and new not in present:
        op.alter_column(table, old, new_column_name=new,
                        existing_type=sa.String(255), existing_nullable=True)


def create_index(name: str, table: str, columns: Sequence[str]) -> None:
    bind = op.get_bind()
    if name in {index['name'] for index in indexes(sa.inspect(bind), table)}:
        return
    _allow_long_keys(bind, table)
    op.create_index(name, table, list(columns))


def indexes(inspector: sa.Inspector, table: str) -> list[Any]:
    """Return the indexes of a table, but on SQLite those of expressions."""
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Skipped unsupported reflection')
        return list(inspector.get_indexes(table))


def unique_constraints(inspector: sa.Inspector, table: str) -> list[Any]:
    """Return the unique constraints of a table."""
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Skipped unsupported reflection')
        return list(inspector.get_unique_constraints(table))


def _allow_long_keys(bind: sa.Connection, table: str) -> None:
    """Tables of old servers have a row format with keys of 767 bytes."""
    if not is_mysql(bind):
        return
    row_format = bind.execute(sa.text(
        'SELECT row_format FROM information_schema.tables '
        'WHERE table_schema = DATABASE() AND table_name = :name'),
        {'name': table}).scalar_one()
    if row_format in ('Compact', 'Redundant'):
        quoted = bind.dialect.identifier_preparer.quote(table)
        op.execute(f'ALTER TABLE {quoted} ROW_FORMAT=DYNAMIC')


def collation(table: str, column: str) -> tuple[str, str] | None:
    """Return (character set, collation) of a text column of MySQL."""
    return collation_of(op.get_bind(), table, column)


def collation_of(bind: sa.Connection, table: str,
                 column: str) -> tuple[str, str] | None:
    """Return what :func:`collation` returns, outside of a revision."""
    if not is_mysql(bind):
        return None
    found = bind.execute(sa.text(
        'SELECT character_set_name, collation_name '
        'FROM information_schema.columns '
        'WHERE table_schema = DATABASE() AND table_name = :t '
        'AND column_name = :c'), {'t': table, 'c': column}).one()
    return found[0], found[1]


def reference_type(table: str, column: str,
                   length: int = 36) -> sa.types.TypeEngine[Any]:
    """The type of a column that shall refer to ``table.column``.

    MySQL refuses a foreign key between character sets, and tables of old
    deployments are utf8 in databases that create utf8mb4 ones by now.
    """
    like = collation(table, column)
    if like is None:
        return sa.String(length)
    return mysql.VARCHAR(length, charset=like[0], collation=like[1])


def match_collation(table: str, column: str, referred_table: str,
                    referred_column: str) -> None:
    """Give a VARCHAR(36) NOT NULL column the collation of what it names."""
    wanted = collation(referred_table, referred_column)
    if wanted != collation(table, column):
        op.alter_column(
            table, column, existing_nullable=False,
            type_=reference_type(referred_table, referred_column))


def missing_foreign_keys(table: str,
                         wanted: Sequence[tuple[str, str]]
                         ) -> list[tuple[str, str]]:
    """Which (column, referred table) of ``wanted`` have no foreign key."""
    present = {(key['constrained_columns'][0], key['referred_table'])
               for key in sa.inspect(op.get_bind()).get_foreign_keys(table)}
    return [pair for pair in wanted if pair not in present]


def create_foreign_keys(table: str,
                        wanted: Sequence[tuple[str, str]]) -> None:
    """Make ``column`` of ``table`` refer to the id of each referred table.

    They are named fk_<table>_<column>.
    """
    bind = op.get_bind()
    for column, referred in missing_foreign_keys(table, wanted):
        name = f'fk_{table}_{column}'
        if bind.dialect.name == 'sqlite':
            sqlite_tables.add_constraint(
                bind, table, f'CONSTRAINT {name} FOREIGN KEY({column}) '
                             f'REFERENCES {referred} (id)')
        else:
            op.create_foreign_key(name, table, referred, [column], ['id'])


def lengthen(table: str, column: str, length: int) -> None:
    """Let a VARCHAR NOT NULL column hold longer texts."""
    bind = op.get_bind()
    present = column_types(table)[column]
    if present.length >= length:
        return
    if bind.dialect.name == 'sqlite':
        sqlite_tables.lengthen(bind, table, column, length)
    else:
        op.alter_column(table, column, type_=_as_long(present, length),
                        existing_type=present, existing_nullable=False)


def _as_long(present: Any, length: int) -> sa.types.TypeEngine[Any]:
    """Return the type of a column, of another length.

    A MySQL column keeps its collation, which may not be its table's.
    """
    if isinstance(present, mysql.VARCHAR):
        return mysql.VARCHAR(length, charset=present.charset,
                             collation=present.collation)
    return sa.String(length)

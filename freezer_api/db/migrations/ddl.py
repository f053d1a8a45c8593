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

"""DDL that does nothing if its work is done already."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
import warnings

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from freezer_api.db.migrations import sqlite_tables


def common_columns() -> list[sa.Column[Any]]:
    """Return the four columns that each table has."""
    return [
        sa.Column('created_at', sa.DateTime),
        sa.Column('updated_at', sa.DateTime),
        sa.Column('deleted_at', sa.DateTime),
        sa.Column('deleted', sa.Boolean),
    ]


def is_mysql(bind: sa.Connection) -> bool:
    """Return whether a server is MySQL or MariaDB."""
    return bind.dialect.name in ('mysql', 'mariadb')


def has_table(name: str) -> bool:
    """Return whether a table exists."""
    return bool(sa.inspect(op.get_bind()).has_table(name))


def column_types(table: str) -> dict[str, Any]:
    """Return the type of each existing column of a table, by name."""
    return {column['name']: column['type']
            for column in sa.inspect(op.get_bind()).get_columns(table)}


def has_column(table: str, name: str) -> bool:
    """Return whether a table has a column."""
    return name in column_types(table)


def create_table(name: str, *items: Any) -> None:
    """Create a table, unless it exists.

    :param items: its columns and constraints, without the four columns that
        each table has
    """
    if has_table(name):
        return
    options: dict[str, Any] = {}
    if (like := collation('jobs', 'id')) is not None:
        # Its texts are compared with those of jobs, and the database can
        # have another default by now.
        options = {'mysql_default_charset': like[0], 'mysql_collate': like[1]}
    op.create_table(name, *common_columns(), *items, mysql_engine='InnoDB',
                    **options)


def add_column(table: str, column: sa.Column[Any]) -> None:
    """Add a column, unless it exists."""
    if not has_column(table, column.name):
        op.add_column(table, column)


def drop_column(table: str, name: str) -> None:
    """Drop a column if it exists."""
    if has_column(table, name):
        op.drop_column(table, name)


def rename_column(table: str, old: str, new: str) -> None:
    """Rename a VARCHAR(255) NULL column if it has the old name."""
    present = column_types(table)
    if old in present and new not in present:
        op.alter_column(table, old, new_column_name=new,
                        existing_type=sa.String(255), existing_nullable=True)


def create_index(name: str, table: str, columns: Sequence[str]) -> None:
    """Create an index, unless it exists."""
    bind = op.get_bind()
    if name in {index['name'] for index
                in reflected(sa.inspect(bind).get_indexes, table)}:
        return
    if is_mysql(bind):
        # Tables of old servers have a row format with keys of 767 bytes.
        row_format = bind.execute(sa.text(
            'SELECT row_format FROM information_schema.tables '
            'WHERE table_schema = DATABASE() AND table_name = :name'),
            {'name': table}).scalar_one()
        if row_format in ('Compact', 'Redundant'):
            quoted = bind.dialect.identifier_preparer.quote(table)
            op.execute(f'ALTER TABLE {quoted} ROW_FORMAT=DYNAMIC')
    op.create_index(name, table, list(columns))


def reflected(read: Callable[[str], Sequence[Any]], table: str) -> list[Any]:
    """Return the indexes or unique constraints of a table.

    On SQLite those of expressions are missing, without a warning.

    :param read: method of an inspector
    """
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Skipped unsupported reflection')
        return list(read(table))


def collation(table: str, column: str, bind: sa.Connection | None = None,
              ) -> tuple[str, str] | None:
    """Return character set and collation of a text column of MySQL.

    :param bind: None inside of a revision
    :returns: None on other engines, and for a missing column
    """
    bind = bind or op.get_bind()
    if not is_mysql(bind):
        return None
    found = bind.execute(sa.text(
        'SELECT character_set_name, collation_name '
        'FROM information_schema.columns '
        'WHERE table_schema = DATABASE() AND table_name = :t '
        'AND column_name = :c'), {'t': table, 'c': column}).first()
    return None if found is None else (found[0], found[1])


def reference_type(table: str, column: str,
                   length: int = 36) -> sa.types.TypeEngine[Any]:
    """Return the type of a column that refers to ``table.column``.

    MySQL refuses a foreign key between character sets. In old deployments,
    tables are utf8, and the database creates new ones as utf8mb4.
    """
    like = collation(table, column)
    if like is None:
        return sa.String(length)
    return mysql.VARCHAR(length, charset=like[0], collation=like[1])


def match_collation(table: str, column: str, referred_table: str,
                    referred_column: str) -> None:
    """Give a VARCHAR(36) NOT NULL column the collation of another one."""
    wanted = collation(referred_table, referred_column)
    if wanted != collation(table, column):
        op.alter_column(
            table, column, existing_nullable=False,
            type_=reference_type(referred_table, referred_column))


def create_foreign_key(table: str, column: str, referred: str) -> None:
    """Create a foreign key to the ID of a table, unless there is one.

    Its name is fk_<table>_<column>.
    """
    bind = op.get_bind()
    if (column, referred) in {
            (key['constrained_columns'][0], key['referred_table'])
            for key in sa.inspect(bind).get_foreign_keys(table)}:
        return
    name = f'fk_{table}_{column}'
    if bind.dialect.name == 'sqlite':
        sqlite_tables.add_constraint(
            bind, table, f'CONSTRAINT {name} FOREIGN KEY({column}) '
                         f'REFERENCES {referred} (id)')
    else:
        op.create_foreign_key(name, table, referred, [column], ['id'])


def lengthen(table: str, column: str, length: int) -> None:
    """Make a VARCHAR NOT NULL column at least so many characters long."""
    bind = op.get_bind()
    present = column_types(table)[column]
    if present.length >= length:
        return
    if bind.dialect.name == 'sqlite':
        sqlite_tables.lengthen(bind, table, column, length)
        return
    wanted: sa.types.TypeEngine[Any] = sa.String(length)
    if isinstance(present, mysql.VARCHAR):
        # The column keeps its collation, which may not be its table's.
        wanted = mysql.VARCHAR(length, charset=present.charset,
                               collation=present.collation)
    op.alter_column(table, column, type_=wanted, existing_type=present,
                    existing_nullable=False)

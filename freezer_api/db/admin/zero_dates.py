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

"""Invalid dates, such as ``0000-00-00 00:00:00``.

A MySQL server stores them if its ``sql_mode`` allows it. An upgrade, which
uses a strict mode, could neither copy them nor rebuild their table. They
become NULL, and their old values are kept aside.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from freezer_api.db.migrations import batches
from freezer_api.db.migrations import migration_quarantine
from freezer_api.db import models
from freezer_api.db import transactions

REASON = 'no date'


def _columns(connection: sa.Connection
             ) -> Iterator[tuple[sa.TableClause, sa.ColumnElement[object]]]:
    """Yield the existing date columns, with their tables."""
    if connection.dialect.name not in ('mysql', 'mariadb'):
        return
    inspector = sa.inspect(connection)
    for name in inspector.get_table_names():
        for column in inspector.get_columns(name):
            if (name in models.Base.metadata.tables
                    and isinstance(column['type'], sa.DateTime)):
                table = sa.table(name, sa.column('id'),
                                 sa.column(column['name']))
                yield table, table.c[column['name']]


def _is_none(column: sa.ColumnElement[object]) -> sa.ColumnElement[bool]:
    return sa.or_(sa.func.dayofmonth(column) == 0,
                  sa.func.month(column) == 0)


def counts(connection: sa.Connection) -> dict[str, int]:
    """Return the number of invalid dates, by ``table.column``.

    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    found = {f'{table.name}.{column.name}': connection.scalar(
        sa.select(sa.func.count()).select_from(table).where(
            _is_none(column))) or 0
        for table, column in _columns(connection)}
    return {name: number for name, number in found.items() if number}


def clear(connection: sa.Connection) -> int:
    """Set invalid dates to NULL, and keep aside their old values.

    :param connection: not in a transaction
    :returns: the number of changed values
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    total = 0
    for table, column in _columns(connection):
        for rows in batches.by_id(
                connection, table, [sa.cast(column, sa.Text).label('text')],
                _is_none(column)):
            migration_quarantine.ensure_table(connection)
            with transactions.lasting(connection):
                migration_quarantine.keep([migration_quarantine.Value.of(
                    table.name, column.name, row.id, [REASON], row.text)
                    for row in rows], connection)
                connection.execute(table.update().where(
                    table.c.id.in_([row.id for row in rows])).values(
                        {column.name: None}))
            total += len(rows)
    return total

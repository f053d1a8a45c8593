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

"""The tables that only an upgrade makes, and only where it needs them.

They are in no model. ``kept_values`` holds what the new schema has no place
for, ``orphaned_user_credentials`` the trusts of jobs that are not there.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db.migrations import kept

ORPHANED = 'orphaned_user_credentials'

_metadata = sa.MetaData()

KEPT_VALUES = kept.TABLE

ORPHANED_CREDENTIALS = sa.Table(
    ORPHANED, _metadata,
    sa.Column('created_at', sa.DateTime),
    sa.Column('updated_at', sa.DateTime),
    sa.Column('deleted_at', sa.DateTime),
    sa.Column('deleted', sa.Boolean),
    sa.Column('id', sa.String(36), primary_key=True),
    sa.Column('trust_id', sa.String(255), nullable=False),
    sa.Column('trustor_user_id', sa.String(64), nullable=False),
    sa.Column('job_id', sa.String(36), nullable=False),
    sa.Column('decrypt_method', sa.String(64)))


def present(connection: sa.Connection) -> list[sa.Table]:
    """Return which of them a database has."""
    names = set(sa.inspect(connection).get_table_names())
    return [table for table in (KEPT_VALUES, ORPHANED_CREDENTIALS)
            if table.name in names]


def ensure(connection: sa.Connection, table: sa.Table) -> None:
    """Make one of them, unless it is there or no such table."""
    if table in (KEPT_VALUES, ORPHANED_CREDENTIALS):
        table.create(connection, checkfirst=True)


def is_soft_deleted(table: sa.Table) -> bool:
    """Whether its rows can bear the mark of a deletion."""
    return 'deleted' in table.c


def forget(session: orm.Session, table_name: str,
           row_ids: Sequence[str]) -> None:
    """Remove what was kept of rows that go for good."""
    if KEPT_VALUES in present(session.connection()):
        session.execute(sa.delete(KEPT_VALUES).where(
            KEPT_VALUES.c.table_name == table_name,
            KEPT_VALUES.c.row_id.in_(row_ids)))

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

"""Tables that only an upgrade creates, and only if it needs them.

No model describes them. ``kept_values`` holds values that do not fit the new
schema, ``orphaned_user_credentials`` the trusts of jobs that do not exist.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db.migrations import migration_quarantine

ORPHANED = 'orphaned_user_credentials'

_metadata = sa.MetaData()

KEPT_VALUES = migration_quarantine.TABLE

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


ALL = (KEPT_VALUES, ORPHANED_CREDENTIALS)


def present(connection: sa.Connection) -> list[sa.Table]:
    """Return those of the tables that exist."""
    names = set(sa.inspect(connection).get_table_names())
    return [table for table in ALL
            if table.name in names]


def ensure(connection: sa.Connection, table: sa.Table) -> None:
    """Create a table, unless it exists or is not one of :data:`ALL`."""
    if table in ALL:
        table.create(connection, checkfirst=True)


def is_soft_deleted(table: sa.Table) -> bool:
    """Return whether the rows of a table can be marked as deleted."""
    return 'deleted' in table.c


def forget(session: orm.Session, table_name: str,
           row_ids: Sequence[str]) -> None:
    """Remove the values that were kept aside for purged rows."""
    if KEPT_VALUES in present(session.connection()):
        session.execute(sa.delete(KEPT_VALUES).where(
            KEPT_VALUES.c.table_name == table_name,
            KEPT_VALUES.c.row_id.in_(row_ids)))

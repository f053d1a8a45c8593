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

"""Columns for the terms of searches, and indexes for lists.

The terms are NULL at first. They depend on the representation of a row by the
API. So ``freezer-manage db sync`` computes them with the function of the API
after the last revision. If it is killed, the next run continues with the rows
that have no terms.
"""

from __future__ import annotations

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from freezer_api.db.migrations import batches
from freezer_api.db.migrations import ddl

revision = 'dea869461b57'
down_revision = 'ebaeedeb2197'

_INDEXES = {
    'ix_clients_client_id': ('clients', ['client_id']),
    'ix_clients_project_id': ('clients', ['project_id']),
    'ix_actions_project_id': ('actions', ['project_id', 'created_at', 'id']),
    'ix_backups_project_id': ('backups', ['project_id', 'created_at', 'id']),
    'ix_sessions_project_id': (
        'sessions', ['project_id', 'created_at', 'id']),
    'ix_jobs_project_id': ('jobs', ['project_id', 'created_at', 'id']),
    # A stock scheduler reads the list of its client's jobs in pages.
    'ix_jobs_client_id_created_at': (
        'jobs', ['client_id', 'created_at', 'id']),
    # The list of all projects' jobs.
    'ix_jobs_created_at': ('jobs', ['created_at', 'id']),
}


def upgrade() -> None:
    for name, (table, columns) in _INDEXES.items():
        ddl.create_index(name, table, columns)
        batches.commit(op.get_bind())
    for table in ('actions', 'backups', 'clients', 'jobs', 'sessions'):
        ddl.add_column(table, sa.Column(
            'search_terms', sa.Text().with_variant(
                mysql.MEDIUMTEXT(charset='ascii', collation='ascii_bin'),
                'mysql', 'mariadb')))
        batches.commit(op.get_bind())

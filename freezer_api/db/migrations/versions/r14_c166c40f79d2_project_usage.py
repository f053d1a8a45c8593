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

"""The usage of each project, and the actions that belong to a job.

An action that was created from the document of a job is deleted with its last
job.
"""

from __future__ import annotations

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from freezer_api.db.admin import usage_recount
from freezer_api.db.migrations import batches
from freezer_api.db.migrations import ddl

revision = 'c166c40f79d2'
down_revision = 'dea869461b57'

_COUNTS = ('jobs', 'actions', 'clients', 'sessions', 'backups',
           'stored_bytes')


def upgrade() -> None:
    ddl.create_table(
        'project_usage',
        sa.Column('id', sa.String(36).with_variant(
            mysql.VARCHAR(36, charset='utf8mb4', collation='utf8mb4_bin'),
            'mysql', 'mariadb'), primary_key=True),
        *(sa.Column(name, sa.BigInteger, nullable=False,
                    server_default='0') for name in _COUNTS))
    usage_recount.count_all(op.get_bind())
    batches.commit(op.get_bind())
    ddl.add_column('actions', sa.Column('owned_by_job', sa.Boolean))

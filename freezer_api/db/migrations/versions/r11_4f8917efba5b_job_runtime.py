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

"""The status of jobs becomes columns; unreadable cells are kept aside.

The schedule has only the keys of the user. Cells that are not JSON are copied
to table ``kept_values`` before a change overwrites them.
"""

from __future__ import annotations

from alembic import op
import sqlalchemy as sa

from freezer_api.db.migrations import batches
from freezer_api.db.migrations import ddl
from freezer_api.db.migrations import job_runtime

revision = '4f8917efba5b'
down_revision = '19efaf5fa3ab'

_TEXTS = {'event': 16, 'status': 16, 'result': 16, 'run_id': 36,
          'suspension_reason': 32, 'retry_run_id': 36}
_TIMES = ('time_created', 'time_started', 'time_ended', 'current_pid',
          'next_run_at', 'suspended_at', 'previous_started_at',
          'previous_ended_at')
_INDEXES = {
    'ix_jobs_client_id_next_run_at': ['client_id', 'next_run_at'],
    'ix_jobs_due': ['client_id', 'due_at', 'id'],
    'ix_jobs_project_due': ['client_id', 'project_id', 'due_at', 'id'],
    'ix_jobs_suspension_reason': ['suspension_reason'],
}


def upgrade() -> None:
    for name, length in _TEXTS.items():
        ddl.add_column('jobs', sa.Column(name, sa.String(length)))
    for name in _TIMES:
        ddl.add_column('jobs', sa.Column(name, sa.BigInteger))
    ddl.add_column('jobs', sa.Column('consecutive_failures', sa.Integer))
    ddl.add_column('jobs', sa.Column('status_reason', sa.Text))
    job_runtime.move_all()
    job_runtime.keep_unreadable()
    ddl.add_column('jobs', sa.Column('due_at', sa.BigInteger))
    batches.commit(op.get_bind())
    for name, columns in _INDEXES.items():
        ddl.create_index(name, 'jobs', columns)
        batches.commit(op.get_bind())

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

"""Where a job stands becomes columns; its schedule stays the user's."""

from __future__ import annotations

import sqlalchemy as sa

from freezer_api.db.migrations import ddl
from freezer_api.db.migrations import job_runtime

revision = 'c81e57a3f2d6'
down_revision = 'b6f2d0c4a917'


def upgrade() -> None:
    for name in ('event', 'status', 'result'):
        ddl.add_column('jobs', sa.Column(name, sa.String(16)))
    for name in ('time_created', 'time_started', 'time_ended',
                 'current_pid'):
        ddl.add_column('jobs', sa.Column(name, sa.BigInteger))
    ddl.add_column('jobs', sa.Column('status_reason', sa.Text))
    ddl.add_column('jobs', sa.Column('next_run_at', sa.BigInteger))
    ddl.add_column('jobs', sa.Column('run_id', sa.String(36)))
    job_runtime.move_all()
    ddl.create_index('ix_jobs_client_id_next_run_at', 'jobs',
                     ['client_id', 'next_run_at'])

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

"""Each firing of a job is a row."""

from __future__ import annotations

import sqlalchemy as sa

from freezer_api.db.migrations import ddl

revision = 'd94a06be7c35'
down_revision = 'c81e57a3f2d6'


def upgrade() -> None:
    ddl.create_table(
        'job_runs',
        *ddl.common_columns(),
        sa.Column('id', sa.String(36), primary_key=True),
        sa.Column('job_id', ddl.reference_type('jobs', 'id'),
                  sa.ForeignKey('jobs.id', name='fk_job_runs_job_id'),
                  nullable=False),
        sa.Column('project_id', sa.String(36)),
        sa.Column('client_id', sa.String(255), nullable=False),
        sa.Column('nominal_at', sa.BigInteger, nullable=False),
        sa.Column('trigger', sa.String(16), nullable=False),
        sa.Column('state', sa.String(16), nullable=False),
        sa.Column('reason', sa.Text),
        sa.Column('actions', sa.Text),
        sa.Column('event', sa.String(16)),
        sa.Column('scheduler_id', sa.String(255)),
        sa.Column('fence', sa.Integer, nullable=False),
        sa.Column('lease_expires_at', sa.BigInteger),
        sa.Column('time_started', sa.BigInteger),
        sa.Column('time_ended', sa.BigInteger),
        sa.UniqueConstraint('job_id', 'nominal_at',
                            name='uq_job_runs_job_id_nominal_at'))
    ddl.create_index('ix_job_runs_lease', 'job_runs',
                     ['client_id', 'lease_expires_at'])

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

"""The actions of a job become rows."""

from __future__ import annotations

import sqlalchemy as sa

from freezer_api.db.migrations import ddl
from freezer_api.db.migrations import job_actions

revision = 'a1b2c3d4e5f6'
down_revision = '4f8c679a1d3b'


def upgrade() -> None:
    ddl.create_table(
        'job_actions',
        sa.Column('id', sa.String(36), primary_key=True),
        sa.Column('job_id', ddl.reference_type('jobs', 'id'),
                  sa.ForeignKey('jobs.id'), nullable=False),
        sa.Column('action_id', ddl.reference_type('actions', 'id'),
                  sa.ForeignKey('actions.id'), nullable=False),
        sa.Column('position', sa.Integer))
    ddl.create_index('ix_job_actions_job_id', 'job_actions', ['job_id'])
    ddl.create_index('ix_job_actions_action_id', 'job_actions',
                     ['action_id'])
    if ddl.has_column('jobs', 'job_actions'):
        job_actions.convert_all()
        ddl.drop_column('jobs', 'job_actions')

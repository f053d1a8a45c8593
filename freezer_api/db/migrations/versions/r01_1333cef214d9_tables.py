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

"""The six tables of 16.0.0.

Tables that sqlalchemy-migrate created for 15.0.0 and earlier do not change,
except for a column that has its first name on SQLite.
"""

from __future__ import annotations

import sqlalchemy as sa

from freezer_api.db.migrations import ddl

revision = '1333cef214d9'
down_revision = None


def upgrade() -> None:
    ddl.create_table(
        'action_reports',
        sa.Column('id', sa.String(36), primary_key=True),
        sa.Column('project_id', sa.String(36)),
        sa.Column('user_id', sa.String(64), nullable=False),
        sa.Column('result', sa.String(255)),
        sa.Column('time_elapsed', sa.String(255)),
        sa.Column('report_date', sa.TIMESTAMP),
        sa.Column('log', sa.LargeBinary))
    ddl.create_table(
        'actions',
        sa.Column('id', sa.String(36), primary_key=True),
        sa.Column('action', sa.String(255), nullable=False),
        sa.Column('project_id', sa.String(36)),
        sa.Column('user_id', sa.String(64), nullable=False),
        sa.Column('actionmode', sa.String(255)),
        sa.Column('src_file', sa.String(255)),
        sa.Column('backup_name', sa.String(255)),
        sa.Column('container', sa.String(255)),
        sa.Column('timeout', sa.Integer),
        sa.Column('priority', sa.Integer),
        sa.Column('max_retries_interval', sa.Integer),
        sa.Column('max_retries', sa.Integer),
        sa.Column('mandatory', sa.Boolean),
        sa.Column('log_file', sa.String(255)),
        sa.Column('backup_metadata', sa.Text))
    ddl.rename_column('actions', 'mode', 'actionmode')
    ddl.create_table(
        'backups',
        sa.Column('id', sa.String(36), primary_key=True),
        sa.Column('job_id', sa.String(36)),
        sa.Column('project_id', sa.String(36)),
        sa.Column('user_id', sa.String(64), nullable=False),
        sa.Column('user_name', sa.String(64), nullable=False),
        sa.Column('backup_metadata', sa.Text))
    ddl.create_table(
        'clients',
        sa.Column('id', sa.String(255), primary_key=True),
        sa.Column('project_id', sa.String(36)),
        sa.Column('user_id', sa.String(64), nullable=False),
        sa.Column('client_id', sa.String(255), nullable=False),
        sa.Column('hostname', sa.String(128)),
        sa.Column('description', sa.String(255)),
        sa.Column('uuid', sa.String(36), nullable=False))
    ddl.create_table(
        'sessions',
        sa.Column('id', sa.String(36), primary_key=True),
        sa.Column('session_tag', sa.Integer),
        sa.Column('description', sa.String(255)),
        sa.Column('hold_off', sa.Integer),
        sa.Column('schedule', sa.Text),
        sa.Column('job', sa.Text),
        sa.Column('project_id', sa.String(36)),
        sa.Column('user_id', sa.String(36), nullable=False),
        sa.Column('time_start', sa.Integer),
        sa.Column('time_end', sa.Integer),
        sa.Column('time_started', sa.Integer),
        sa.Column('time_ended', sa.Integer),
        sa.Column('status', sa.String(255)),
        sa.Column('result', sa.String(255)))
    ddl.create_table(
        'jobs',
        sa.Column('id', sa.String(36), primary_key=True),
        sa.Column('project_id', sa.String(36)),
        sa.Column('user_id', sa.String(36), nullable=False),
        sa.Column('schedule', sa.Text),
        sa.Column('client_id', sa.String(255), nullable=False),
        sa.Column('session_id', sa.String(36)),
        sa.Column('session_tag', sa.Integer),
        sa.Column('description', sa.String(255)),
        sa.Column('job_actions', sa.Text))

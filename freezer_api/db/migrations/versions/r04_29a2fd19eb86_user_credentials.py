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

"""The trusts with which jobs run."""

from __future__ import annotations

import sqlalchemy as sa

from freezer_api.db.migrations import ddl

revision = '29a2fd19eb86'
down_revision = '23c8ad2655a6'


def upgrade() -> None:
    ddl.create_table(
        'user_credentials',
        sa.Column('id', sa.String(36), primary_key=True),
        sa.Column('trust_id', sa.String(255), nullable=False),
        sa.Column('trustor_user_id', sa.String(64), nullable=False),
        sa.Column('job_id', sa.String(36), nullable=False))

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

"""Jobs whose trust does not work, and trusts that expire."""

from __future__ import annotations

import sqlalchemy as sa

from freezer_api.db.migrations import ddl

revision = 'a8e61f7b20c3'
down_revision = 'e37b12c9d8f0'

_COLUMNS = {
    'jobs': (sa.Column('suspended', sa.String(32)),
             sa.Column('suspended_at', sa.BigInteger),
             sa.Column('retry_run_id', sa.String(36))),
    'job_runs': (sa.Column('cause', sa.String(32)),
                 sa.Column('delegation_id', sa.String(36))),
    'delegations': (sa.Column('expires_at', sa.BigInteger),
                    sa.Column('renew_at', sa.BigInteger)),
}


def upgrade() -> None:
    for table, columns in _COLUMNS.items():
        for column in columns:
            ddl.add_column(table, column)
    ddl.create_index('ix_jobs_suspended', 'jobs', ['suspended'])

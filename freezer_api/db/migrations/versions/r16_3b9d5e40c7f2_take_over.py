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
"""Clients whose jobs a scheduler that claims takes over from one that polls.

Clients that claim already look at their jobs once more: among them are jobs
of a time when they did not.
"""

from __future__ import annotations

from alembic import op
import sqlalchemy as sa

from freezer_api.db.migrations import ddl

revision = '3b9d5e40c7f2'
down_revision = 'f05d3a92b6e4'


def upgrade() -> None:
    ddl.add_column('clients', sa.Column('take_over_after', sa.String(36)))
    clients = sa.table('clients', sa.column('claims', sa.Boolean),
                       sa.column('take_over_after', sa.String))
    op.execute(clients.update().where(clients.c.claims == sa.true())
               .values(take_over_after=''))

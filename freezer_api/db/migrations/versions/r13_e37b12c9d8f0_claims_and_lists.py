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

"""Clients that claim their runs, and the order of lists in an index."""

from __future__ import annotations

import sqlalchemy as sa

from freezer_api.db.migrations import ddl

revision = 'e37b12c9d8f0'
down_revision = 'd94a06be7c35'


def upgrade() -> None:
    ddl.add_column('clients', sa.Column(
        'claims', sa.Boolean, nullable=False, server_default=sa.false()))
    ddl.create_index('ix_clients_client_id', 'clients', ['client_id'])
    ddl.create_index('ix_clients_project_id', 'clients', ['project_id'])
    for table in ('actions', 'backups', 'jobs'):
        ddl.create_index(f'ix_{table}_project_id', table,
                         ['project_id', 'created_at', 'id'])

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

"""The capabilities of clients; existing clients support everything."""

from __future__ import annotations

import json

from alembic import op
import sqlalchemy as sa

from freezer_api.db.migrations import ddl

revision = '23c8ad2655a6'
down_revision = 'e74c32f034c5'

EVERYTHING = {
    'supported_actions': ['backup', 'restore', 'info', 'admin', 'exec'],
    'supported_modes': ['fs', 'mongo', 'mysql', 'sqlserver', 'cinder',
                        'glance', 'cindernative', 'nova'],
    'supported_storages': ['local', 'swift', 'ssh', 's3', 'ftp', 'ftps'],
    'supported_engines': ['tar', 'rsync', 'rsyncv2', 'nova', 'osbrick',
                          'glance'],
}


def upgrade() -> None:
    clients = sa.table('clients', *(sa.column(name, sa.String)
                                    for name in EVERYTHING))
    for name, supported in EVERYTHING.items():
        ddl.add_column('clients', sa.Column(name, sa.String(255)))
        # The value is NULL if an earlier attempt ended after the ALTER TABLE.
        op.execute(clients.update().where(clients.c[name].is_(None))
                   .values({name: json.dumps(supported)}))

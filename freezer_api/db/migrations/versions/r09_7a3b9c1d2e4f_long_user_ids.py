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

"""User IDs of 64 characters, such as those of federated users.

More tables of sqlalchemy-migrate than of alembic have shorter columns.
"""

from __future__ import annotations

from freezer_api.db.migrations import ddl

revision = '7a3b9c1d2e4f'
down_revision = '5c9d21e87f34'

TABLES = ('jobs', 'sessions', 'clients', 'actions', 'action_reports',
          'backups')


def upgrade() -> None:
    for table in TABLES:
        ddl.lengthen(table, 'user_id', 64)

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

"""Backups have no user name; existing names are kept aside."""

from __future__ import annotations

from freezer_api.db.migrations import ddl
from freezer_api.db.migrations import migration_quarantine

revision = '4f8c679a1d3b'
down_revision = '30a3fd20ec97'


def upgrade() -> None:
    if ddl.has_column('backups', 'user_name'):
        migration_quarantine.keep_column('backups', 'user_name',
                                         'no column any more')
        ddl.drop_column('backups', 'user_name')

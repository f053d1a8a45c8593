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

"""Backups have a status; existing backups are available."""

from __future__ import annotations

import sqlalchemy as sa

from freezer_api.db.migrations import ddl

revision = '5c9d21e87f34'
down_revision = 'a1b2c3d4e5f6'


def upgrade() -> None:
    ddl.add_column('backups', sa.Column(
        'status', sa.String(64), nullable=False,
        server_default='available'))

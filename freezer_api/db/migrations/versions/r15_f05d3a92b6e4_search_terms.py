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

"""Rows get the terms by which searches find them.

They are NULL at first. What they hold depends on how the API shows a row,
which is not for a revision to know: ``freezer-manage db sync`` fills them
with the API's own function once the schema is the last one. An upgrade that
is killed while it does so has lost nothing: run again, it goes on with the
rows that have none.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from freezer_api.db.migrations import ddl

revision = 'f05d3a92b6e4'
down_revision = 'a8e61f7b20c3'


def upgrade() -> None:
    for table in ('actions', 'backups', 'clients', 'jobs', 'sessions'):
        ddl.add_column(table, sa.Column(
            'search_terms', sa.Text().with_variant(
                mysql.MEDIUMTEXT(charset='ascii', collation='ascii_bin'),
                'mysql', 'mariadb')))
    # A stock scheduler lists the jobs of its client, page by page.
    ddl.create_index('ix_jobs_client_id_created_at', 'jobs',
                     ['client_id', 'created_at', 'id'])

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

"""The table of what projects have, as a model; see freezer_api.db.models."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy import orm

from freezer_api.db import columns


class ProjectUsage(columns.Base):
    """How much a project has; the id is the project's.

    Only freezer_api.db.usage writes it, in the transactions that change the
    other tables.
    """

    __tablename__ = 'project_usage'

    id: orm.Mapped[str] = orm.mapped_column(
        sa.String(36).with_variant(
            mysql.VARCHAR(36, charset='utf8mb4', collation='utf8mb4_bin'),
            'mysql', 'mariadb'), primary_key=True)
    jobs: orm.Mapped[int] = columns.counter()
    actions: orm.Mapped[int] = columns.counter()
    clients: orm.Mapped[int] = columns.counter()
    sessions: orm.Mapped[int] = columns.counter()
    backups: orm.Mapped[int] = columns.counter()
    stored_bytes: orm.Mapped[int] = columns.counter()

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

"""What the columns of the tables have in common."""

from __future__ import annotations

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy import orm


def search_terms() -> orm.Mapped[str | None]:
    """Of freezer_api.db.search_index; NULL only in rows that others wrote."""
    return orm.mapped_column(
        sa.Text().with_variant(
            mysql.MEDIUMTEXT(charset='ascii', collation='ascii_bin'),
            'mysql', 'mariadb'),
        deferred=True)


def counter() -> orm.Mapped[int]:
    """A number that begins with 0."""
    return orm.mapped_column(sa.BigInteger, server_default='0', default=0)


def _naive_utcnow() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


class Base(orm.DeclarativeBase):
    __table_args__: Any = {'mysql_engine': 'InnoDB'}

    # Nobody is shown these, so they are not read with the rest.
    created_at: orm.Mapped[datetime.datetime | None] = orm.mapped_column(
        sa.DateTime, default=_naive_utcnow, deferred=True)
    updated_at: orm.Mapped[datetime.datetime | None] = orm.mapped_column(
        sa.DateTime, onupdate=_naive_utcnow, deferred=True)
    deleted_at: orm.Mapped[datetime.datetime | None] = orm.mapped_column(
        sa.DateTime, deferred=True)
    # Not oslo.db's soft delete: deployed databases hold a plain boolean, and
    # rows in which it is NULL are treated as deleted.
    deleted: orm.Mapped[bool | None] = orm.mapped_column(
        sa.Boolean, default=False)

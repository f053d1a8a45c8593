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

"""Objects that an operator has added to a database and that block an upgrade.

Examples are a view of a column that is dropped, a trigger on a table whose
rows are updated, and a foreign key of a column whose type changes. With such
an object a statement would fail in the middle of an upgrade, or the object
would have unexpected effects. Each object is reported with its table and
column. An upgrade does not start until the object has been dropped.
"""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from freezer_api.db.admin.operator_objects import mysql
from freezer_api.db.admin.operator_objects import postgresql
from freezer_api.db.admin.operator_objects import sqlite
from freezer_api.db.admin.operator_objects import tables
from freezer_api.db.migrations import revision_changes


def in_the_way(connection: sa.Connection,
               revisions: Collection[str]) -> list[str]:
    """Return the objects that block some revisions.

    :param revisions: the revisions that the upgrade runs; if there are none,
        the upgrade still updates the search terms of rows
    :returns: one sentence for each object
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    changed = revision_changes.of(revisions, tables.lengths(connection))
    of_engine = {
        'sqlite': sqlite.in_the_way, 'postgresql': postgresql.in_the_way,
        }.get(connection.dialect.name, mysql.in_the_way)
    return sorted({*tables.in_the_way(connection, changed),
                   *of_engine(connection, changed)})

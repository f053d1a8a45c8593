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

"""Repair data that other programs changed in a database.

An API of an earlier release does not maintain the columns that this release
adds. And operators restore and convert tables.
"""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa

from freezer_api.db.admin import collation_repair
from freezer_api.db.admin import upgrade
from freezer_api.db.admin import usage_recount
from freezer_api.db.admin import zero_dates
from freezer_api.db import due_queue
from freezer_api.db import search_index


@dataclasses.dataclass(frozen=True)
class Repaired:
    """Numbers of repaired objects.

    :ivar collations: tables with another collation
    :ivar dates: dates without a year, month or day
    :ivar jobs: jobs that no claim would have found
    :ivar terms: rows with wrong search terms
    :ivar projects: projects with a wrong usage
    """

    collations: int
    dates: int
    jobs: int
    terms: int
    projects: int


def repair(bind: sa.Engine | sa.URL | str) -> Repaired:
    """Repair a database that has the schema of this release.

    Collations come first, because the other repairs compare texts.

    :param bind: the database, as for an upgrade
    :raises freezer_api.db.admin.upgrade.MigrationError: if an upgrade runs,
        or two keys would be equal in the common collation
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    with upgrade.exclusive(bind) as connection:
        try:
            converted = collation_repair.repair(connection)
        except sa.exc.IntegrityError as error:
            raise upgrade.MigrationError(
                'two keys of a table are equal in the common collation of all '
                f'tables: {error.orig}') from None
        return Repaired(converted, zero_dates.clear(connection),
                        due_queue.repair(connection),
                        search_index.refresh(connection),
                        usage_recount.repair(connection))

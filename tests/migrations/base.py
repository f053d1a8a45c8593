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

"""What the tests of migrations share: a database on each engine."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
import functools
import json
from typing import Any

import fixtures
import sqlalchemy as sa
import testscenarios
import testtools

from freezer_api.db.admin import upgrade
from tests.migrations import starts
from tests import services

ENGINES = [(name, {'backend': name})
           for name in ('sqlite', 'mysql', 'postgresql')]

PUBLISHED = ['1333cef214d9', 'e74c32f034c5', '23c8ad2655a6', '29a2fd19eb86',
             '30a3fd20ec97', '4f8c679a1d3b', 'a1b2c3d4e5f6', '5c9d21e87f34',
             '7a3b9c1d2e4f']


# To load all revisions takes as long as a small upgrade.
_SCRIPTS = functools.cache(upgrade._scripts)


class DatabaseTest(testtools.TestCase):
    """Has an empty database of its own, at ``url``."""

    backend = 'sqlite'

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(
            fixtures.MockPatchObject(upgrade, '_scripts', _SCRIPTS))
        self.url = self.new_url()
        self.engine = sa.create_engine(self.url, poolclass=sa.pool.NullPool)

    def new_url(self) -> str:
        """Return the URL of one more empty database."""
        if self.backend == 'mysql':
            return services.mysql_url(self)
        if self.backend == 'postgresql':
            return services.postgresql_url(self)
        folder = self.useFixture(fixtures.TempDir()).path
        return f'sqlite:///{folder}/freezer.db'

    def begin_at(self, revision: str) -> None:
        """Bring the empty database to a revision."""
        starts.bring(self.url, revision)

    def cell(self, value: Any) -> bytes | str:
        """JSON as deployed databases hold it: bytes where SQLite is."""
        text = json.dumps(value)
        return text.encode() if self.backend == 'sqlite' else text

    def execute(self, statement: str, **parameters: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement), parameters)

    def insert(self, table: str, *rows: Mapping[str, Any]) -> None:
        """Insert rows, leaving out what ``table`` has no column for.

        Times and ``deleted`` are filled in.
        """
        with self.engine.begin() as connection:
            present = {column['name'] for column
                       in sa.inspect(connection).get_columns(table)}
            for row in rows:
                values = {'created_at': '2025-01-02 03:04:05',
                          'updated_at': None, 'deleted_at': None,
                          'deleted': False, **row}
                values = {name: value for name, value in values.items()
                          if name in present}
                clause = sa.table(table, *map(sa.column, values))
                connection.execute(clause.insert(), values)

    def rows(self, query: str, **parameters: Any) -> Sequence[sa.Row[Any]]:
        with self.engine.connect() as connection:
            return connection.execute(sa.text(query), parameters).all()

    def tables(self) -> set[str]:
        return set(sa.inspect(self.engine).get_table_names())


class EachEngine(testscenarios.WithScenarios, DatabaseTest):
    """Its tests run on SQLite, MariaDB and PostgreSQL."""

    scenarios = ENGINES

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

"""The rights of an account: each that is missing is named, no other one is.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import uuid

import sqlalchemy as sa

from freezer_api.db.admin import check as database_check
from freezer_api.db.admin import upgrade
from tests.migrations import base
from tests.migrations import documents

MYSQL = ('ALTER', 'CREATE', 'DELETE', 'DROP', 'INDEX', 'INSERT',
         'LOCK TABLES', 'REFERENCES', 'SELECT', 'TRIGGER', 'UPDATE')
POSTGRESQL = (('SELECT', 'sessions'), ('SELECT', 'alembic_version'),
              ('INSERT', 'actions'), ('INSERT', 'sessions'),
              ('UPDATE', 'clients'), ('UPDATE', 'alembic_version'),
              ('DELETE', 'jobs'), ('REFERENCES', 'jobs'),
              ('REFERENCES', 'sessions'), ('TRUNCATE', 'jobs'))


class RightsTest(base.DatabaseTest):
    """Has an account beside the one that owns everything."""

    revision = '7a3b9c1d2e4f'

    def setUp(self) -> None:
        super().setUp()
        self.account = f'freezer_{uuid.uuid4().hex[:12]}'

    def account_url(self) -> str:
        return self.engine.url.set(
            username=self.account, password='p').render_as_string(
                hide_password=False)

    def check(self, right: str) -> None:
        """A right is missing: it is named, or not needed."""
        found = database_check.inspect(self.account_url())
        if found.obstacles:
            [text] = found.obstacles
            self.assertIn(right, text)
            for other in {'ALTER', 'CREATE', 'DELETE', 'INDEX', 'INSERT',
                          'REFERENCES', 'SELECT', 'UPDATE'} - {right}:
                self.assertNotIn(other, text)
            self.assertRaises(sa.exc.DBAPIError, upgrade.sync,
                              self.account_url())
        else:
            upgrade.sync(self.account_url())
            self.assertEqual(upgrade.head(), upgrade.current(self.url))


class TestMySQL(RightsTest):

    backend = 'mysql'

    def test_each_right(self) -> None:
        for right in MYSQL:
            self.url = self.new_url()
            self.engine = sa.create_engine(
                self.url, poolclass=sa.pool.NullPool)
            self.begin_at('23c8ad2655a6')
            documents.fill(self)
            with self.granted([one for one in MYSQL if one != right]):
                self.check(right)

    @contextlib.contextmanager
    def granted(self, rights: list[str]) -> Iterator[None]:
        name = f"{self.account}@'%'"
        self.execute(f"CREATE USER {name} IDENTIFIED BY 'p'")
        try:
            self.execute(f'GRANT {", ".join(rights)} '
                         f'ON {self.engine.url.database}.* TO {name}')
            yield
        finally:
            self.execute(f'DROP USER {name}')


class TestPostgreSQL(RightsTest):

    backend = 'postgresql'

    def setUp(self) -> None:
        super().setUp()
        self.execute(f"CREATE ROLE {self.account} LOGIN PASSWORD 'p'")
        self.addCleanup(self.execute, f'DROP ROLE {self.account}')
        self.addCleanup(self.execute,
                        f'DROP OWNED BY {self.account} CASCADE')

    def fresh(self) -> None:
        self.execute('DROP SCHEMA public CASCADE')
        self.execute(f'CREATE SCHEMA public AUTHORIZATION {self.account}')
        upgrade.sync(self.account_url(), '23c8ad2655a6')
        documents.fill(self)
        # An action is made of it.
        self.insert('jobs', documents.job(self, 'job-3', [
            {'freezer_action': {'action': 'info'}}]))

    def test_each_right(self) -> None:
        for right, table in POSTGRESQL:
            self.fresh()
            self.execute(f'REVOKE {right} ON {table} FROM {self.account}')
            self.check(right)

    def test_the_schema(self) -> None:
        self.fresh()
        self.execute('ALTER SCHEMA public OWNER TO CURRENT_USER')
        self.execute(f'GRANT USAGE ON SCHEMA public TO {self.account}')
        self.check('CREATE')

    def test_a_table_of_another(self) -> None:
        self.fresh()
        self.execute('ALTER TABLE sessions OWNER TO CURRENT_USER')
        self.execute('GRANT ALL ON TABLE sessions TO ' + self.account)
        [text] = database_check.inspect(self.account_url()).obstacles
        self.assertIn('does not own, and so cannot alter, sessions', text)
        self.assertRaises(sa.exc.DBAPIError, upgrade.sync,
                          self.account_url())

    def test_transactions_that_only_read(self) -> None:
        self.fresh()
        self.execute(f'ALTER ROLE {self.account} SET '
                     'default_transaction_read_only = on')
        [text] = database_check.inspect(self.account_url()).obstacles
        self.assertIn('read-only', text)


class TestTold(base.EachEngine):

    def test_an_upgrade_that_runs(self) -> None:
        """It is told at each moment of it, whatever it has locked."""
        self.begin_at('23c8ad2655a6')
        documents.fill(self)
        told: list[str] = []
        busy = [False]

        def look(connection: sa.Connection, cursor: object, statement: str,
                 *rest: object) -> None:
            if busy[0] or not statement.startswith((
                    'ALTER', 'CREATE', 'INSERT', 'UPDATE alembic')):
                return
            busy[0] = True
            try:
                # Before another process has made its tables.
                told.extend(database_check.inspect(self.url).obstacles
                            or ['nothing'])
            finally:
                busy[0] = False

        sa.event.listen(sa.Engine, 'before_cursor_execute', look)
        try:
            upgrade.sync(self.url)
        finally:
            sa.event.remove(sa.Engine, 'before_cursor_execute', look)
        self.assertEqual(
            {'another process is upgrading the database, or locks it'},
            set(told))
        self.assertGreater(len(told), 10)
        self.assertEqual([], database_check.inspect(self.url).obstacles)

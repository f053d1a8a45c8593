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

"""What is said of a database before it is touched, and that it is true."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from freezer_api.db.admin import check
from freezer_api.db.admin import upgrade
from freezer_api.db.admin import upgrade_report
from tests.migrations import base
from tests.migrations import documents
from tests.migrations import opened


class CheckTest(base.DatabaseTest):

    def contents(self) -> dict[str, list[Any]]:
        metadata = sa.MetaData()
        metadata.reflect(self.engine)
        with self.engine.connect() as connection:
            return {name: list(map(repr, connection.execute(
                sa.select(table).order_by(*table.primary_key))))
                for name, table in metadata.tables.items()}

    def look(self) -> check.Finding:
        """Look at the database, and make sure that it stays as it is."""
        before = self.contents()
        found = check.inspect(self.url)
        self.assertEqual(before, self.contents())
        return found


class TestEachEngine(base.EachEngine, CheckTest):

    def fill(self) -> None:
        documents.fill(self)
        entry = {'freezer_action': {'action': 'info'}, 'exit_status': 1}
        schedule = self.cell({'status': 'x' * 17})
        self.insert(
            'jobs', documents.job(self, 'job-3', [entry, 'x']),
            documents.job(self, 'job-4', 'abc'),
            documents.job(self, 'job-5', [], schedule=schedule),
            documents.job(self, 'job-6', [], schedule="{'odd': 1}"))

    def test_from_nothing_to_the_head(self) -> None:
        found = self.look()
        self.assertEqual(('none: it has no tables of Freezer', None),
                         (found.origin, found.revision))
        self.assertEqual(upgrade.revisions(),
                         [step for step, _ in found.steps])

        upgrade.sync(self.url, '23c8ad2655a6')
        self.fill()
        found = self.look()
        self.assertIn('18.0.0', found.origin)
        self.assertEqual([], found.obstacles)
        self.assertEqual(6, found.rows['jobs'])
        self.assertEqual(upgrade.revisions()[3:],
                         [step for step, _ in found.steps])

        upgrade.sync(self.url)
        # What was said to be kept has been kept, and nothing else.
        self.assertEqual(
            sorted(self.rows('SELECT COUNT(*), table_name, column_name '
                             'FROM kept_values '
                             'GROUP BY table_name, column_name')),
            sorted((sum(count for what, count in found.kept.items()
                        if what.startswith(f'{table}.{column}:')),
                    table, column)
                   for table, column in (
                       ('backups', 'user_name'), ('jobs', 'job_actions'),
                       ('jobs', 'schedule'))))
        found = self.look()
        self.assertEqual(('this release', False, []),
                         (found.origin, found.to_do, found.obstacles))
        self.check_report()

    def check_report(self) -> None:
        found = upgrade_report.make(opened.database(self))
        self.assertEqual(
            [(1, ['backup-1']), (1, ['job-3']), (1, ['job-4']),
             (1, ['job-6']), (1, ['job-5'])],
            [(sort.count, sort.ids) for sort in found.kept])
        self.assertEqual(4, sum(sort.count for sort in found.unarmed))
        # No value that was kept is shown.
        self.assertNotIn('Zo', repr(found.kept))

    def test_trusts_of_no_job(self) -> None:
        self.begin_at('7a3b9c1d2e4f')
        self.insert('user_credentials', {
            'id': 'c1', 'trust_id': 's3cr3t', 'trustor_user_id': 'ann',
            'job_id': 'gone'})
        found = self.look()
        self.assertEqual(
            {'user_credentials: their job does not exist': 1}, found.kept)
        upgrade.sync(self.url)
        told = upgrade_report.make(opened.database(self))
        [sort] = told.orphaned
        self.assertEqual((1, ['c1']), (sort.count, sort.ids))
        self.assertNotIn('s3cr3t', repr(told))

    def test_somebody_upgrades(self) -> None:
        self.begin_at('7a3b9c1d2e4f')
        with upgrade.exclusive(self.url):
            found = check.inspect(self.url)
        self.assertEqual(
            ['another process is upgrading the database, or locks it'],
            found.obstacles)

    def test_an_account_that_may_only_read(self) -> None:
        self.begin_at('7a3b9c1d2e4f')
        if self.backend == 'sqlite':
            return
        account = f'reader_{str(self.engine.url.database)[-12:]}'
        mysql = self.backend == 'mysql'
        name = f"{account}@'%'" if mysql else account
        self.execute(f"CREATE USER {name} " + (
            "IDENTIFIED BY 'p'" if mysql else "PASSWORD 'p'"))
        self.addCleanup(self.execute, f'DROP USER {name}')
        grants = ([f'GRANT SELECT ON {self.engine.url.database}.* TO {name}']
                  if mysql else
                  [f'GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}'])
        for grant in grants:
            self.execute(grant)
        if not mysql:
            self.addCleanup(self.execute, f'DROP OWNED BY {name}')
        url = self.engine.url.set(username=account, password='p')
        found = check.inspect(url.render_as_string(hide_password=False))
        text = ' '.join(found.obstacles)
        self.assertIn('ALTER' if mysql else 'CREATE in schema', text)
        self.assertIn('UPDATE' if mysql else 'does not own', text)
        self.assertEqual([], check.inspect(self.url).obstacles)


class TestVersion(CheckTest):

    def test_advice_that_works(self) -> None:
        """Tables of any revision that lost their version are taken up."""
        for revision in upgrade.revisions():
            self.url = self.new_url()
            self.engine = sa.create_engine(
                self.url, poolclass=sa.pool.NullPool)
            self.begin_at(revision)
            self.execute('DROP TABLE alembic_version')
            found = self.look()
            self.assertIn('no version', ' '.join(found.obstacles))
            [advice] = [note for note in found.notes if 'CREATE' in note]
            for statement in advice.partition(': ')[2].split(';')[:2]:
                self.execute(statement)
            self.assertEqual([], self.look().obstacles)
            upgrade.sync(self.url)
            self.assertEqual(upgrade.head(), upgrade.current(self.url))

    def test_a_version_that_lies(self) -> None:
        self.begin_at('5c9d21e87f34')
        self.execute("UPDATE alembic_version "
                     "SET version_num = '1333cef214d9'")
        self.assertIn('was interrupted', ' '.join(self.look().notes))

    def test_a_newer_one(self) -> None:
        self.begin_at(upgrade.head())
        self.execute("UPDATE alembic_version SET version_num = 'newer'")
        found = self.look()
        self.assertEqual('a release newer than this one', found.origin)
        self.assertEqual(1, len(found.obstacles))

    def test_two_versions(self) -> None:
        self.begin_at(upgrade.head())
        self.execute("INSERT INTO alembic_version VALUES ('7a3b9c1d2e4f')")
        found = self.look()
        self.assertIn('several versions', found.origin)
        self.assertEqual(1, len(found.obstacles))

    def test_a_version_without_its_tables(self) -> None:
        for revision in ('23c8ad2655a6', upgrade.head()):
            self.url = self.new_url()
            self.engine = sa.create_engine(
                self.url, poolclass=sa.pool.NullPool)
            self.begin_at(revision)
            self.execute('DROP TABLE clients')
            [obstacle] = self.look().obstacles
            self.assertIn('but no table clients:', obstacle)
            before = self.contents()
            with self.assertRaisesRegex(upgrade.MigrationError, 'clients'):
                upgrade.sync(self.url)
            self.assertEqual(before, self.contents())

    def test_tables_of_this_release(self) -> None:
        self.begin_at(upgrade.head())
        self.execute('DROP TABLE alembic_version')
        [advice] = self.look().notes
        [named] = [number for number, revision
                   in enumerate(upgrade.revisions())
                   if f"'{revision}'" in advice]
        self.assertEqual(len(upgrade.revisions()) - 1, named)

    def test_legacy(self) -> None:
        self.begin_at('1333cef214d9')
        documents.fill(self)
        self.execute('DROP TABLE alembic_version')
        self.execute('CREATE TABLE migrate_version (version INTEGER)')
        found = self.look()
        self.assertIn('15.0.0', found.origin)
        self.assertEqual([], found.obstacles)
        self.assertIn('tables of so old', ' '.join(found.notes))


class TestMySQL(CheckTest):

    backend = 'mysql'

    def test_character_sets(self) -> None:
        database = self.engine.url.database
        self.execute(f'ALTER DATABASE {database} CHARACTER SET utf8mb3')
        upgrade.sync(self.url, '23c8ad2655a6')
        self.assertIn('actions, backups, clients, jobs, sessions',
                      ' '.join(self.look().notes))

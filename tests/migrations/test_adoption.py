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

"""Databases that are not what their version says, and ones to refuse."""

from __future__ import annotations

import sqlalchemy as sa

from freezer_api.db.admin import upgrade
from freezer_api.db import models
from tests.migrations import base
from tests.migrations import documents


class TestRefused(base.EachEngine):

    def assert_refused(self, text: str) -> None:
        before = self.tables()
        error = self.assertRaises(upgrade.MigrationError, upgrade.sync,
                                  self.url)
        self.assertIn(text, str(error))
        self.assertEqual(before, self.tables())

    def test_tables_without_version(self) -> None:
        models.Base.metadata.create_all(self.engine)
        self.assert_refused('tables but no version')

    def test_a_newer_release(self) -> None:
        self.begin_at('1333cef214d9')
        self.execute("UPDATE alembic_version SET version_num = 'newer'")
        self.assert_refused('revision newer')

    def test_two_versions(self) -> None:
        self.begin_at('1333cef214d9')
        self.execute("INSERT INTO alembic_version VALUES ('e74c32f034c5')")
        self.assert_refused('2 rows')
        self.assertRaises(upgrade.MigrationError, upgrade.current,
                          self.url)

    def test_tables_of_others_are_no_obstacle(self) -> None:
        self.execute('CREATE TABLE notes (id INTEGER)')
        upgrade.sync(self.url)
        self.assertIn('notes', self.tables())


class TestLyingVersion(base.EachEngine):

    def test_columns_decide(self) -> None:
        self.begin_at('5c9d21e87f34')
        documents.fill(self)
        self.execute("UPDATE alembic_version "
                     "SET version_num = '1333cef214d9'")
        upgrade.sync(self.url)
        self.assertEqual(upgrade.head(), upgrade.current(self.url))
        self.assertEqual(3, len(self.rows('SELECT id FROM job_actions')))

    def test_left_by_a_conversion_that_died(self) -> None:
        # job_actions is there, half filled, and so is jobs.job_actions.
        self.begin_at('4f8c679a1d3b')
        documents.fill(self)
        self.execute(
            'CREATE TABLE job_actions ('
            'created_at {time}, updated_at {time}, deleted_at {time}, '
            'deleted BOOLEAN, id VARCHAR(36) NOT NULL PRIMARY KEY, '
            'job_id VARCHAR(36) NOT NULL, action_id VARCHAR(36) NOT NULL, '
            'position INTEGER, '
            'FOREIGN KEY (job_id) REFERENCES jobs (id), '
            'FOREIGN KEY (action_id) REFERENCES actions (id))'.format(
                time='TIMESTAMP' if self.backend == 'postgresql'
                else 'DATETIME'))
        self.insert('job_actions', {
            'id': 'half', 'job_id': 'job-2', 'action_id': 'action-2',
            'position': 0})
        upgrade.sync(self.url)
        self.assertEqual(
            [('job-1', 'action-1'), ('job-2', 'action-1'),
             ('job-2', 'action-1')],
            self.rows('SELECT job_id, action_id FROM job_actions '
                      'ORDER BY job_id'))


class TestLegacy(base.EachEngine):
    """Tables that sqlalchemy-migrate made for 15.0.0 and older."""

    def make(self, *, stamped: bool) -> None:
        self.begin_at('e74c32f034c5')
        self.execute('DROP TABLE alembic_version')
        for table in ('clients', 'actions', 'action_reports'):
            self.execute(f'ALTER TABLE {table} DROP COLUMN user_id')
            self.execute(f'ALTER TABLE {table} ADD COLUMN user_id '
                         "VARCHAR(36) NOT NULL DEFAULT 'u'")
        documents.fill(self)
        self.execute('CREATE TABLE migrate_version '
                     '(repository_id VARCHAR(250) PRIMARY KEY, '
                     'repository_path TEXT, version INTEGER)')
        self.execute("INSERT INTO migrate_version VALUES ('Freezer', '', 3)")
        if stamped:
            self.execute('CREATE TABLE alembic_version '
                         '(version_num VARCHAR(32) PRIMARY KEY)')
            self.execute(
                "INSERT INTO alembic_version VALUES ('1333cef214d9')")

    def assert_adopted(self) -> None:
        upgrade.sync(self.url)
        self.assertEqual(upgrade.head(), upgrade.current(self.url))
        self.assertEqual(3, len(self.rows('SELECT id FROM job_actions')))
        with self.engine.connect() as connection:
            inspector = sa.inspect(connection)
            for table in ('clients', 'actions', 'action_reports', 'jobs'):
                (user_id,) = (
                    column for column in inspector.get_columns(table)
                    if column['name'] == 'user_id')
                self.assertEqual(64, getattr(user_id['type'], 'length', 0))
                self.assertFalse(user_id['nullable'])

    def test_version_3(self) -> None:
        self.make(stamped=False)
        self.assert_adopted()

    def test_version_3_that_upstream_stamped_too_low(self) -> None:
        self.make(stamped=True)
        self.assert_adopted()

    def test_a_column_that_sqlite_kept_under_its_old_name(self) -> None:
        self.make(stamped=False)
        self.execute('ALTER TABLE actions RENAME COLUMN actionmode TO mode')
        self.assert_adopted()
        self.assertEqual([('cindernative',)], self.rows(
            "SELECT actionmode FROM actions WHERE id = 'action-1'"))


class TestMySQLTables(base.DatabaseTest):
    """Tables that another default of MySQL left behind."""

    backend = 'mysql'

    def legacy(self, revision: str) -> None:
        """Tables of a utf8 deployment in a database that is utf8mb4 now."""
        database = self.engine.url.database
        self.execute(f'ALTER DATABASE {database} CHARACTER SET utf8mb3')
        upgrade.sync(self.url, revision)
        self.execute(f'ALTER DATABASE {database} CHARACTER SET utf8mb4 '
                     'COLLATE utf8mb4_unicode_ci')
        documents.fill(self)

    def assert_upgraded(self) -> None:
        upgrade.sync(self.url)
        self.assertEqual(upgrade.head(), upgrade.current(self.url))
        self.assertEqual(3, len(self.rows('SELECT id FROM job_actions')))
        self.assertEqual(
            {('jobs',), ('actions',), ('delegations',)},
            set(self.rows(
                'SELECT referenced_table_name '
                'FROM information_schema.referential_constraints '
                'WHERE constraint_schema = DATABASE()')))

    def test_utf8_at_18(self) -> None:
        self.legacy('23c8ad2655a6')
        self.assert_upgraded()
        ((value,),) = self.rows('SELECT value FROM kept_values')
        self.assertEqual('Zoë', value.decode())

    def test_utf8_at_19(self) -> None:
        self.legacy('7a3b9c1d2e4f')
        self.assert_upgraded()

    def test_utf8_that_upstream_left_half_way(self) -> None:
        # It fails on job_actions, with the version row one before it.
        self.legacy('4f8c679a1d3b')
        self.assert_upgraded()

    def test_utf8_jobs_with_utf8mb4_credentials(self) -> None:
        self.legacy('29a2fd19eb86')
        self.execute('ALTER TABLE user_credentials CONVERT TO CHARACTER SET '
                     'utf8mb4 COLLATE utf8mb4_unicode_ci')
        self.execute("INSERT INTO user_credentials "
                     "(id, trust_id, trustor_user_id, job_id) "
                     "VALUES ('cred-2', 't', 'u', 'gone')")
        self.assert_upgraded()
        self.assertEqual([('cred-1',)],
                         self.rows('SELECT id FROM user_credentials'))

    def test_text_that_the_tables_cannot_hold(self) -> None:
        self.legacy('23c8ad2655a6')
        definition = {'action': 'backup', 'backup_name': '\U0001f4be'}
        self.insert('jobs', documents.job(
            self, 'job-3', [{'freezer_action': definition}]))
        upgrade.sync(self.url)
        ((name, document),) = self.rows(
            'SELECT backup_name, backup_metadata FROM actions, job_actions '
            "WHERE actions.id = action_id AND job_id = 'job-3'")
        self.assertIsNone(name)
        self.assertIn('ud83d', document)
        self.assertIn(('job-3',), self.rows(
            'SELECT row_id FROM kept_values'))

    def test_rows_of_a_format_with_short_keys(self) -> None:
        self.begin_at('7a3b9c1d2e4f')
        self.execute('ALTER TABLE jobs ROW_FORMAT=COMPACT')
        upgrade.sync(self.url)
        self.assertEqual(upgrade.head(), upgrade.current(self.url))


class TestSQLiteCells(base.DatabaseTest):

    def test_text_that_is_not_utf8(self) -> None:
        self.begin_at('23c8ad2655a6')
        documents.fill(self)
        for column in ('job_actions', 'schedule'):
            self.execute(f"UPDATE jobs SET {column} = "
                         "CAST(X'5B22FF225D' AS TEXT) WHERE id = 'job-1'")
        upgrade.sync(self.url)
        self.assertIn(
            ('jobs', 'job_actions', 'job-1', 'not JSON', b'["\xff"]'),
            self.rows('SELECT * FROM kept_values'))
        self.assertEqual([(b'["\xff"]',)], self.rows(
            "SELECT CAST(schedule AS BLOB) FROM jobs WHERE id = 'job-1'"))

    def test_a_database_in_memory(self) -> None:
        engine = sa.create_engine('sqlite://', poolclass=sa.pool.StaticPool)
        upgrade.sync(engine)
        upgrade.sync(engine)
        self.assertEqual(upgrade.head(), upgrade.current(engine))

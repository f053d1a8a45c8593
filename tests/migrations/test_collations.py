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

"""All that is done to a whole database, whatever its collations are."""

from __future__ import annotations

import datetime

import sqlalchemy as sa
import testscenarios

from freezer_api.db.admin import check as database_check
from freezer_api.db.admin import collation_repair
from freezer_api.db.admin import copy
from freezer_api.db.admin import purge
from freezer_api.db.admin import repair
from freezer_api.db.admin import upgrade
from freezer_api.db.admin import upgrade_report
from freezer_api.db import models
from tests.migrations import base
from tests.migrations import documents
from tests.migrations import opened
from tests import mixed_collations

# The default of the database while the released tables are made, and later.
DEFAULTS = (('utf8mb4_general_ci', 'utf8mb4_unicode_ci'),
            ('utf8mb3_general_ci', 'utf8mb4_general_ci'),
            ('latin1_swedish_ci', 'utf8mb4_unicode_ci'),
            ('utf8mb4_unicode_ci', 'latin1_swedish_ci'))
TABLES = {'as made': (), 'mixed': mixed_collations.NAMES,
          'two': mixed_collations.NAMES[:2],
          'a binary one': ('utf8mb4_bin', 'utf8mb4_unicode_ci'),
          'two character sets': ('utf8mb3_general_ci', 'utf8mb4_unicode_ci',
                                 'latin1_swedish_ci')}


class TestWhateverTheCollations(testscenarios.WithScenarios,
                                base.DatabaseTest):

    backend = 'mysql'
    # Each default and each mixture, and the worst mixture with each default.
    scenarios = [
        (f'{name} in {then} then {now}',
         {'then': then, 'now': now, 'names': names})
        for number, (name, names) in enumerate(TABLES.items())
        for at, (then, now) in enumerate(DEFAULTS)
        if name == 'mixed' or at == number % len(DEFAULTS)]
    then, now = '', ''
    names: tuple[str, ...] = ()

    def set_default(self, name: str) -> None:
        self.execute(f'ALTER DATABASE {self.engine.url.database} COLLATE '
                     f'{name}')

    def check(self) -> database_check.Finding:
        found = database_check.inspect(self.url)
        self.assertEqual([], found.obstacles)
        return found

    def test_a_life(self) -> None:
        self.set_default(self.then)
        for revision in ('23c8ad2655a6', '7a3b9c1d2e4f'):
            upgrade.sync(self.url, revision)
            if self.names:
                mixed_collations.mix(self.engine, self.names)
            self.set_default(self.now)
            if revision == '23c8ad2655a6':
                documents.fill(self)
            self.check()
        self.insert('user_credentials', {
            'id': 'c2', 'trust_id': 't2', 'trustor_user_id': 'ann',
            'job_id': 'gone'})
        self.assertEqual(1, self.check().kept[
            'user_credentials: their job does not exist'])
        upgrade.sync(self.url)
        self.assert_texts_fit()
        self.check()
        before = documents.contents(opened.database(self).engine)
        self.assertEqual(2, len(before['jobs']))
        self.purge()
        upgrade_report.make(opened.database(self))
        repair.repair(self.url)
        self.assertEqual([], [
            note for note in self.check().notes if 'collations' in note])
        self.assertEqual(0, repair.repair(self.url).collations)
        self.assert_copied()

    def assert_texts_fit(self) -> None:
        """What is read from a table of old fits the tables of ours."""
        with self.engine.connect() as connection:
            known = collation_repair.read(connection)
        for column, other in (
                (('queues', 'client_id'), ('jobs', 'client_id')),
                (('queues', 'project_id'), ('jobs', 'project_id')),
                (('job_runs', 'client_id'), ('jobs', 'client_id')),
                (('job_runs', 'job_id'), ('jobs', 'id')),
                (('job_runs', 'project_id'), ('jobs', 'project_id')),
                (('job_runs', 'delegation_id'), ('delegations', 'id')),
                (('jobs', 'run_id'), ('job_runs', 'id')),
                (('job_runs', 'document_id'), ('run_documents', 'id')),
                (('run_documents', 'job_id'), ('jobs', 'id')),
                (('user_credentials', 'job_id'), ('jobs', 'id'))):
            self.assertEqual(known[other], known[column], str(column))

    def purge(self) -> None:
        self.execute("UPDATE jobs SET deleted_at = '2025-01-01' "
                     "WHERE id = 'job-2'")
        self.insert('job_runs', {
            'id': 'run', 'job_id': 'job-2', 'client_id': 'host-1',
            'nominal_at': 1, 'trigger': 'schedule', 'state': 'success',
            'fence': 1})
        work = purge.Purge(opened.database(self),
                           datetime.datetime.fromisoformat('2026-01-01'))
        counted = work.counts()
        self.assertEqual(1, counted['jobs'])
        self.assertEqual(counted, work.run())

    def assert_copied(self) -> None:
        backend, self.backend = self.backend, 'sqlite'
        target = self.new_url()
        self.backend = backend
        self.assertEqual(1, copy.copy(self.url, target)['jobs'])


class TestRepair(base.DatabaseTest):

    backend = 'mysql'

    def test_after_it_was_killed(self) -> None:
        """Foreign keys that it dropped come back."""
        self.begin_at(upgrade.head())
        documents.fill(self)

        def keys() -> list[str]:
            return sorted(
                repr((table, key['constrained_columns'],
                      key['referred_table'], key['options']))
                for table in models.Base.metadata.tables for key
                in sa.inspect(self.engine).get_foreign_keys(table))

        def definitions() -> list[str]:
            return [str(sa.schema.CreateTable(table).compile(self.engine))
                    for table in models.Base.metadata.sorted_tables]

        before = keys()
        defined = definitions()
        mixed_collations.mix(self.engine)
        for statements in range(1, 12):
            self.killed(statements)
        repair.repair(self.url)
        self.assertEqual(before, keys())
        self.assertEqual(defined, definitions())
        with self.engine.connect() as connection:
            self.assertEqual([], collation_repair.differences(connection))

    def killed(self, statements: int) -> None:
        left = [statements]

        def count(connection: object, cursor: object, statement: str,
                  *rest: object) -> None:
            if statement.startswith('ALTER'):
                left[0] -= 1
                if not left[0]:
                    raise KeyboardInterrupt

        sa.event.listen(sa.Engine, 'before_cursor_execute', count)
        try:
            repair.repair(self.url)
        except KeyboardInterrupt:
            pass
        finally:
            sa.event.remove(sa.Engine, 'before_cursor_execute', count)

    def test_keys_that_become_one(self) -> None:
        """It says so, and nothing is lost."""
        self.begin_at(upgrade.head())
        with self.engine.connect() as connection:
            collation_repair.convert(
                connection, 'sessions',
                collation_repair.Collation('utf8mb4', 'utf8mb4_bin'))
        self.insert('sessions', *(
            {'id': name, 'user_id': 'u'} for name in ('a', 'A')))
        self.assertRaisesRegex(
            upgrade.MigrationError, 'two keys', repair.repair, self.url)
        self.assertEqual(2, len(self.rows('SELECT id FROM sessions')))


class TestDates(base.DatabaseTest):

    backend = 'mysql'

    def test_zero_dates(self) -> None:
        """In each column that may hold one, from each release."""
        for revision in ('23c8ad2655a6', '7a3b9c1d2e4f', upgrade.head()):
            self.url = self.new_url()
            self.engine = sa.create_engine(
                self.url, poolclass=sa.pool.NullPool)
            self.begin_at(revision)
            documents.fill(self)
            columns = self.spoil()
            found = database_check.inspect(self.url)
            self.assertEqual([], found.obstacles)
            told = ' '.join([*found.kept, *found.notes])
            for table, column in columns:
                self.assertIn(f'{table}.{column}', told)
            if revision == upgrade.head():
                self.assertGreater(repair.repair(self.url).dates, 20)
            else:
                upgrade.sync(self.url)
            self.assertEqual(upgrade.head(), upgrade.current(self.url))
            for table, column in columns:
                self.assertEqual([], self.rows(
                    f'SELECT id FROM {table} WHERE {column} IS NOT NULL'))
            kept = {value[0] for value in self.rows(
                "SELECT value FROM kept_values WHERE reason = 'no date'")}
            self.assertEqual({b'0000-00-00 00:00:00', b'2024-00-10 01:02:03'},
                             kept)
            found = database_check.inspect(self.url)
            self.assertEqual([], found.obstacles)
            self.assertNotIn('not dates', ' '.join(found.notes))

    def spoil(self) -> list[tuple[str, str]]:
        columns = []
        with self.engine.begin() as connection:
            connection.execute(sa.text("SET SESSION sql_mode = ''"))
            inspector = sa.inspect(connection)
            for table in inspector.get_table_names():
                if not self.rows(f'SELECT 1 FROM {table} LIMIT 1'):
                    continue
                for column in inspector.get_columns(table):
                    if isinstance(column['type'], sa.DateTime):
                        columns.append((table, column['name']))
                        value = ('0000-00-00 00:00:00' if len(columns) % 2
                                 or isinstance(column['type'], sa.TIMESTAMP)
                                 else '2024-00-10 01:02:03')
                        connection.execute(sa.text(
                            f'UPDATE {table} SET {column["name"]} = :value'),
                            {'value': value})
        return columns

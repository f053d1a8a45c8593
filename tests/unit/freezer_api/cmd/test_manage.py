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

"""freezer-manage, called as its console script calls it."""

from __future__ import annotations

import contextlib
import io
import pathlib
import sqlite3

from cryptography import fernet
import fixtures
import testtools

from freezer_api.cmd import manage
from freezer_api.db.admin import upgrade


# Each verb of the database with the arguments that it needs.
VERBS = [['sync'], ['update'], ['version'], ['show'], ['check'], ['report'],
         ['refresh'], ['purge', '--older-than', '9'],
         ['downgrade', '--to', '19.0.0']]


class ManageTest(testtools.TestCase):

    def setUp(self) -> None:
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.database = self.folder / 'freezer.db'
        self.config = self.folder / 'freezer-api.conf'
        self.configure(f'sqlite:///{self.database}')
        # oslo.log takes over the root logger; give it back.
        self.useFixture(fixtures.FakeLogger())

    def configure(self, url: str) -> None:
        self.config.write_text(f'[database]\nconnection = {url}\n',
                               encoding='utf-8')

    def run_manage(self, *args: str) -> tuple[int, str, str]:
        """Return (exit status, stdout, stderr)."""
        out = io.StringIO()
        errors = io.StringIO()
        with (contextlib.redirect_stdout(out),
              contextlib.redirect_stderr(errors)):
            try:
                status = manage.main(
                    ['--config-file', str(self.config), *args])
            except SystemExit as stop:
                assert isinstance(stop.code, int)
                status = stop.code
        return status, out.getvalue(), errors.getvalue()

    def assert_fails(self, *args: str) -> str:
        """Return the one line that says why."""
        status, out, errors = self.run_manage(*args)
        self.assertEqual((1, ''), (status, out))
        self.assertEqual(1, len(errors.splitlines()), errors)
        self.assertTrue(errors.startswith('freezer-manage: '), errors)
        return errors


class TestDatabase(ManageTest):

    def test_sync_and_version(self) -> None:
        self.assertEqual((0, 'none\n', ''), self.run_manage('db', 'version'))
        self.assertEqual(0, self.run_manage('db', 'sync')[0])
        self.assertEqual((0, f'{upgrade.head()} (head)\n', ''),
                         self.run_manage('db', 'version'))

    def test_version_behind(self) -> None:
        upgrade.sync(f'sqlite:///{self.database}', '23c8ad2655a6')
        self.assertEqual((0, '23c8ad2655a6\n', ''),
                         self.run_manage('db', 'version'))

    def test_sync_again(self) -> None:
        for _ in range(2):
            self.assertEqual(0, self.run_manage('db', 'sync')[0])

    def test_words_of_upstream(self) -> None:
        self.assertEqual(0, self.run_manage('db', 'update')[0])
        status, out, _ = self.run_manage('db', 'show')
        self.assertEqual(0, status)
        self.assertIn('jobs', out.splitlines())
        self.assertIn('alembic_version', out.splitlines())

    def test_no_connection(self) -> None:
        self.configure('')
        self.assertIn('connection is not set',
                      self.assert_fails('db', 'sync'))

    def test_a_directory_that_is_not_there(self) -> None:
        self.configure(f'sqlite:///{self.folder}/gone/freezer.db')
        self.assertIn('unable to open', self.assert_fails('db', 'sync'))

    def test_a_server_that_is_not_there(self) -> None:
        self.configure('mysql+pymysql://freezer:s3cr3t@127.0.0.1:9/freezer')
        text = self.assert_fails('db', 'sync')
        self.assertIn('127.0.0.1', text)
        self.assertNotIn('s3cr3t', text)

    def test_urls_that_cannot_be_used(self) -> None:
        for url in ('s3cr3t', 'mysql+pymysql://u:s3cr3t:x@host:s3cr3t/db',
                    'oracle://u:s3cr3t@host/db',
                    'mysql+nothing://u:s3cr3t@host/db'):
            self.configure(url)
            self.assertNotIn('s3cr3t', self.assert_fails('db', 'sync'))

    def test_a_file_that_is_no_database(self) -> None:
        self.database.write_text('x' * 1000, encoding='utf-8')
        self.assert_fails('db', 'sync')

    def test_tables_without_version(self) -> None:
        connection = sqlite3.connect(self.database)
        connection.execute('CREATE TABLE jobs (id TEXT)')
        connection.close()
        self.assertIn('no version', self.assert_fails('db', 'sync'))


class TestPurge(ManageTest):

    def test_a_count_and_a_purge(self) -> None:
        self.run_manage('db', 'sync')
        connection = sqlite3.connect(self.database)
        connection.execute(
            "INSERT INTO jobs (id, user_id, client_id, deleted, deleted_at) "
            "VALUES ('j', 'u', 'c', 1, '2020-01-01 00:00:00.000000')")
        connection.commit()
        for option, done, left in (('--dry-run', 'to purge', 1),
                                   ('--older-than=1', 'purged', 0)):
            status, out, errors = self.run_manage(
                'db', 'purge', option,
                *(['--before', '2020-01-02'] if left else []))
            self.assertEqual((0, ''), (status, errors))
            self.assertIn('jobs: 1\n', out)
            self.assertIn(f'{done}: 1 rows', out)
            self.assertEqual((left,), connection.execute(
                'SELECT COUNT(*) FROM jobs').fetchone())
        connection.close()

    def test_wrong_times(self) -> None:
        for option in (['--older-than', '-1'], ['--older-than', 'x'],
                       ['--before', '2999-01-01'], ['--before', 'x'],
                       ['--before', '0001-01-01T00:00:00+14:00'],
                       ['--before', '2020-01-01', '--older-than', '1'], []):
            status, out, errors = self.run_manage('db', 'purge', *option)
            self.assertEqual((2, ''), (status, out), ' '.join(option))
            self.assertNotIn('Traceback', errors)

    def test_another_schema(self) -> None:
        upgrade.sync(f'sqlite:///{self.database}', '23c8ad2655a6')
        self.assertIn('db check', self.assert_fails(
            'db', 'purge', '--older-than', '1'))


class TestCheck(ManageTest):

    def test_what_there_is_to_do(self) -> None:
        url = f'sqlite:///{self.database}'
        for prepare, result in (
                (lambda: None, 'ready for freezer-manage db sync'),
                (lambda: upgrade.sync(url, '23c8ad2655a6'),
                 'ready for freezer-manage db sync'),
                (lambda: upgrade.sync(url), 'up to date')):
            prepare()
            status, out, errors = self.run_manage('db', 'check')
            self.assertEqual((0, ''), (status, errors))
            self.assertIn(f'Result: {result}', out)
            self.assertIn('keys is not set', out)

    def test_what_is_in_the_way(self) -> None:
        upgrade.sync(f'sqlite:///{self.database}')
        connection = sqlite3.connect(self.database)
        connection.execute('DROP TABLE alembic_version')
        connection.close()
        status, out, errors = self.run_manage('db', 'check')
        self.assertEqual((1, ''), (status, errors))
        self.assertIn('Obstacles:', out)

    def test_each_verb_without_a_database(self) -> None:
        """One line, without the password, whatever the verb."""
        for url in ('mysql+pymysql://u:s3cr3t@127.0.0.1:9/freezer',
                    'postgresql+psycopg://u:s3cr3t@127.0.0.1:9/freezer',
                    'mysql+pymysql://u:s3cr3t:x@host:s3cr3t/db', 's3cr3t'):
            self.configure(url)
            for verb in VERBS:
                self.assertNotIn('s3cr3t', self.assert_fails('db', *verb))

    def test_each_verb_on_another_release(self) -> None:
        upgrade.sync(f'sqlite:///{self.database}')
        connection = sqlite3.connect(self.database)
        connection.execute("UPDATE alembic_version SET version_num = 'new'")
        connection.commit()
        connection.close()
        for verb in VERBS:
            if verb not in (['version'], ['show'], ['check']):
                self.assert_fails('db', *verb)

    def test_report(self) -> None:
        self.run_manage('db', 'sync')
        self.assertEqual((0, 'Nothing to report.\n', ''),
                         self.run_manage('db', 'report'))


class TestCopy(ManageTest):

    def test_to_another_file(self) -> None:
        self.run_manage('db', 'sync')
        other = self.folder / 'other.conf'
        other.write_text(
            f'[database]\nconnection = sqlite:///{self.folder}/other.db\n',
            encoding='utf-8')
        status, out, errors = self.run_manage(
            'db', 'copy', '--to-config-file', str(other))
        self.assertEqual((0, ''), (status, errors))
        self.assertIn('copied: 0 rows', out)
        self.config = other
        self.assertEqual((0, f'{upgrade.head()} (head)\n', ''),
                         self.run_manage('db', 'version'))

    def test_without_a_target(self) -> None:
        self.run_manage('db', 'sync')
        self.assert_fails('db', 'copy', '--to-config-file', '/no/where')
        self.assertIn('connection is not set', self.assert_fails(
            'db', 'copy', '--to-config-file', '/dev/null'))


class TestDowngrade(ManageTest):

    def test_there_and_back(self) -> None:
        self.run_manage('db', 'sync')
        status, out, errors = self.run_manage(
            'db', 'downgrade', '--to', '19.0.0')
        self.assertEqual((0, ''), (status, errors))
        self.assertIn('freezer-api 19.0.0', out)
        self.assertEqual((0, '7a3b9c1d2e4f\n', ''),
                         self.run_manage('db', 'version'))
        self.assertEqual(0, self.run_manage('db', 'sync')[0])
        self.assertEqual((0, f'{upgrade.head()} (head)\n', ''),
                         self.run_manage('db', 'version'))

    def test_not_from_here(self) -> None:
        upgrade.sync(f'sqlite:///{self.database}', '23c8ad2655a6')
        self.assertIn('23c8ad2655a6', self.assert_fails(
            'db', 'downgrade', '--to', '19.0.0'))

    def test_not_to_there(self) -> None:
        for option in ([], ['--to', '18.0.0']):
            self.assertEqual(2, self.run_manage(
                'db', 'downgrade', *option)[0])


class TestConfiguration(ManageTest):

    def test_a_file_that_is_not_there(self) -> None:
        self.config.unlink()
        self.assertIn(str(self.config), self.assert_fails('db', 'sync'))

    def test_a_line_that_is_no_option(self) -> None:
        self.config.write_text('[database]\n  x\nmysql://u:s3cr3t@host/db\n',
                               encoding='utf-8')
        self.assertNotIn('s3cr3t', self.assert_fails('db', 'sync'))


class TestUsage(ManageTest):

    def test_wrong_words(self) -> None:
        cases: list[tuple[str, ...]] = [
            (), ('db',), ('db', 'destroy'), ('database', 'sync'),
            ('db', 'sync', 'now'), ('--what', 'db', 'sync')]
        for args in cases:
            status, out, errors = self.run_manage(*args)
            self.assertEqual((2, ''), (status, out), ' '.join(args))
            self.assertIn('usage: freezer-manage', errors)
        self.assertFalse(self.database.exists())

    def test_help(self) -> None:
        status, out, _ = self.run_manage('db', '--help')
        self.assertEqual(0, status)
        for verb in manage.COMMANDS['db']:
            self.assertIn(verb, out)


class TestCredential(ManageTest):

    def test_generate_key(self) -> None:
        keys = set()
        for _ in range(2):
            status, out, errors = self.run_manage('credential',
                                                  'generate-key')
            self.assertEqual((0, ''), (status, errors))
            fernet.Fernet(out.strip().encode())
            keys.add(out)
        self.assertEqual(2, len(keys))

    def test_generate_key_needs_no_database(self) -> None:
        self.configure('')
        self.assertEqual(0, self.run_manage('credential',
                                            'generate-key')[0])

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

"""Stored trusts change their key while everything goes on."""

from __future__ import annotations

import contextlib
import io
import threading

from cryptography import fernet
import sqlalchemy as sa

from freezer_api.cmd import manage
from freezer_api.db.admin import upgrade_report
from freezer_api.db.migrations import migration_quarantine
from freezer_api.db import models
from freezer_api.db import trust_id_columns
from freezer_api.keystone import crypt
from freezer_api.services import key_rotation
from tests.functional import base

NEW = fernet.Fernet.generate_key().decode()


class KeyRotationTests(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.register_central()

    def rotation(self, *keys: str) -> key_rotation.KeyRotation:
        return key_rotation.KeyRotation(
            self.database, crypt.Crypt(list(keys)))

    def use_keys(self, *keys: str) -> None:
        """Be an API with these keys from here on."""
        self.conf.set_override('keys', list(keys), 'user_credentials')
        self.services = self._services()
        self.client.app = self.make_app()

    def trust_of(self, job_id: str) -> str:
        trust_id: str = self.call(
            base.SERVICE, 'GET', f'/v2/p1/jobs/{job_id}',
            status=200)['trust_id']
        return trust_id

    def test_the_old_key_is_not_needed_any_more(self) -> None:
        jobs = [self.create_job(), self.create_job(persona=base.MATE)]
        before = [self.trust_of(job) for job in jobs]
        rotation = self.rotation(NEW, base.KEY)
        self.assertEqual({'key 1': 0, 'key 2': 4}, rotation.counts())
        self.assertEqual(4, rotation.rotate())
        self.assertEqual(0, rotation.rotate())
        self.assertEqual({'key 1': 4}, self.rotation(NEW).counts())
        self.use_keys(NEW)
        self.assertEqual(before, [self.trust_of(job) for job in jobs])
        self.assertEqual(before[:1], [
            self.trust_of(self.create_job())], 'the trust is shared still')

    def test_a_trust_of_no_job_is_encrypted_and_reported(self) -> None:
        orphaned = migration_quarantine.ORPHANED_CREDENTIALS
        with self.database.engine.begin() as connection:
            orphaned.create(connection, checkfirst=True)
            connection.execute(orphaned.insert(), {
                'id': 'o', 'trust_id': 'adopted', 'trustor_user_id': 'alice',
                'job_id': 'gone', 'deleted': False})
        self.addCleanup(orphaned.drop, self.database.engine)
        rotation = self.rotation(base.KEY)
        self.assertEqual({'key 1': 0, 'plain text': 1}, rotation.counts())
        self.assertEqual(1, rotation.rotate())
        with self.database.read() as session:
            row = session.execute(sa.select(orphaned)).one()
        self.assertNotIn('adopted', row.trust_id)
        self.assertEqual('adopted', crypt.Crypt([base.KEY]).decrypt(
            row.trust_id, row.decrypt_method))
        self.assertEqual(1, self.rotation(NEW, base.KEY).rotate())
        [sort] = upgrade_report.make(self.database).orphaned
        self.assertEqual((1, ['o']), (sort.count, sort.ids))
        self.assertIn('alice', sort.title)

    def test_plain_text_of_an_adopted_database_is_encrypted(self) -> None:
        job = self.create_job()
        with self.database.engine.begin() as connection:
            connection.execute(sa.update(models.UserCredential).values(
                trust_id='adopted', decrypt_method=None))
        rotation = self.rotation(base.KEY)
        self.assertEqual({'key 1': 1, 'plain text': 1}, rotation.counts())
        self.assertEqual(1, rotation.rotate())
        self.assertEqual('adopted', self.trust_of(job))
        with self.database.read() as session:
            self.assertEqual(['fernet'], list(session.scalars(
                sa.select(models.UserCredential.decrypt_method))))

    def test_what_no_key_fits_is_left_as_it_is(self) -> None:
        job = self.create_job()
        trust = self.trust_of(job)
        rotation = self.rotation(NEW)
        self.assertEqual(0, rotation.rotate())
        self.assertEqual({'key 1': 0, 'unreadable': 2}, rotation.counts())
        self.assertEqual(trust, self.trust_of(job))

    def test_deleted_credentials_hold_nothing_to_rotate(self) -> None:
        job = self.create_job()
        self.call(base.MEMBER, 'DELETE', f'jobs/{job}', status=204)
        self.assertEqual({'key 1': 0}, self.rotation(base.KEY).counts())

    def test_without_a_key_nothing_is_touched(self) -> None:
        self.create_job()
        self.assertEqual(0, self.rotation().rotate())
        self.assertEqual({'key 1': 0, 'unreadable': 2},
                         self.rotation().counts())

    def test_jobs_that_come_and_go_meanwhile(self) -> None:
        """An API with the older keys goes on writing: nothing is lost."""
        kept = [self.create_job() for _ in range(3)]
        problems: list[BaseException] = []
        stop = threading.Event()

        def write() -> None:
            try:
                while not stop.is_set():
                    kept.append(self.create_job(persona=base.MATE))
                    gone = self.create_job(persona=base.MATE)
                    self.call(base.MATE, 'DELETE', f'jobs/{gone}',
                              status=204)
            except AssertionError as problem:
                problems.append(problem)

        self.use_keys(base.KEY, NEW)
        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(3):
                self.rotation(NEW, base.KEY).rotate()
        finally:
            stop.set()
            writer.join()
        self.assertEqual([], problems)
        self.rotation(NEW, base.KEY).rotate()
        self.use_keys(NEW)
        for job in kept:
            self.assertIn(self.trust_of(job), self.trusts.live)

    def test_a_row_that_changed_meanwhile_is_not_overwritten(self) -> None:
        self.create_job()
        rotation = self.rotation(NEW, base.KEY)
        [stale] = [stored for chunk in trust_id_columns.chunks(
            self.database) for stored in chunk
            if stored.table is models.UserCredential.__table__]
        rotation.rotate()
        self.assertFalse(self.database.write(
            lambda session: stale.replace(session, 'late', 'fernet')))
        self.assertEqual({'key 1': 2}, self.rotation(NEW).counts())

    def run_manage(self, *words: str) -> tuple[int, str]:
        path = f'{self.directory}/rotating.conf'
        with open(path, 'w', encoding='utf-8') as file:
            file.write(f'[database]\nconnection = {self.url_used}\n'
                       f'[user_credentials]\nkeys = {NEW},{base.KEY}\n')
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            status = manage.main(['--config-file', path, *words])
        return status, out.getvalue()

    @property
    def url_used(self) -> str:
        return self.database.engine.url.render_as_string(hide_password=False)

    def test_by_command(self) -> None:
        self.create_job()
        status, text = self.run_manage('credential', 'check')
        self.assertEqual(1, status)
        self.assertEqual(
            'key 1: 0\nkey 2: 2\nfreezer-manage: 2 trusts are not encrypted '
            'with the first key\n', text)
        self.assertEqual((0, 're-encrypted: 2\nkey 1: 2\n'),
                         self.run_manage('credential', 'rotate'))
        self.assertEqual((0, 'key 1: 2\n'),
                         self.run_manage('credential', 'check'))


class MySQLKeyRotationTests(base.MySQL, KeyRotationTests):
    pass


class PostgreSQLKeyRotationTests(base.PostgreSQL, KeyRotationTests):
    pass

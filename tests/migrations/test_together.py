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

"""Two upgrades of one database at the same time."""

from __future__ import annotations

import subprocess
import sys

import sqlalchemy as sa

from freezer_api.db.admin import upgrade
from freezer_api.db.admin import upgrade_lock
from tests.migrations import base
from tests.migrations import documents

# Starts only when both are loaded, so that they meet.
PROGRAM = """
from freezer_api.db.admin import upgrade as migration
from freezer_api.db.admin import upgrade_lock as migration_lock
import sys
print('ready', flush=True)
sys.stdin.readline()
migration.sync(sys.argv[1])
"""


class TestTogether(base.EachEngine):

    def start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, '-c', PROGRAM, self.url], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self.addCleanup(process.kill)
        return process

    def race(self) -> None:
        processes = [self.start(), self.start()]
        for process in processes:
            assert process.stdout is not None
            self.assertEqual('ready\n', process.stdout.readline())
        for process in processes:
            assert process.stdin is not None
            process.stdin.write('\n')
            process.stdin.flush()
        for process in processes:
            _, errors = process.communicate(timeout=120)
            self.assertEqual((0, ''), (process.returncode, errors))
        self.assertEqual(upgrade.head(), upgrade.current(self.url))

    def test_on_an_empty_database(self) -> None:
        self.race()

    def test_on_one_with_rows(self) -> None:
        self.begin_at('23c8ad2655a6')
        documents.fill(self)
        self.race()
        self.assertEqual(3, len(self.rows('SELECT id FROM job_actions')))

    def test_waiting_ends(self) -> None:
        self.begin_at('23c8ad2655a6')
        holder = self.engine.connect()
        self.addCleanup(holder.close)
        if self.backend == 'sqlite':
            holder.exec_driver_sql('BEGIN IMMEDIATE')
        elif self.backend == 'postgresql':
            holder.execute(sa.text('SELECT pg_advisory_lock(:key)'),
                           {'key': upgrade_lock.POSTGRESQL_LOCK})
        else:
            # The server may still be about to end the connection of before.
            self.assertEqual(1, holder.scalar(
                sa.text('SELECT GET_LOCK(:name, 10)'),
                {'name': upgrade_lock.mysql_lock_name(self.engine.url)}))
        error = self.assertRaises(
            upgrade.MigrationError, upgrade.sync, self.url,
            lock_timeout=1)
        self.assertIn('another process', str(error))
        holder.close()
        upgrade.sync(self.url, lock_timeout=1)

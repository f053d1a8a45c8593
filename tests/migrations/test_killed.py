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

"""An upgrade that dies half-way goes on when it is run again."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from freezer_api.db.admin import upgrade
from tests.migrations import base
from tests.migrations import documents


class Stop(Exception):
    """Stands in for the end of the process."""


def is_change(statement: str) -> bool:
    """Whether a statement changes the schema or rows."""
    return statement.split(None, 1)[0].upper() in (
        'CREATE', 'ALTER', 'DROP', 'INSERT', 'UPDATE', 'DELETE', 'COMMIT')


class TestKilled(base.EachEngine):
    def setUp(self) -> None:
        super().setUp()
        self.left = 0
        self.died_at = ''
        self.last = ''
        sa.event.listen(sa.Engine, 'before_cursor_execute', self._count)
        self.addCleanup(sa.event.remove, sa.Engine, 'before_cursor_execute',
                        self._count)

    def _count(self, connection: sa.Connection, cursor: Any, statement: str,
               parameters: Any, context: Any, executemany: bool) -> None:
        if self.left and is_change(statement):
            self.left -= 1
            if not self.left:
                # Commits are alike: what comes before tells them apart.
                self.died_at = (f'{self.last}; {statement}'
                                if statement == 'COMMIT' else statement)
                raise Stop
            self.last = statement

    def _sync_and_die(self, changes: int) -> bool:
        """Upgrade, but die before the nth change; whether it came to that."""
        self.left = changes
        try:
            upgrade.sync(self.url)
        except Stop:
            return True
        finally:
            self.left = 0
        return False

    def _sync_with_many_deaths(self) -> None:
        """Die before each change.

        Where changes last, the next upgrade meets what the last one left, and
        goes a change further only when it came no further.
        """
        seen: set[str] = set()
        changes = 1
        while self._sync_and_die(changes):
            if self.backend != 'mysql':  # all or nothing: try a few places
                changes += 5
            elif self.died_at in seen:
                changes += 1
            else:
                changes = max(2, changes - 1)
            seen.add(self.died_at)
        self.assertGreater(len(seen), 30 if self.backend == 'mysql' else 3)
        self.assertEqual(upgrade.head(), upgrade.current(self.url))

    def test_before_each_change(self) -> None:
        self.begin_at('23c8ad2655a6')
        documents.fill(self)
        entry = {'freezer_action': {'action': 'info'}, 'exit_status': 1}
        self.insert('jobs', documents.job(self, 'job-3', [entry, 'x']))

        self._sync_with_many_deaths()
        found = documents.contents(self.engine)
        self.assertEqual(
            [('job-1', 0, 'backup', 2), ('job-2', 0, 'backup', 2),
             ('job-2', 1, 'backup', 2), ('job-3', 0, 'info', 0)],
            [(*link[:3], link[5]) for link in found['links']])
        self.assertEqual(3, found['actions'])
        self.assertEqual(3, len(found['jobs']))
        self.assertEqual({'schedule_interval': '5 days'},
                         found['jobs'][0][2])
        self.assertEqual('scheduled', found['jobs'][0][3])
        self.assertEqual(
            [('backup-1', 'no column any more'),
             ('job-3', 'an entry has unknown keys; '
                       'an entry is not an object')],
            self.rows('SELECT row_id, reason FROM kept_values '
                      'ORDER BY row_id'))

    def test_before_each_change_of_our_own(self) -> None:
        self.begin_at('7a3b9c1d2e4f')
        documents.fill(self)
        long = self.cell({'status': 'x' * 17})
        self.insert('jobs',
                    documents.job(self, 'job-3', None, schedule='no JSON'),
                    documents.job(self, 'job-4', None, schedule=long))
        self.insert('user_credentials', {
            'id': 'cred-2', 'trust_id': 't2', 'trustor_user_id': 'ann',
            'job_id': 'gone'})

        self._sync_with_many_deaths()
        for statement, expected in (
                ('SELECT id, status FROM jobs ORDER BY id',
                 [('job-1', 'scheduled'), ('job-2', 'scheduled'),
                  ('job-3', 'stop'), ('job-4', None)]),
                ('SELECT row_id, reason FROM kept_values ORDER BY row_id',
                 [('job-3', 'not JSON'),
                  ('job-4', 'status does not fit its column')]),
                ('SELECT id FROM user_credentials', [('cred-1',)]),
                ('SELECT id FROM orphaned_user_credentials', [('cred-2',)]),
                ('SELECT client_id, project_id FROM queues',
                 [('host-1', documents.PROJECT)]),
                ('SELECT jobs, clients, backups FROM project_usage',
                 [(3, 1, 1)])):
            self.assertEqual(expected, self.rows(statement))

    def test_while_empty(self) -> None:
        # The next upgrade meets tables and an empty version table.
        self._sync_with_many_deaths()

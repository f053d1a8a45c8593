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

"""From each published revision, with rows, to the head."""

from __future__ import annotations

import testscenarios

from freezer_api.db.admin import upgrade
from tests.migrations import base
from tests.migrations import documents


class TestEachRevision(testscenarios.WithScenarios, base.DatabaseTest):

    scenarios = testscenarios.multiply_scenarios(
        base.ENGINES,
        [(revision, {'revision': revision}) for revision in base.PUBLISHED])

    revision = ''

    def test_rows_come_along(self) -> None:
        self.begin_at(self.revision)
        documents.fill(self)
        upgrade.sync(self.url)

        self.assertEqual(upgrade.head(), upgrade.current(self.url))
        found = documents.contents(self.engine)
        schedule = {'schedule_interval': '5 days'}
        self.assertEqual(
            [('job-1', documents.USER, schedule, 'scheduled', '', None,
              1795334582, -1, None, None, False, 'nightly'),
             ('job-2', documents.USER, schedule, 'scheduled', '', None,
              1795334582, -1, None, None, True, 'nightly')],
            found['jobs'])
        step = ('backup', 'cindernative', 'n1', 2, 7, documents.DEFINITION)
        self.assertEqual(
            [('job-1', 0, *step), ('job-2', 0, *step), ('job-2', 1, *step)],
            found['links'])
        self.assertEqual(2, found['actions'])
        self.assertEqual(1, found['reports'])
        self.assertEqual([('session-1', {}, 'active', documents.USER)],
                         found['sessions'])
        self.assertEqual(
            [('backup-1', 'job-1', 'available', {'backup_name': 'n1'})],
            found['backups'])
        at = base.PUBLISHED.index(self.revision)
        self.assertEqual(
            [('cred-1', 'job-1', 't1', None, None)] if at >= 3 else [],
            found['credentials'])
        # Clients of old are given every capability; what came later is not.
        everything = ['fs', 'mongo', 'mysql', 'sqlserver', 'cinder',
                      'glance', 'cindernative', 'nova']
        self.assertEqual(
            [('c' * 32, 'host-1', False, False,
              everything if at < 2 else None)], found['clients'])
        if at < 5:
            ((value,),) = self.rows('SELECT value FROM kept_values')
            self.assertEqual('Zoë', bytes(value).decode())
            self.assertEqual(
                [('backups', 'user_name', 'backup-1')],
                self.rows('SELECT table_name, column_name, row_id '
                          'FROM kept_values'))
        else:
            self.assertNotIn('kept_values', self.tables())

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

from __future__ import annotations

from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import containers
from freezer_scheduler.engines.cinder import engine as cinder
from freezer_scheduler.engines.cinder import operation
from freezer_scheduler.keystone import sessions
from tests.unit.freezer_scheduler.engines import cases
from tests.unit.freezer_scheduler import fakes

LIMITS = cases.LIMITS


class TestContainers(cases.Case):

    rules = containers.Containers()

    def process(self):
        known = sessions.Identity(fakes.settings())
        return cinder.CinderEngine(operation.Dependencies(
            clients=lambda trust_id: cinder_client.CinderClient(
                known, trust_id, 'public', None),
            clock=self.clock, limits=lambda: LIMITS, hostname='here',
            containers=lambda: self.rules))

    def asked(self, **keys):
        """Return what Cinder was asked for, MISSING where it was not."""
        progress, _context = self.go(self.context(**keys))
        self.assertEqual('success', progress.step.state)
        post = self.cloud.posts[-1]
        self.assertEqual(post.get('container', ''),
                         post['metadata']['freezer_container'])
        return post.get('container', 'MISSING')

    def test_no_container_is_asked_for_without_a_name(self):
        for keys in ({}, {'container': ''}, {'container': None},
                     {'container': 'c', 'cindernative_backup_container': ''}):
            self.assertEqual('MISSING', self.asked(**keys), str(keys))

    def test_the_one_that_the_user_names(self):
        for keys, asked in (
                ({'container': 'c'}, 'c'),
                ({'cindernative_backup_container': 'd'}, 'd'),
                ({'container': 'c', 'cindernative_backup_container': 'd'},
                 'd'),
                ({'cindernative_backup_container': 'p-{project_id}'},
                 f'p-{fakes.PROJECT}')):
            self.assertEqual(asked, self.asked(**keys), str(keys))

    def test_the_one_that_the_operator_names(self):
        self.rules = containers.Containers('freezer_backups')
        self.assertEqual('freezer_backups', self.asked())
        self.assertEqual('c', self.asked(container='c'))
        self.rules = containers.Containers('p-{project_id}')
        self.assertEqual(f'p-{fakes.PROJECT}', self.asked())

    def test_the_record_names_the_one_that_cinder_took(self):
        self.asked()
        [backup] = self.cloud.backups.values()
        self.assertEqual(backup['container'],
                         self.records()[-1].metadata['container'])

    def test_one_that_is_not_accepted_is_refused_by_name(self):
        for accepted in ((), ('pool',), ('pool*',), ('*-pool', 'x')):
            self.rules = containers.Containers('', accepted)
            progress, _context = self.go(self.context(
                cindernative_backup_container='freezer_backups'))
            self.assertEqual('fail', progress.step.state)
            self.assertFalse(progress.retry)
            for words in ("'freezer_backups'", 'accepted_containers',
                          ', '.join((*accepted, 'none'))):
                self.assertIn(words, progress.step.reason)
        self.assertEqual([], self.cloud.posts)

    def test_one_that_is_accepted(self):
        self.rules = containers.Containers('', ('pool', 'team-*'))
        for name in ('pool', 'team-', 'team-x'):
            self.assertEqual(name, self.asked(container=name))
        self.assertEqual('MISSING', self.asked())

    def test_the_operators_own_is_accepted(self):
        self.rules = containers.Containers('mine', ())
        self.assertEqual('mine', self.asked())

    def test_a_chain_in_the_old_container_goes_on_where_that_is_named(self):
        """Releases up to 19.0.0 asked for freezer_backups, unasked."""
        old = {'container': 'freezer_backups',
               'metadata': {'created_by': 'freezer',
                            'freezer_backup_id': 'f' * 32}}
        for rules, keys, full in (
                (containers.Containers(), {}, True),
                (containers.Containers('freezer_backups'), {}, False),
                (containers.Containers(), {'container': 'freezer_backups'},
                 False)):
            self.rules = rules
            self.cloud.backups.clear()
            self.cloud.add_backup(**old)
            for expected in (full, False):
                self.clock.sleep(60)
                progress, _context = self.go(
                    self.context(incremental=True, **keys))
                self.assertEqual(not expected,
                                 self.cloud.posts[-1]['incremental'])
                self.assertEqual(expected,
                                 progress.step.reason is not None)
            self.assertEqual(len(self.cloud.backups), 3)

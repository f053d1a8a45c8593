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

"""The whole process while Keystone, Cinder or the API hang, in part."""

from __future__ import annotations

import itertools
import json
import logging
import time

import fixtures
import testtools

from freezer_scheduler.process import signals
from freezer_scheduler.runs import run_table as scheduler_runs
from tests.unit import byte_server
from tests.unit.freezer_scheduler import fakes
from tests.unit.freezer_scheduler.process import test_service
from tests.unit.freezer_scheduler import served_fakes

SLOW = 2.0
GRACE = 3.0
WORKERS = 2
# One project has a worker; there are six more for what hangs.
HANGING = 4


class Case(test_service.Case):

    def setUp(self):
        testtools.TestCase.setUp(self)
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))
        self.served = served_fakes.ServedFakes()
        self.addCleanup(self.served.close)
        self.cloud, self.freezer = self.served.cloud, self.served.freezer
        self.signals = test_service.SignalSource()
        self.status = None

    def start(self, *argv):
        self.run_service(fakes.parsed(
            '--service-mode', *self.served.account, '-c', 'central',
            '--scheduler-claim-interval', '1', '--scheduler-request-timeout',
            '4', '--scheduler-workers', str(WORKERS),
            '--scheduler-agent-dir', self.useFixture(
                fixtures.TempDir()).path, *argv))

    def runs_that_hang(self, each=5):
        for project in range(HANGING):
            self.freezer.due += [fakes.run_document(
                f'hangs-{project}-{number}', project_id=f'p{project}',
                credentials={'trust_id': f'hangs-{project}',
                             'trustor_user_id': 'u'},
                actions=[fakes.action(
                    cindernative_vol_id=self.volume(project))])
                for number in range(each)]

    def volume(self, project):
        volume_id = fakes.VOLUME[:-1] + 'abcdef'[project]
        self.cloud.volumes.setdefault(volume_id, 'available')
        return volume_id

    def backup_of_another(self, run_id):
        """Have a run of a project claimed that does not hang.

        :returns: the seconds until Cinder was asked for its backup
        """
        began = time.monotonic()
        known = len(self.cloud.backups)
        self.freezer.due.append(fakes.run_document(
            run_id, project_id=fakes.PROJECT))
        self.until(lambda: len(self.cloud.backups) > known,
                   'no backup was asked for')
        took = time.monotonic() - began
        self.cloud.finish()
        self.until(lambda: 'success' in self.freezer.states(run_id),
                   'no success was told')
        return took


def of_trust(seen, name):
    return seen.path.endswith('/auth/tokens') and name in seen.body.decode()


class TestHanging(Case):

    def test_logins_that_hang_delay_no_other_project(self):
        self.served.hangs = lambda seen: of_trust(seen, '"hangs-')
        self.runs_that_hang()
        self.start()
        self.until(lambda: sum(of_trust(seen, '"hangs-') for seen
                               in self.served.server.seen) >= WORKERS,
                   'no login hangs')
        # Nobody knows yet which hang: each pair of them is slow at last.
        self.assertLess(self.backup_of_another('first'),
                        HANGING / WORKERS * SLOW + GRACE)
        self.until(lambda: 'gave no answer of use' in self.log.output,
                   'no login has ended')
        for number in range(3):
            self.assertLess(self.backup_of_another(f'later-{number}'), GRACE)
        # Their users see why, and nothing is lost.
        self.until(lambda: self.freezer.states('hangs-0-0'), 'nothing is told')
        last = self.freezer.last('hangs-0-0')
        self.assertEqual('running', last['state'])
        self.assertIn('waits: Keystone gave no answer of use',
                      last['actions'][0]['reason'])
        for project in range(HANGING):
            self.cloud.trusts[f'hangs-{project}'] = fakes.PROJECT
        self.served.hangs = lambda seen: False

        def all_succeed():
            self.cloud.finish()
            return all('success' in self.freezer.states(f'hangs-{project}-0')
                       for project in range(HANGING))

        self.until(all_succeed, 'they do not go on')

    def test_a_cinder_that_hangs_delays_no_other_project(self):
        """Such as for the volumes of one backend."""
        for project in range(HANGING):
            self.cloud.trusts[f'hangs-{project}'] = fakes.PROJECT
        hang = [self.volume(project) for project in range(HANGING)]
        self.served.hangs = lambda seen: '/cinder' in seen.path and any(
            one in seen.path for one in hang)
        self.runs_that_hang()
        self.start()
        self.until(lambda: sum(map(self.served.hangs,
                                   self.served.server.seen)) >= WORKERS,
                   'nothing hangs')
        self.assertLess(self.backup_of_another('first'),
                        HANGING / WORKERS * SLOW + GRACE)
        self.until(lambda: 'Cinder gave no answer' in self.log.output,
                   'no request has ended')
        for number in range(3):
            self.assertLess(self.backup_of_another(f'later-{number}'), GRACE)

    def test_a_claim_that_drips_costs_no_lease(self):
        renewed = []

        def drips(seen):
            if not seen.path.endswith('/claims'):
                return None
            if json.loads(seen.body)['held']:
                renewed.append(time.monotonic())
                return None
            if not self.freezer.claimed:
                return None
            return byte_server.dripping(
                byte_server.plain(200, b'{"runs": []}' + b' ' * 999), 20)

        self.freezer.due = [fakes.run_document('r1')]
        self.served.instead = drips
        self.start()
        self.until(lambda: len(renewed) >= 4, 'no lease is renewed')
        self.until(lambda: 'No runs can be claimed' in self.log.output,
                   'no claim drips')
        pauses = [later - earlier for earlier, later
                  in itertools.pairwise(renewed)]
        self.assertLess(max(pauses), 1 + GRACE)
        # ... and a stop hands the run back all the same.
        self.served.instead = lambda seen: None
        self.signals.signal(signals.Signal.STOP)
        self.thread.join(test_service.WITHIN)
        self.assertTrue(self.freezer.last('r1').get('release'))

    def test_reports_that_hang_cost_no_lease(self):
        self.served.hangs = lambda seen: ('/reports' in seen.path
                                          or '/runs/' in seen.path)
        self.freezer.due = [fakes.run_document(f'r{number}')
                            for number in range(6)]
        self.start()
        self.until(lambda: len([
            claim for claim in list(self.freezer.claimed)
            if len(claim['held']) == 6]) >= 5, 'no leases are renewed')


class TestLimits(testtools.TestCase):

    def test_the_workers_suffice_for_the_hanging_runs(self):
        self.assertLess(HANGING, 3 * WORKERS)
        self.assertGreater(scheduler_runs.Limits(50, 10).total, 5 * HANGING)

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

"""The whole process, its threads included, against services by HTTP."""

from __future__ import annotations

import json
import logging
import pathlib
import queue
import threading
import time

import fixtures
import requests_mock
import testtools

from freezer_scheduler import app
from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler.process import service
from freezer_scheduler.process import signals
from freezer_scheduler import settings as scheduler_settings
from tests.unit.freezer_scheduler import fakes

WITHIN = 30


class SignalSource:
    """What the test wants of the process."""

    def __init__(self):
        self._queue: queue.Queue[signals.Signal] = queue.Queue()

    def signal(self, signal):
        self._queue.put(signal)

    def wait(self, seconds=None):
        try:
            return self._queue.get(timeout=seconds)
        except queue.Empty:
            return None


class Case(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))
        mocker = requests_mock.Mocker()
        mocker.start()
        self.addCleanup(mocker.stop)
        self.cloud = fakes.FakeCloud(mocker, scheduler_clock.SystemClock())
        self.cloud.clock = fakes.FakeClock()
        self.freezer = fakes.FakeFreezer(mocker)
        self.signals = SignalSource()
        self.status = None

    def start(self, *argv):
        conf = fakes.parsed(
            '--service-mode', *fakes.ACCOUNT, '-c', 'central',
            '--scheduler-claim-interval', '1', '--scheduler-agent-dir',
            self.useFixture(fixtures.TempDir()).path, *argv)
        self.run_service(conf)

    def run_service(self, conf):
        self.conf = conf
        made = self.made = service.Service(
            conf, scheduler_settings.load(conf, {}, 'node'), {}, 'node',
            scheduler_clock.SystemClock(), self.signals)

        def run():
            self.status = made.run()

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        self.addCleanup(self.stop)

    def stop(self):
        self.signals.signal(signals.Signal.STOP)
        self.thread.join(WITHIN)
        self.assertFalse(self.thread.is_alive())

    def until(self, condition, what):
        deadline = time.monotonic() + WITHIN
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.01)


class TestService(Case):

    def test_old_backups_of_jobs_that_are_gone(self):
        """The API is asked which ones, and what became of them is counted."""
        made = [self.cloud.add_backup(metadata={
            'created_by': 'freezer', 'freezer_job_id': job},
            created_at=f'2020-01-0{day}T00:00:00')['id']
            for day, job in enumerate(
                ('gone', 'gone', 'living', 'job-1'), start=1)]
        self.cloud.undeletable.add(made[0])
        self.freezer.gone.add('gone')
        self.freezer.due = [fakes.run_document('r1', [fakes.action(
            action='admin', fullbackup_rotation=1)])]
        self.start()
        self.until(lambda: self.cloud.backups[made[1]]['status']
                   == 'deleting', 'nothing is deleted')
        self.cloud.finish()
        self.until(lambda: 'success' in self.freezer.states('r1'),
                   'no success was told')
        self.assertEqual([made[0], *made[2:]], list(self.cloud.backups))
        self.assertIn(f'backup {made[0]} stays',
                      self.freezer.last('r1')['reason'])
        self.assertEqual([1, 1], [self.made.registry.get_sample_value(
            'freezer_scheduler_old_backups_total', {'result': result})
            for result in ('deleted', 'not_deleted')])

    def test_a_run_from_claim_to_success(self):
        self.freezer.due = [fakes.run_document('r1')]
        self.start()
        self.until(lambda: 'creating' in [
            backup['status'] for backup in self.cloud.backups.values()],
            'no backup was asked for')
        self.cloud.finish()
        self.until(lambda: 'success' in self.freezer.states('r1'),
                   'no success was told')
        self.stop()
        self.assertEqual(0, self.status)
        self.assertNotIn(fakes.TRUST, self.log.output)
        self.assertNotIn('secret', self.log.output)
        self.assertEqual('central', self.freezer.registered[0]['client_id'])

    def test_an_api_that_takes_one_report_at_a_time(self):
        self.freezer.gathers = False
        self.freezer.faults['reports'] = [404] * 100
        self.test_a_run_from_claim_to_success()
        self.assertEqual(100, len(self.freezer.faults['reports']))

    def test_reports_that_are_refused_together_are_sent_alone(self):
        self.freezer.faults['reports'] = [500]
        self.test_a_run_from_claim_to_success()
        self.assertIn('1 reports are kept', self.log.output)

    def test_no_run_is_left_with_reports_that_failed(self):
        """A mistake in here costs a try, and not the run."""
        def mistake(request):
            raise KeyError('a mistake')

        self.freezer.faults['reports'] = [mistake]
        self.test_a_run_from_claim_to_success()
        self.assertIn('an error in the scheduler while reporting',
                      self.log.output.lower())

    def test_a_clean_stop_hands_back_the_claimed_runs(self):
        self.freezer.due = [fakes.run_document(f'r{number}')
                            for number in range(3)]
        self.start()
        self.until(lambda: all(
            len(self.freezer.states(f'r{number}')) >= 1
            for number in range(3)), 'not all began')
        # Whoever waited for the lease would be too late for this.
        self.stop()
        self.assertEqual(0, self.status)
        for number in range(3):
            last = self.freezer.last(f'r{number}')
            self.assertTrue(last['release'])
            self.assertEqual('running', last['state'])

    def test_an_api_without_claims_ends_it(self):
        self.freezer.claims = False
        self.start()
        self.thread.join(WITHIN)
        self.assertEqual(1, self.status)
        self.assertIn('knows no claims', self.log.output)
        self.assertEqual([], self.freezer.registered)

    def test_an_unknown_account_ends_it(self):
        self.cloud.fail('POST', '/auth/tokens', 401)
        self.start()
        self.thread.join(WITHIN)
        self.assertEqual(1, self.status)

    def test_options_that_name_no_endpoint_end_it(self):
        """By chance it would back up to another region."""
        services = ('volumev3', 'backup')
        for regions, options, words in (
                (('one', 'two'), (), 'os_region_name: must be set, because '
                 'the catalogue of Keystone has the regions one, two'),
                (('one', 'two'), ('--os-region-name', 'three'),
                 'os_region_name: the catalogue of Keystone has no region '
                 'three; it has one, two'),
                (('one',), ('--os-endpoint-type', 'internal'),
                 'os_endpoint_type: the catalogue of Keystone has no '
                 'internal endpoint of type block-storage; it has public')):
            self.cloud.catalogue = [
                fakes.entry(name, fakes.FREEZER, *regions)
                for name in services]
            self.start(*options)
            self.thread.join(WITHIN)
            self.assertEqual(1, self.status)
            self.assertIn('Cannot start: [service_auth] ' + words,
                          self.log.output)
        self.assertEqual([], self.freezer.registered)

    def test_one_of_several_regions_is_named(self):
        self.cloud.catalogue = [
            fakes.entry('volumev3', fakes.CINDER, 'one', 'two'),
            fakes.entry('backup', fakes.FREEZER, 'two')]
        self.start('--os-region-name', 'two')
        self.until(lambda: self.freezer.claimed, 'it does not claim')

    def test_a_refused_registration_ends_it(self):
        self.freezer.faults['clients'] = [403]
        self.start()
        self.thread.join(WITHIN)
        self.assertEqual(1, self.status)
        self.assertNotIn('the role service', self.log.output)

    def test_a_missing_role_is_named(self):
        self.freezer.faults['clients'] = [403]
        self.cloud.roles = ['member']
        self.start()
        self.thread.join(WITHIN)
        self.assertEqual(1, self.status)
        self.assertIn('Cannot start: 403: the account of [service_auth] '
                      'os_username has not the role service',
                      self.log.output)

    def test_a_missing_role_is_named_even_if_the_api_does_not_know(self):
        """With the same account it cannot check the scheduler's token."""
        self.freezer.faults['v2'] = [503] * 99
        self.cloud.roles = ['member']
        self.start()
        self.until(lambda: 'Cannot register yet' in self.log.output,
                   'it does not wait')
        self.stop()
        self.assertIn('has not the role service', self.log.output)

    def test_it_waits_for_keystone_and_the_api(self):
        self.cloud.fail('POST', '/auth/tokens', fakes.no_connection)
        self.freezer.faults['v2'] = [503]
        self.start()
        self.until(lambda: self.freezer.claimed, 'it does not claim')
        self.assertIn('Cannot register yet', self.log.output)

    def test_it_can_be_stopped_while_it_waits(self):
        self.freezer.faults['v2'] = [503] * 99
        self.start()
        self.until(lambda: 'Cannot register yet' in self.log.output,
                   'it does not wait')
        self.stop()
        self.assertEqual(0, self.status)

    def test_a_reload_applies_the_options_that_can_change(self):
        self.start()
        self.until(lambda: self.freezer.claimed, 'it does not claim')
        self.conf.set_override('supported_actions', ['backup'],
                               'capabilities')
        self.signals.signal(signals.Signal.RELOAD)
        self.until(lambda: self.freezer.registered[-1]['supported_actions']
                   == ['backup'], 'it does not register again')

    def test_a_reload_with_mistakes_changes_nothing(self):
        self.start()
        self.until(lambda: self.freezer.claimed, 'it does not claim')
        self.conf.set_override('supported_modes', ['nonsense'],
                               'capabilities')
        self.signals.signal(signals.Signal.RELOAD)
        self.until(lambda: 'is not reloaded' in self.log.output,
                   'nothing is said about it')
        self.assertEqual(1, len(self.freezer.registered))

    def test_a_risk_is_logged(self):
        self.start('--capabilities-supported-modes', 'cindernative,fs')
        self.until(lambda: self.freezer.claimed, 'it does not claim')
        self.assertIn('RISK', self.log.output)

    def test_an_idle_scheduler_claims_once_in_an_interval(self):
        self.start()
        self.until(lambda: len(self.freezer.claimed) >= 2, 'no second claim')
        before = len(self.freezer.claimed)
        began, used = time.monotonic(), time.process_time()
        self.until(lambda: len(self.freezer.claimed) >= before + 3,
                   'it does not claim')
        passed = time.monotonic() - began
        # Between three claims there are two intervals of 0.8 seconds at least.
        self.assertGreaterEqual(passed, 2 * 0.8)
        self.assertLess(time.process_time() - used, passed / 5)

    def test_an_aborted_run(self):
        self.freezer.due = [fakes.run_document('r1')]
        self.start()
        self.until(lambda: self.cloud.backups, 'no backup was asked for')
        self.freezer.events['r1'] = 'abort'
        self.cloud.finish('error')
        self.until(lambda: 'deleting' in [
            backup['status'] for backup in self.cloud.backups.values()]
            or 'fail' in self.freezer.states('r1'), 'nothing was deleted')
        self.cloud.finish()
        self.until(lambda: {'aborted', 'fail'}
                   & set(self.freezer.states('r1')), 'it does not end')


class TestNames(testtools.TestCase):

    def test_each_process_has_its_own(self):
        names = {app.scheduler_id('h' * 400) for _number in range(9)}
        self.assertEqual(9, len(names))
        for name in names:
            self.assertLessEqual(len(name), 255)


class TestClassicMode(Case):
    """The same with one project's account, and programs of the test's."""

    def start(self, *argv):
        self.home = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.agent = self.home / 'freezer-agent'
        conf = fakes.parsed(
            *fakes.ACCOUNT, '-c', 'web-1', '--scheduler-claim-interval', '1',
            '--scheduler-maintenance-interval', '5',
            '--scheduler-agent-dir', str(self.home / 'agents'),
            '--scheduler-agent-command', str(self.agent), *argv)
        self.run_service(conf)

    def say(self, *lines):
        self.agent.write_text('\n'.join(('#!/bin/sh', *lines, '')))
        self.agent.chmod(0o755)

    def test_a_run_from_claim_to_success(self):
        self.start()
        self.say('echo \'{"action": "backup", "mode": "fs"}\'')
        self.freezer.due = [fakes.run_document(
            'r1', [{'action': 'backup', 'mode': 'fs'}], credentials=None)]
        self.until(lambda: 'success' in self.freezer.states('r1'),
                   'no success was told')
        [backup] = self.freezer.last('r1')['backups']
        self.assertEqual('available', backup['status'])
        registered = self.freezer.registered[0]
        self.assertEqual(('web-1', False, True), (
            registered['client_id'], registered['is_central'],
            registered['claims']))
        self.assertIn('fs', registered['supported_modes'])
        self.assertNotIn('secret', self.log.output)
        self.assertNotIn('maintenance',
                         [thread.name for thread in threading.enumerate()])

    def test_a_clean_stop_hands_back_the_claimed_runs(self):
        """But for what agents are at work with: that it ends."""
        self.start()
        started = self.home / 'started'
        self.say(f'touch {started}', 'exec sleep 600')
        self.freezer.due = [
            fakes.run_document(f'r{number}', [{'action': 'exec'}],
                               credentials=None) for number in range(2)]
        self.until(started.exists, 'no agent was started')
        self.until(lambda: all(self.freezer.states(f'r{number}')
                               for number in range(2)), 'not both began')
        self.stop()
        self.assertEqual(0, self.status)
        ends = sorted((self.freezer.last(f'r{number}')['state'],
                       self.freezer.last(f'r{number}').get('release'))
                      for number in range(2))
        self.assertEqual([('fail', None), ('running', True)], ends)
        self.assertEqual([], list((self.home / 'agents').iterdir()))

    def test_job_files_without_the_api(self):
        jobs = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (jobs / 'a.conf').write_text(json.dumps({
            'job_id': 'a', 'job_actions': [
                {'freezer_action': {'action': 'exec', 'command': 'x'}}]}))
        self.start('--no-api', '-f', str(jobs))
        self.say(f'touch {self.home / "done"}')
        self.until(lambda: 'job a, project files: success'
                   in self.log.output, 'it was not run')
        self.assertTrue((self.home / 'done').exists())
        self.assertEqual([], self.freezer.registered)
        self.assertEqual([], self.cloud.logins)

    def test_an_agent_folder_that_others_can_write_is_refused(self):
        self.start('--scheduler-agent-dir', '/tmp')
        self.thread.join(WITHIN)
        self.assertEqual(1, self.status)
        self.assertIn('agent_dir: /tmp', self.log.output)

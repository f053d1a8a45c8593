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

"""The Freezer API as the scheduler uses it."""

from __future__ import annotations

import logging

import fixtures
import requests_mock
import testtools

from freezer_scheduler.freezer import client
from freezer_scheduler.freezer import messages
from freezer_scheduler.keystone import sessions
from tests.unit.freezer_scheduler import fakes

PENDING = messages.Report(messages.RunState.RUNNING, None, ())


class TestApi(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.mocker = requests_mock.Mocker()
        self.mocker.start()
        self.addCleanup(self.mocker.stop)
        self.cloud = fakes.FakeCloud(self.mocker, fakes.FakeClock())
        self.freezer = fakes.FakeFreezer(self.mocker)
        self.api = self.make()

    def make(self, override=None):
        return client.Api(sessions.Identity(fakes.settings()).service(),
                          'host:1:abc', 'public', None, override)

    def test_registration(self):
        offered = fakes.settings().capabilities
        self.api.register('central', 'host', offered, True)
        self.assertEqual([{
            'client_id': 'central', 'hostname': 'host', 'is_central': True,
            'supported_actions': ['backup', 'restore', 'admin'],
            'supported_modes': ['cindernative'], 'supported_storages': [],
            'supported_engines': [], 'claims': True}],
            self.freezer.registered)

    def test_a_claim(self):
        self.freezer.due = [fakes.run_document('r1')]
        self.freezer.events['r0'] = 'abort'
        self.freezer.lose = {'r9'}
        tick = self.api.claim('central', 5, 60, [('r0', 1), ('r9', 2)], 7)
        self.assertEqual(['r1'], [run.run_id for run in tick.runs])
        self.assertEqual({'r0': messages.Event.ABORT}, tick.held)
        self.assertEqual(('r9',), tick.lost)
        self.assertEqual([{
            'scheduler_id': 'host:1:abc', 'limit': 5, 'lease_seconds': 60,
            'per_project': 7,
            'held': [{'run_id': 'r0', 'fence': 1},
                     {'run_id': 'r9', 'fence': 2}]}], self.freezer.claimed)

    def test_one_login_for_all(self):
        for _number in range(5):
            self.api.maintenance()
        self.assertEqual(1, len(self.cloud.logins))
        self.assertEqual(5, self.freezer.maintained)

    def test_an_api_without_claims(self):
        self.api.check_claims()
        self.freezer.claims = False
        with testtools.ExpectedException(client.NoClaims, '.*no claims.*'):
            self.api.check_claims()

    def test_every_form_of_its_url(self):
        for url in (None, fakes.FREEZER, fakes.FREEZER + '/',
                    fakes.FREEZER + '/v2', fakes.FREEZER + '/v2/',
                    f'{fakes.FREEZER}/v2/{fakes.SERVICE_PROJECT}'):
            made = self.make(url)
            made.check_claims()
            made.maintenance()
        self.assertEqual(6, self.freezer.maintained)

    def test_not_reachable(self):
        answers = (500, 502, 503, 504, 408, 429, fakes.no_connection,
                   fakes.lost_answer, fakes.broken,
                   (200, None), (200, {'runs': None}))
        for answer in answers:
            self.freezer.faults['claims'].append(answer)
            with testtools.ExpectedException(client.ApiUnreachable):
                self.api.claim('central', 1, 60, [], 9)

    def test_a_token_that_is_refused(self):
        self.freezer.faults['claims'] = [401]
        self.api.claim('central', 1, 60, [], 9)
        self.assertEqual(2, len(self.cloud.logins))
        self.freezer.faults['claims'] = [401, 401]
        with testtools.ExpectedException(client.ApiUnreachable):
            self.api.claim('central', 1, 60, [], 9)

    def test_refused(self):
        for status in (400, 403, 404, 409, 413, 422):
            self.freezer.faults['runs'].append(
                (status, {'title': 't', 'description': 'because'}))
            error = self.assertRaises(client.ApiRefused, self.api.report,
                                      'central', 'r1', 1, PENDING)
            self.assertEqual(status, error.status)
            self.assertIn('because', str(error))
            self.assertNotIsInstance(error, client.StaleFence)

    def test_texts_of_servers_are_one_line(self):
        self.freezer.faults['runs'].append(
            (400, {'title': 'no\n2026-01-01 CRITICAL forged' + 'x' * 9999}))
        self.freezer.faults['claims'].append(
            (503, {'description': 'away\r\nforged\x1b[2J'}))
        refused = self.assertRaises(client.ApiRefused, self.api.report,
                                    'central', 'r1', 1, PENDING)
        away = self.assertRaises(client.ApiUnreachable, self.api.claim,
                                 'central', 1, 60, [], 9)
        for error in (refused, away):
            self.assertTrue(str(error).isprintable(), str(error))
            self.assertLess(len(str(error)), 500)

    def test_a_stale_fence(self):
        self.freezer.faults['runs'].append(
            (409, {'title': 'Conflict', 'code': 'run_fence_stale'}))
        with testtools.ExpectedException(client.StaleFence):
            self.api.report('central', 'r1', 1, PENDING)

    def test_keystone_is_unavailable(self):
        for fault in (fakes.no_connection, fakes.lost_answer, 503):
            self.cloud.fail('POST', '/auth/tokens', fault)
            with testtools.ExpectedException(client.ApiUnreachable):
                self.make().maintenance()

    def test_an_account_that_keystone_does_not_know(self):
        self.cloud.fail('POST', '/auth/tokens', 401)
        with testtools.ExpectedException(client.LoginRefused):
            self.make().maintenance()

    def test_a_report(self):
        step = messages.Step('a', 0, messages.StepState.SUCCESS, 1)
        self.freezer.events['r1'] = 'abort'
        event = self.api.report('central', 'r1', 3, messages.Report(
            messages.RunState.SUCCESS, None, (step,),
            (messages.Backup('f' * 32, 'available', {'size': 1}),)))
        self.assertIs(messages.Event.ABORT, event)
        [(run_id, told)] = self.freezer.told
        self.assertEqual('r1', run_id)
        self.assertEqual('host:1:abc', told['scheduler_id'])
        self.assertEqual(3, told['fence'])
        self.assertNotIn('release', told)
        self.assertEqual([{'backup_id': 'f' * 32, 'status': 'available',
                           'backup_metadata': {'size': 1}}],
                         told['backups'])

    def test_answers_with_trusts_are_not_logged(self):
        log = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))
        self.freezer.due = [fakes.run_document()]
        tick = self.api.claim('central', 1, 60, [], 9)
        self.assertEqual(fakes.TRUST, tick.runs[0].trust_id)
        self.assertNotIn(fakes.TRUST, log.output)
        self.assertNotIn('secret', log.output)

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

"""The records of requests, and the request ID that they are sent with."""

from __future__ import annotations

import logging

import fixtures
import hypothesis
from hypothesis import strategies as st
import requests
import requests_mock
import testtools

from freezer_scheduler.freezer import messages
from freezer_scheduler import log_context
from freezer_scheduler.telemetry import http_metrics
from tests.unit.freezer_scheduler import fakes

_RUN = '0' * 31 + '1'
_HEADER = 'X-OpenStack-Request-ID'


def run():
    return messages.Run.from_document(fakes.run_document(_RUN))


class Observer:

    def __init__(self):
        self.seen = []

    def called(self, service, operation, outcome, seconds):
        self.seen.append((service, operation, outcome, seconds))


class TestOperations(testtools.TestCase):

    def test_every_request_of_the_scheduler_has_a_name(self):
        base = 'https://cloud.example/backup-storage/v3/' + 'a' * 32
        for method, path, name in (
                ('POST', '/auth/tokens', ('keystone', 'login')),
                ('POST', '/auth/tokens?nocatalog', ('keystone', 'login')),
                ('GET', '/OS-TRUST/trusts/x', ('keystone', 'show_trust')),
                ('POST', '/clients', ('freezer', 'register')),
                ('POST', '/clients/c.d/claims', ('freezer', 'claim')),
                ('PATCH', '/clients/c/runs/r', ('freezer', 'report')),
                ('GET', '/backups/detail?limit=1',
                 ('cinder', 'list_backups')),
                ('GET', '/backups/b', ('cinder', 'show_backup')),
                ('POST', '/backups/b/restore',
                 ('cinder', 'restore_backup'))):
            self.assertEqual(name, http_metrics.operation(method, base + path))

    @hypothesis.given(
        st.sampled_from(('GET', 'POST', 'PUT', 'DELETE', 'PATCH')),
        st.text(max_size=60))
    def test_labels_have_a_bound(self, method, path):
        """Whatever is asked for, no id becomes a label."""
        known = {(row.service, row.operation) for row in http_metrics._KNOWN}
        self.assertIn(http_metrics.operation(method, 'http://host/' + path),
                      known | {(http_metrics.OTHER, http_metrics.OTHER)})


class TestObservedSession(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(
            'freezer_scheduler', level=logging.DEBUG))
        self.mocker = requests_mock.Mocker()
        self.mocker.start()
        self.addCleanup(self.mocker.stop)
        self.clock = fakes.FakeClock()
        self.observer = Observer()
        self.session = http_metrics.ObservedSession(
            self.observer.called, self.clock)

    def answer(self, status, **headers):
        def slow(request, context):
            self.clock.sleep(0.5)
            context.status_code = status
            context.headers.update(headers)
            return ''

        self.mocker.get(requests_mock.ANY, text=slow)

    def sent(self):
        request = self.mocker.last_request
        assert request is not None
        return request.headers

    def test_a_request_is_recorded_with_its_time_and_outcome(self):
        for status, outcome in ((200, '2xx'), (404, '4xx'), (503, '5xx')):
            self.answer(status)
            self.session.get('http://cinder/v3/p/backups/b')
            self.assertEqual(('cinder', 'show_backup', outcome, 0.5),
                             self.observer.seen[-1])

    def test_a_request_without_an_answer_is_recorded_too(self):
        self.mocker.get(requests_mock.ANY, exc=requests.ReadTimeout)
        self.assertRaises(requests.ReadTimeout, self.session.get,
                          'http://cinder/v3/p/backups/b')
        self.assertEqual(http_metrics.NO_ANSWER, self.observer.seen[-1][2])

    def test_a_run_sends_its_id_and_remembers_what_failed(self):
        self.answer(500, **{_HEADER: f'req-{"e" * 36}'})
        with log_context.of(run()):
            self.session.get('http://cinder/v3/p/backups/b')
            context = log_context.current()
            assert context is not None
            assert context.trouble is not None
            self.assertIn('cinder show_backup: 500 (req-', context.trouble)
        self.assertEqual('req-00000000-0000-0000-0000-000000000001',
                         self.sent()[_HEADER])
        self.session.get('http://cinder/v3/p/backups/b')
        self.assertNotIn(_HEADER, self.sent())

    def test_the_log_names_no_trust_and_no_control_characters(self):
        self.answer(200, **{_HEADER: 'req-\x1b[31m'})
        self.session.get(f'http://k/v3/OS-TRUST/trusts/{fakes.TRUST}')
        self.assertIn('keystone show_trust: 200 after', self.log.output)
        self.assertNotIn(fakes.TRUST, self.log.output)
        self.assertNotIn('\x1b', self.log.output)

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

"""The metrics and the status after each kind of event."""

from __future__ import annotations

import dataclasses
import json
import logging

import fixtures
import prometheus_client
import testtools

from freezer_api.domain import trust_errors
from freezer_scheduler.freezer import maintenance
from freezer_scheduler.freezer import messages
from freezer_scheduler import log_context
from freezer_scheduler.runs import run_table
from freezer_scheduler.telemetry import monitor
from freezer_scheduler.telemetry import status
from tests.unit.freezer_scheduler import fakes

_State = messages.RunState


def run(run_id='run-1', **keys):
    return messages.Run.from_document(fakes.run_document(run_id, **keys))


class Case(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))
        self.clock = fakes.FakeClock()
        self.registry = prometheus_client.CollectorRegistry()
        self.monitor = monitor.Monitor(self.clock, self.registry)
        self.table = run_table.RunTable(self.clock, self.limits)
        self.monitor.look_at(self.table, self.limits)

    def limits(self):
        return run_table.Limits(2, 2)

    def value(self, name, **labels):
        return self.registry.get_sample_value(
            f'freezer_scheduler_{name}', labels)

    def tick(self, due_since='2026-01-01T00:00:30Z', handed=(), **more):
        return messages.ClaimResponse.from_document({
            'runs': list(handed), 'held': [], 'lost': [],
            'server_time': '2026-01-01T00:01:00Z', 'due_since': due_since,
            'missed': 0, **more})


class TestMetrics(Case):

    def test_a_claim(self):
        self.monitor.claimed(self.tick(handed=[
            fakes.run_document('a'),
            fakes.run_document('b', fence=2)], missed=3))
        self.assertEqual((1, 0), (
            self.value('claims_total', outcome='ok'),
            self.value('claims_total', outcome='failed')))
        self.assertEqual((1, 1), (
            self.value('runs_claimed_total', kind='new'),
            self.value('runs_claimed_total', kind='reclaimed')))
        self.assertEqual((1, 60), (self.value('run_lag_seconds_count'),
                                   self.value('run_lag_seconds_sum')))
        self.assertEqual(3, self.value('runs_total', result='missed'))
        self.assertEqual(self.clock.epoch,
                         self.value('last_claim_timestamp_seconds'))

    def test_the_waiting_time_grows_between_two_answers(self):
        self.assertIsNone(self.monitor.waiting())
        self.monitor.claimed(self.tick())
        self.assertEqual(30, self.value('due_waiting_seconds'))
        self.clock.sleep(100)
        self.monitor.not_claimed('no answer')
        self.assertEqual(130, self.value('due_waiting_seconds'))
        self.monitor.claimed(self.tick(due_since=None))
        self.clock.sleep(100)
        self.assertEqual(0, self.value('due_waiting_seconds'))

    def test_results_are_counted_when_the_api_has_accepted_them(self):
        taken: list[object] = []

        def report(run_id, fence, said):
            if len(taken) < 1:
                taken.append('refused')
                raise ValueError
            taken.append(said)

        recorded = self.monitor.watching(report)
        success = messages.Report(_State.SUCCESS, None, ())
        self.assertRaises(ValueError, recorded, 'r', 1, success)
        self.assertEqual(0, self.value('runs_total', result='success'))
        step = messages.Step('a', 0, messages.StepState.FAIL)
        for said in (success,
                     messages.Report(_State.RUNNING, None, ()),
                     messages.Report(_State.FAIL, 'x', (step,),
                                     cause='trust_gone'),
                     messages.Report(_State.FAIL, 'x', (),
                                     cause='trust_refused'),
                     messages.Report(_State.RUNNING, None, (),
                                     release=True)):
            recorded('r', 1, said)
        self.assertEqual(
            {'success': 1, 'fail': 1, 'skipped': 1, 'aborted': 0,
             'missed': 0},
            {result: self.value('runs_total', result=result) for result in (
                'success', 'fail', 'skipped', 'aborted', 'missed')})
        self.assertEqual(1, self.value('trust_failures_total',
                                       cause='trust_gone'))
        self.assertEqual(1, self.value('runs_parted_with_total',
                                       how='handed_back'))

    def test_old_backups_are_counted_by_result(self):
        for deleted in (True, False, True):
            self.monitor.old_backup(deleted)
        self.assertEqual((2, 1), (
            self.value('old_backups_total', result='deleted'),
            self.value('old_backups_total', result='not_deleted')))

    def test_no_number_of_suspended_jobs_is_made_up(self):
        self.assertIsNone(self.value('jobs_suspended', cause='trust_gone'))
        self.monitor.maintained(maintenance.Maintenance())
        self.assertIsNone(self.value('jobs_suspended', cause='trust_gone'))
        for count in (4, 0):
            self.monitor.maintained(maintenance.Maintenance(
                {trust_errors.Cause.GONE: count} if count else {}, 2, 3))
            self.assertEqual(count, self.value('jobs_suspended',
                                               cause='trust_gone'))
        self.assertEqual(2, self.value('trusts_pending'))
        self.assertEqual(3, self.value('trusts_unproven'))

    def test_claimed_runs_are_counted_by_phase(self):
        for number in range(4):
            self.table.add(run(f'r{number}'), 1e9)
        held = self.table.take(wait=False)
        assert held is not None
        held.progress.idle = True
        self.table.done(held, 3600)
        self.assertEqual(
            {'queued': 1, 'working': 2, 'waiting': 1},
            {str(phase): self.value('runs_held', phase=str(phase))
             for phase in run_table.Phase})
        self.assertEqual((2, 2), (self.value('in_flight'),
                                  self.value('max_in_flight')))

    def test_no_label_names_a_tenant(self):
        self.table.add(run(), 1e9)
        self.monitor.claimed(self.tick(handed=[fakes.run_document()]))
        self.monitor.registered('central')
        text = prometheus_client.generate_latest(self.registry).decode()
        for word in (fakes.PROJECT, 'run-1', 'job-1', fakes.TRUST):
            self.assertNotIn(word, text)

    def test_a_failed_run_names_the_request_that_failed(self):
        recorded = self.monitor.watching(lambda *_args: None)
        with log_context.of(run()):
            context = log_context.current()
            assert context is not None
            context.trouble = 'cinder create_backup: 500 (req-x)'
            recorded('r', 1, messages.Report(_State.FAIL, 'x', ()))
        self.assertIn('cinder create_backup: 500 (req-x)', self.log.output)


class TestStatus(Case):

    def shown(self, *argv):
        document = status.document(
            'node:1:x', 5, fakes.settings(*argv), self.monitor.facts(),
            self.table, self.limits())
        # As it comes through the socket.
        return json.loads(json.dumps(document))

    def text(self, *argv):
        return status.text(self.shown(*argv), self.clock.wall())

    def test_before_anything_happened(self):
        text = self.text()
        for words in ('not registered yet', 'Last claim: never',
                      'Due runs:   not known', 'Suspended:  not known yet',
                      'Held runs:  0'):
            self.assertIn(words, text)

    def test_the_text_names_client_runs_and_delay(self):
        self.monitor.registered('central')
        self.monitor.claimed(self.tick())
        self.clock.sleep(61)
        self.monitor.not_claimed('503: no (req-1)')
        self.monitor.maintained(maintenance.Maintenance(
            {trust_errors.Cause.GONE: 1, trust_errors.Cause.WITHDRAWN: 2}))
        self.table.add(dataclasses.replace(
            run('r1', fence=2), steps=(messages.Step(
                'action-0', 0, messages.StepState.SUBMITTED),)), 1e9)
        self.clock.sleep(10)
        text = self.text('--metrics-enabled')
        for words in ('service mode, started 1 min 11 s ago',
                      'central, registered 1 min 11 s ago',
                      '10 s ago failed: 503: no (req-1)',
                      'the first has waited for 1 min 41 s',
                      '3 jobs: trust_gone 1, delegation_withdrawn 2',
                      'http://127.0.0.1:9095/metrics', '1 of 2'):
            self.assertIn(words, text)
        self.assertEqual(
            ['r1', 'job-1', fakes.PROJECT, '10', 's', 'working', '1/1',
             'submitted,', 'reclaimed'], text.splitlines()[-1].split())

    def test_no_secret_is_shown(self):
        self.table.add(run(), 1e9)
        self.assertNotIn(fakes.TRUST, json.dumps(self.shown()))
        self.assertNotIn('secret', json.dumps(self.shown()))

    def test_the_text_shows_a_limited_number_of_runs(self):
        for number in range(status._SHOWN + 7):
            self.table.add(run(f'r{number}'), 1e9)
        self.assertIn('... and 7 more', self.text())
        self.assertEqual(status._SHOWN + 7, len(self.shown()['runs']))

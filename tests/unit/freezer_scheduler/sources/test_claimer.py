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

"""Ticks: leases, events, new runs, and an API that is away."""

from __future__ import annotations

import json
import logging
import threading

import fixtures
import prometheus_client
import requests_mock
import testtools

from freezer_scheduler.freezer import client
from freezer_scheduler.freezer import messages
from freezer_scheduler.freezer import registration
from freezer_scheduler.keystone import sessions
from freezer_scheduler.runs import run_table
from freezer_scheduler.sources import claimer
from freezer_scheduler.sources import leases
from freezer_scheduler.telemetry import monitor
from tests.unit.freezer_scheduler import fakes


class TestClaims(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.INFO))
        mocker = requests_mock.Mocker()
        mocker.start()
        self.addCleanup(mocker.stop)
        self.clock = fakes.FakeClock()
        fakes.FakeCloud(mocker, self.clock)
        self.freezer = fakes.FakeFreezer(mocker)
        self.settings = fakes.settings('--scheduler-claim-batch', '3')
        self.registry = prometheus_client.CollectorRegistry()
        self.observer = monitor.Monitor(self.clock, self.registry)
        connection = client.Api(
            sessions.Identity(self.settings).service(), 'me', 'public', None,
            None)
        self.registration = registration.Registration(
            connection, None, 'node', self.settings.capabilities, True,
            self.observer)
        self.limits = run_table.Limits(5, 5)
        self.runs = run_table.RunTable(self.clock, lambda: self.limits)
        self.leases = leases.Leases(
            connection, self.registration, self.runs, lambda: self.settings,
            self.clock, self.observer)
        self.claimer = claimer.Claimer(
            connection, self.registration, self.runs, lambda: self.settings,
            self.clock, self.observer, lambda: self.leases.behind)

    def due(self, *ids):
        self.freezer.due += [fakes.run_document(run_id) for run_id in ids]

    def lease_left(self):
        claimed = self.runs.take(wait=False)
        assert claimed is not None
        return self.runs.lease_left(claimed)

    def test_due_runs_are_held(self):
        self.due('a', 'b')
        self.assertFalse(self.claimer.tick())
        self.assertEqual([('a', 1), ('b', 1)], self.runs.claimed())

    def test_a_full_answer_asks_for_more_at_once(self):
        self.due('a', 'b', 'c', 'd', 'e', 'f')
        self.assertTrue(self.claimer.tick())
        self.assertFalse(self.claimer.tick())
        self.assertEqual([3, 2], [claim['limit']
                                  for claim in self.freezer.claimed])

    def test_an_answer_that_was_cut_short_asks_for_more_at_once(self):
        self.freezer.most = 1
        self.due('a', 'b')
        self.assertTrue(self.claimer.tick())
        self.assertFalse(self.claimer.tick())
        self.assertEqual([('a', 1), ('b', 1)], self.runs.claimed())

    def test_without_room_it_asks_as_soon_as_there_is_some(self):
        self.limits = run_table.Limits(2, 2)
        self.settings = fakes.settings(
            '--scheduler-max-in-flight', '2',
            '--scheduler-claim-interval', '600',
            '--scheduler-lease-seconds', '3600')
        self.due('a', 'b', 'c')
        rests = self.resting()
        self.assertTrue(rests.is_alive())
        claimed = self.runs.take(wait=False)
        assert claimed is not None
        self.runs.done(claimed, None)
        rests.join(30)
        self.assertFalse(rests.is_alive())
        self.claimer.tick()
        self.assertEqual([2, 1], [claim['limit']
                                  for claim in self.freezer.claimed])

    def resting(self):
        """Claim, and wait for the next time in a thread."""
        def wait(_seconds):
            self.fail('there is room')

        self.assertFalse(self.claimer.tick())
        rests = threading.Thread(target=self.claimer.rest, args=(wait,),
                                 daemon=True)
        rests.start()
        return rests

    def test_with_room_it_asks_after_an_interval_or_a_little_less(self):
        waits: list[float] = []
        self.due('a')
        self.assertFalse(self.claimer.tick())
        for _number in range(50):
            self.claimer.rest(waits.append)
        self.assertLessEqual(max(waits), self.settings.claim_interval)
        self.assertGreaterEqual(min(waits),
                                0.8 * self.settings.claim_interval)

    def test_two_schedulers_do_not_keep_one_rhythm(self):
        # Each waits in turn; first is whoever asks first after a second.
        self.assertFalse(self.claimer.tick())
        waits: list[float] = []
        at = [0.1, 0.6]
        first = [0, 0]
        for second in range(5, 3000, 5):
            for one in range(2):
                while at[one] < second:
                    self.claimer.rest(waits.append)
                    at[one] += waits.pop()
            first[at[1] < at[0]] += 1
        self.assertGreater(min(first), 0.3 * sum(first))

    def test_a_stop_is_not_held_up_by_that(self):
        self.limits = run_table.Limits(1, 1)
        self.settings = fakes.settings(
            '--scheduler-claim-interval', '600',
            '--scheduler-lease-seconds', '3600')
        self.due('a')
        rests = self.resting()
        self.runs.stop()
        rests.join(30)
        self.assertFalse(rests.is_alive())

    def test_a_claim_renews_no_lease(self):
        """What is held may be thousands, and claims come each second."""
        self.due(*'abcdefgh')
        self.limits = run_table.Limits(99, 99)
        while self.claimer.tick():
            pass
        self.leases.renew()
        self.assertEqual([0, 0, 0, 8], [
            len(claim['held']) for claim in self.freezer.claimed])
        self.assertEqual(0, self.freezer.claimed[-1]['limit'])

    def test_the_limit_of_a_project_is_sent(self):
        self.claimer.tick()
        self.assertEqual(self.settings.max_in_flight_per_project,
                         self.freezer.claimed[0]['per_project'])

    def hold(self, count):
        self.limits = run_table.Limits(9, 5)
        for number in range(count):
            self.runs.add(messages.Run.from_document(
                fakes.run_document(f'r{number}')), self.clock.now + 60)
        self.clock.sleep(50)

    def renew(self):
        try:
            self.leases.renew()
        except client.ApiError as error:
            return error
        return None

    def test_many_leases_are_renewed_with_several_questions(self):
        self.hold(1200)
        self.leases.renew()
        claimed = self.freezer.claimed
        self.assertEqual([500, 500, 200],
                         [len(claim['held']) for claim in claimed])
        self.assertEqual([0, 0, 0], [claim['limit'] for claim in claimed])
        self.assertEqual(1200, len({claimed['run_id'] for claim in claimed
                                    for claimed in claim['held']}))
        # What the API takes for a request. Run ids have 36 characters at
        # the most, and a fence may be long.
        for claim in claimed:
            self.assertLess(len(json.dumps(claim)) + 42 * 500, 114688)

    def test_nothing_held_asks_nothing(self):
        self.leases.renew()
        self.assertEqual([], self.freezer.claimed)

    def test_one_refused_question_costs_no_other_lease(self):
        self.hold(600)
        self.freezer.faults['claims'] = [400]
        self.assertIsInstance(self.renew(), client.ApiRefused)
        self.assertEqual(100, len(self.freezer.claimed[0]['held']))
        self.assertFalse(self.leases.behind)

    def test_an_api_that_is_away_is_asked_once(self):
        self.hold(1200)
        self.freezer.faults['claims'] = [503]
        self.assertIsInstance(self.renew(), client.ApiUnreachable)
        self.assertEqual([], self.freezer.claimed)

    def test_runs_whose_leases_wait_are_not_claimed_as_new(self):
        self.hold(1)
        self.freezer.faults['claims'] = [503]
        self.renew()
        self.assertFalse(self.claimer.tick())
        self.assertEqual([], self.freezer.claimed)
        self.renew()
        self.claimer.tick()
        self.assertEqual([0, 3], [claim['limit']
                                  for claim in self.freezer.claimed])

    def test_those_that_end_first_are_renewed_first(self):
        """Of several questions the second one is always lost."""
        def first(request):
            answer = self.freezer._answer(request)
            self.freezer.faults['claims'] = [fakes.lost_answer]
            return answer

        self.hold(1200)
        for _time in range(6):
            self.freezer.faults['claims'] = [first]
            self.assertIsNotNone(self.renew())
            self.freezer.faults['claims'] = []
            self.clock.sleep(3)
        self.assertEqual(1200, len(self.runs.claimed()))
        least = min(
            claimed.lease_until for claimed, _phase in self.runs.phases())
        self.assertGreater(least, self.clock.now)

    def test_a_lease_counts_from_before_the_question(self):
        def slow(request):
            self.clock.sleep(20)
            return requests_mock.create_response(request, json={
                'runs': [fakes.run_document('b')],
                'held': [{'run_id': 'a', 'event': None}], 'lost': []})

        self.due('a')
        self.claimer.tick()
        self.freezer.faults['claims'].append(slow)
        self.leases.renew()
        self.assertEqual(40, self.lease_left())
        self.freezer.faults['claims'].append(slow)
        self.claimer.tick()
        self.assertEqual(40, self.lease_left())

    def test_without_an_answer_no_lease_is_renewed(self):
        self.due('a')
        self.claimer.tick()
        self.clock.sleep(15)
        self.freezer.faults['claims'].append(fakes.lost_answer)
        self.renew()
        self.assertEqual(45, self.lease_left())

    def test_lost_runs_and_events(self):
        self.due('a', 'b')
        self.claimer.tick()
        self.freezer.lose = {'a'}
        self.freezer.events = {'b': 'abort'}
        self.leases.renew()
        [(run_id, _fence)] = self.runs.claimed()
        self.assertEqual('b', run_id)
        claimed = self.runs.take(wait=False)
        assert claimed is not None
        self.assertIs(messages.Event.ABORT, claimed.event)

    def test_an_outage_is_logged_at_its_start_and_end(self):
        self.freezer.faults['claims'] = [503] * 20
        for _tick in range(20):
            self.claimer.tick()
            self.clock.sleep(5)
        self.assertEqual(1, self.log.output.count('No runs can be claimed'))
        self.claimer.tick()
        self.assertIn('again after 100 seconds', self.log.output)

    def test_a_client_that_was_deleted_is_registered_again(self):
        self.freezer.faults['claims'] = [404]
        self.claimer.tick()
        self.assertEqual(1, len(self.freezer.registered))

    def test_unreadable_runs_are_named_and_left(self):
        self.freezer.due = [fakes.run_document('x', project_id=None)]
        self.due('a')
        self.claimer.tick()
        self.assertEqual([('a', 1)], self.runs.claimed())
        self.assertIn('Run x', self.log.output)

    def test_a_client_id_made_of_project_and_host(self):
        self.assertEqual(f'{fakes.SERVICE_PROJECT}_node',
                         self.registration.client_id)

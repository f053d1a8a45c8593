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

import itertools
import threading
import typing

import fixtures
import testtools

from freezer_scheduler.freezer import client as freezer_client
from freezer_scheduler.freezer import messages
from freezer_scheduler import log_context
from freezer_scheduler.runs import run_table
from freezer_scheduler.sources import base
from freezer_scheduler.sources import reporter
from tests.unit.freezer_scheduler import fakes

Event = messages.Event
RUNNING = messages.RunState.RUNNING


class FakeSource:
    """Where runs come from.

    :ivar sent: the ids of the runs of each request
    """

    def __init__(self):
        self.report_all: base.ReportAll | None = self.answer
        self.sent = []
        self.events = {}
        self.lost = set()
        self.problem = None

    def answer(self, said):
        self.sent.append([one['run_id'] for one in said])
        if self.problem is not None:
            raise self.problem
        return {one['run_id']: self.events.get(one['run_id'])
                for one in said if one['run_id'] not in self.lost}


class TestReporter(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.source = FakeSource()
        self.accepted: list[messages.Report] = []
        self.back = {}
        self.mistaken = set()
        self.in_context = {}
        self.reporter = reporter.Reporter(
            typing.cast(base.Source, self.source), self.accepted.append,
            self.give_back)

    def give_back(self, claimed, answer):
        if claimed.run.run_id in self.mistaken:
            raise KeyError('a mistake')
        self.back[claimed.run.run_id] = answer
        context = log_context.current()
        self.in_context[claimed.run.run_id] = context and context.trouble

    def take(self, run_id, reason=None):
        run = messages.Run.from_document(fakes.run_document(run_id))
        with log_context.of(run):
            context = log_context.current()
            assert context is not None
            context.trouble = f'of {run_id}'
            return self.reporter.take(
                run_table.ClaimedRun(run, 0, None), messages.Report(
                    RUNNING, reason, (messages.Step('a', 0, reason=reason),)))

    def test_reports_gather_after_a_request(self):
        self.useFixture(fixtures.MonkeyPatch(
            'freezer_scheduler.sources.reporter._GATHER', 3600))
        self.useFixture(fixtures.MonkeyPatch(
            'freezer_scheduler.sources.reporter._MOST', 2))
        self.take('a')
        self.reporter.send()
        sender = threading.Thread(target=self.reporter.send, daemon=True)
        sender.start()
        self.take('b')
        self.take('c')
        sender.join(60)
        self.assertEqual([['a'], ['b', 'c']], self.source.sent)

    def test_what_comes_together_is_sent_together(self):
        self.source.events = {'r1': Event.ABORT}
        for number in range(3):
            self.assertTrue(self.take(f'r{number}'))
        self.assertEqual({}, self.back)
        self.assertTrue(self.reporter.send())
        self.assertEqual([['r0', 'r1', 'r2']], self.source.sent)
        self.assertEqual({'r0': None, 'r1': Event.ABORT, 'r2': None},
                         self.back)
        self.assertEqual(3, len(self.accepted))

    def test_a_request_has_no_more_than_the_api_takes(self):
        self.take('long', 'x' * 1000)
        for number in range(250):
            self.take(f'r{number}', 'x' * 400)
        while len(self.back) < 251:
            self.reporter.send()
        sizes = [len(sent) for sent in self.source.sent]
        self.assertEqual(251, sum(sizes))
        self.assertLessEqual(max(sizes), 100)
        # Some 900 bytes each are sent as far as they fit into 96 KiB.
        self.assertGreater(min(sizes[:-1]), 60)

    def test_reports_are_sent_in_their_order(self):
        for number in range(150):
            self.take(f'r{number}')
        while len(self.back) < 150:
            self.reporter.send()
        self.assertEqual([f'r{number}' for number in range(150)],
                         list(itertools.chain(*self.source.sent)))

    def test_a_run_that_was_lost_costs_no_other(self):
        """Invariant 4."""
        self.source.lost = {'r1'}
        for number in range(3):
            self.take(f'r{number}')
        self.reporter.send()
        self.assertIsInstance(self.back['r1'], freezer_client.StaleFence)
        self.assertEqual((None, None), (self.back['r0'], self.back['r2']))
        self.assertEqual(2, len(self.accepted))

    def test_a_refused_run_is_given_back_with_the_error(self):
        self.source.problem = freezer_client.ApiUnreachable('away')
        self.take('r1')
        self.take('r2')
        self.reporter.send()
        self.assertEqual(dict.fromkeys(('r1', 'r2'), self.source.problem),
                         self.back)
        self.assertEqual([], self.accepted)

    def test_an_unknown_error_gives_the_runs_back(self):
        self.source.problem = KeyError('a mistake')
        self.take('r1')
        self.assertRaises(KeyError, self.reporter.send)
        self.assertIsInstance(self.back['r1'], freezer_client.ApiUnreachable)

    def test_an_unknown_error_with_one_run_affects_no_other(self):
        """Invariant 4."""
        self.mistaken = {'r0', 'r1'}
        for number in range(3):
            self.take(f'r{number}')
        self.assertRaises(KeyError, self.reporter.send)
        self.assertEqual({'r2': None}, self.back)

    def test_each_run_continues_with_its_own_log_context(self):
        self.take('r1')
        self.take('r2')
        self.reporter.send()
        self.assertEqual({'r1': 'of r1', 'r2': 'of r2'}, self.in_context)
        self.assertIsNone(log_context.current())

    def test_accepted_reports_are_sent_before_the_end(self):
        self.take('r1')
        self.reporter.stop()
        self.assertFalse(self.take('r2'))
        self.assertTrue(self.reporter.send())
        self.assertFalse(self.reporter.send())
        self.assertEqual([['r1']], self.source.sent)

    def test_an_api_without_common_reports_gets_single_ones(self):
        self.source.report_all = None
        self.assertFalse(self.take('r1'))

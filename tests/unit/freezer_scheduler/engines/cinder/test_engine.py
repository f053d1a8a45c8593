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

"""What it takes to add an action to the cinder-native engine."""

from __future__ import annotations

import dataclasses

import fixtures
import requests_mock
import testtools

from freezer_api.domain import capabilities
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import engine as cinder
from freezer_scheduler.engines.cinder import operation
from freezer_scheduler.engines import registry
from freezer_scheduler.freezer import messages
from freezer_scheduler.keystone import sessions
from freezer_scheduler.runs import executor
from freezer_scheduler.runs import run_table
from tests.unit.freezer_scheduler.engines import cases
from tests.unit.freezer_scheduler import fakes

State = messages.StepState


class Verify(operation.Operation):
    """Looks at the volume, in two calls. This is the new module."""

    def _next(self):
        if self._step.state is State.PENDING:
            return base.Progress(dataclasses.replace(
                self._step, state=State.SUBMITTED, volume_id=str(
                    self._context.freezer_action['cindernative_vol_id'])))
        status = self._client.volume_status(self._step.volume_id or '')
        return base.Progress(self._ended(State.SUCCESS, f'it is {status}'))

    def _give_up(self, reason, retry):
        return base.Progress(self._ended(State.FAIL, reason), retry=retry)


# This is the registration.
ACTIONS = {**cinder.ACTIONS, 'verify': Verify}

OFFERED = dataclasses.replace(
    capabilities.CINDER_NATIVE, actions=tuple(ACTIONS))


class TestANewAction(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.FakeLogger())
        mocker = requests_mock.Mocker()
        mocker.start()
        self.addCleanup(mocker.stop)
        self.clock = fakes.FakeClock()
        self.cloud = fakes.FakeCloud(mocker, self.clock)
        self.reports = []

    def advance(self, steps=(), carried_out=ACTIONS, offered=OFFERED,
                moves=1, engine=registry.NATIVE, **action):
        """Have a new process make moves of a run; return the last report."""
        known = sessions.Identity(fakes.settings())
        native = cinder.CinderEngine(operation.Dependencies(
            clients=lambda trust_id: cinder_client.CinderClient(
                known, trust_id, 'public', None),
            clock=self.clock, limits=lambda: cases.LIMITS, hostname='here'),
            carried_out)
        table = run_table.RunTable(
            self.clock, lambda: run_table.Limits(1, 1))
        made = executor.Executor(
            lambda run_id, fence, report: self.reports.append(report),
            registry.Registry({engine: native}, lambda: offered), self.clock,
            table)
        document = fakes.run_document(
            actions=[fakes.action(**{'action': 'verify', **action})])
        document['actions'] = [step.to_document() for step in steps]
        table.add(messages.Run.from_document(document), 1e12)
        claimed = table.take(wait=False)
        assert claimed is not None
        for _move in range(moves):
            made.advance(claimed)
        return self.reports[-1]

    def test_it_is_carried_out_and_reclaimed(self):
        begun = self.advance()
        [step] = begun.steps
        self.assertEqual(
            ('submitted', registry.NATIVE, 'verify'),
            (step.state, step.engine, step.action))
        ended = self.advance(begun.steps)
        self.assertEqual('success', ended.state)
        self.assertEqual('it is available', ended.steps[0].reason)
        self.assertNotIn('POST', [method for method, path
                                  in self.cloud.requests
                                  if 'auth' not in path])

    def test_what_is_under_way_is_not_what_the_action_became(self):
        begun = self.advance()
        ended = self.advance(begun.steps, action='backup')
        self.assertEqual('it is available', ended.steps[0].reason)

    def test_a_scheduler_that_does_not_know_it_says_so(self):
        begun = self.advance()
        for engine, carried_out in (
                (registry.NATIVE, cinder.ACTIONS), ('another', ACTIONS)):
            ended = self.advance(begun.steps, carried_out, engine=engine)
            self.assertEqual('fail', ended.state)
            self.assertIn('cannot go on with action verify of engine '
                          'cindernative', ended.reason)
        self.assertEqual([], self.cloud.requests)

    def test_only_schedulers_that_name_it_offer_it(self):
        """Neither a classic scheduler nor a stock client by its defaults."""
        for offered in (capabilities.EVERYTHING, capabilities.CINDER_NATIVE):
            self.assertIn('not supported by this scheduler: action: verify',
                          self.advance(offered=offered).reason)
        everywhere = dataclasses.replace(
            capabilities.EVERYTHING, actions=tuple(ACTIONS))
        self.assertIn('action: verify (not in mode fs)',
                      self.advance(offered=everywhere, mode='fs',
                                   cindernative_vol_id=None).reason)
        self.assertEqual('running', self.advance(offered=everywhere).state)

    def test_the_actions_are_those_that_users_can_ask_for(self):
        self.assertEqual(set(capabilities.NATIVE_ACTIONS),
                         set(cinder.ACTIONS))

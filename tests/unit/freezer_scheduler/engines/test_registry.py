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

"""Which engine begins a step, and which goes on with what is stored."""

from __future__ import annotations

import dataclasses
import types

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_api.domain import capabilities
from freezer_scheduler.engines import registry
from freezer_scheduler.freezer import messages

State = messages.StepState
NATIVE = types.SimpleNamespace(offers=capabilities.CINDER_NATIVE)
AGENT = types.SimpleNamespace(offers=capabilities.EVERYTHING)
BOTH = {registry.NATIVE: NATIVE, registry.AGENT: AGENT}
VOLUME = '11111111-1111-4111-8111-111111111111'


class TestChoice(testtools.TestCase):

    def chosen(self, step=None, engines=BOTH,
               offered=capabilities.EVERYTHING, **action):
        """Return the name of the engine, or why there is none."""
        engines = registry.Registry(engines, lambda: offered)
        try:
            step = step or engines.begin(action, messages.Step('a', 0))
            found = engines.engine_of(step)
        except registry.Refused as error:
            return str(error)
        self.assertIs(BOTH[step.engine], found)
        return step.engine

    def test_by_mode(self):
        self.assertEqual('agent', self.chosen())
        self.assertEqual('agent', self.chosen(mode='fs'))
        for action in (None, 'backup', 'restore', 'admin'):
            self.assertEqual('cindernative', self.chosen(
                mode='cindernative', action=action))

    def test_a_command_has_a_mode_that_means_nothing(self):
        self.assertEqual('agent', self.chosen(mode='cindernative',
                                              action='exec'))

    def test_no_spelling_of_cinder_native_work_gets_an_agent(self):
        """Invariant 5: an operator has to name what an agent is to do."""
        for action in ({'Mode': 'cindernative'}, {'MODE': 'cindernative'},
                       {'mode': '', 'Mode': 'cindernative'},
                       {'mode': 'cindernative', 'Action': 'backup'},
                       {'mode': 'cindernative', 'action': ''},
                       {'mode': 'cindernative', 'storage': 'local'}):
            for offered in (capabilities.CINDER_NATIVE,
                            capabilities.EVERYTHING):
                self.assertEqual(
                    'cindernative', self.chosen(offered=offered, **action))

    @hypothesis.given(st.dictionaries(
        st.sampled_from(['mode', 'Mode', 'action', 'ACTION', 'storage',
                         'engine', 'cinder_vol_id', 'cindernative_vol_id',
                         'restore-abs-path']),
        st.sampled_from(['cindernative', 'fs', 'backup', 'admin', 'exec',
                         'local', 'tar', VOLUME, '', None, False, 3])))
    def test_within_the_default_capabilities_there_is_no_agent(self, action):
        self.assertNotEqual('agent', self.chosen(
            offered=capabilities.CINDER_NATIVE, **action))

    def test_nothing_outside_the_capabilities(self):
        for action in ({}, {'mode': 'fs'}, {'action': 'exec'},
                       {'mode': 'cindernative', 'Mode': 'fs'},
                       {'mode': 'cindernative', 'cinder_vol_id': VOLUME},
                       {'mode': ['cindernative']}):
            self.assertIn('not supported', self.chosen(
                offered=capabilities.CINDER_NATIVE, **action))

    def test_the_engine_that_began_an_action_ends_it(self):
        none = capabilities.Capabilities((), (), (), ())
        for state in (State.SUBMITTING, State.SUBMITTED):
            for engine in BOTH:
                step = messages.Step('a', 0, state=state, engine=engine,
                                     action='restore')
                self.assertEqual(engine, self.chosen(step, offered=none))

    def test_what_no_engine_knows_is_refused(self):
        """And never carried out as another action."""
        part = messages.Step('a', 0, state=State.SUBMITTED, volume_id=VOLUME,
                             engine='cindernative', action='verify')
        for step in (part, dataclasses.replace(
                part, engine='swiftnative', action='backup'),
                dataclasses.replace(part, engine='agent'),
                dataclasses.replace(part, action='backup', parts=(part,))):
            self.assertIn('cannot go on with action', self.chosen(step))

    def test_a_step_names_what_it_began_as(self):
        engines = registry.Registry(BOTH, lambda: capabilities.EVERYTHING)
        for action, engine, name in (
                ({}, 'agent', 'backup'),
                ({'action': 'exec'}, 'agent', 'exec'),
                ({'mode': 'cindernative'}, 'cindernative', 'backup'),
                ({'mode': 'cindernative', 'action': 'admin'}, 'cindernative',
                 'admin')):
            step = engines.begin(action, messages.Step('a', 0))
            self.assertEqual((engine, name), (step.engine, step.action))

    def test_without_an_agent(self):
        only = {registry.NATIVE: NATIVE}
        self.assertIn('no engine', self.chosen(engines=only, mode='fs'))

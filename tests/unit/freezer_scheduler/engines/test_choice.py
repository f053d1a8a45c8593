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

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_api.domain import capabilities
from freezer_scheduler import documents
from freezer_scheduler.engines import choice

State = documents.StepState
BOTH = {choice.NATIVE: 'native', choice.AGENT: 'agent'}
VOLUME = '11111111-1111-4111-8111-111111111111'


class TestChoice(testtools.TestCase):

    def chosen(self, step=None, engines=BOTH,
               offered=capabilities.EVERYTHING, **action):
        engine, refusal = choice.engine_of(
            engines, offered, action, step or documents.Step('a', 0))
        return engine or refusal

    def test_by_mode(self):
        self.assertEqual('agent', self.chosen())
        self.assertEqual('agent', self.chosen(mode='fs'))
        for action in (None, 'backup', 'restore', 'admin'):
            self.assertEqual('native', self.chosen(
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
                self.assertEqual('native', self.chosen(offered=offered,
                                                       **action))

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

    def test_what_goes_on_is_ended_by_who_began_it(self):
        none = capabilities.Capabilities((), (), (), ())
        for state in (State.SUBMITTING, State.SUBMITTED):
            step = documents.Step('a', 0, state=state)
            self.assertEqual('agent', self.chosen(step, offered=none,
                                                  mode='cindernative'))
            step = documents.Step('a', 0, state=state, volume_id=VOLUME)
            self.assertEqual('native', self.chosen(step, offered=none,
                                                   mode='fs'))
            step = documents.Step('a', 0, state=state, parts=(step,))
            self.assertEqual('native', self.chosen(step, offered=none))

    def test_a_restore_into_a_volume_that_is_not_made_yet(self):
        self.assertEqual('native', self.chosen(documents.Step(
            'a', 0, state=State.SUBMITTING, cinder_backup_id='b')))

    def test_without_an_agent(self):
        only = {choice.NATIVE: 'native'}
        self.assertIn('no engine', self.chosen(engines=only, mode='fs'))
        self.assertEqual('native', self.chosen(
            documents.Step('a', 0, state=State.SUBMITTED), only))

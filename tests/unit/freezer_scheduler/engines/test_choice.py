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

"""Which engine goes on with a step, told by what is stored of it."""

from __future__ import annotations

import dataclasses

import testtools

from freezer_api.domain import capabilities
from freezer_scheduler import documents
from freezer_scheduler.engines import choice

STEP = documents.Step('action-1', 0, documents.StepState.SUBMITTING, 1)


class TestChoice(testtools.TestCase):

    def chosen(self, **keys):
        # What the action says by now does not matter.
        engine, _refusal = choice.engine_of(
            {choice.NATIVE: 'native', choice.AGENT: 'agent'},
            capabilities.CINDER_NATIVE, {'action': 'backup', 'mode': 'fs'},
            dataclasses.replace(STEP, **keys))
        return engine

    def test_what_is_under_way_stays_with_its_engine(self):
        self.assertEqual('native', self.chosen(volume_id='v'))
        self.assertEqual('native', self.chosen(
            parts=(documents.Step('action-1', 0),)))
        self.assertEqual('agent', self.chosen())

    def test_a_restore_into_a_volume_that_is_not_made_yet(self):
        self.assertEqual('native', self.chosen(cinder_backup_id='b'))

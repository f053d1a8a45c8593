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

"""What is said of steps that nobody follows any more."""

from __future__ import annotations

import testtools

from freezer_scheduler.freezer import messages
from freezer_scheduler.runs import result

State = messages.StepState


class TestUnknown(testtools.TestCase):

    def test_what_may_have_happened_is_said(self):
        for engine, action, state, words in (
                ('cindernative', 'backup', State.PENDING, ''),
                ('cindernative', 'backup', State.SUBMITTING,
                 'whether Cinder made a backup'),
                ('cindernative', 'restore', State.SUBMITTING,
                 'whether Cinder began to restore'),
                ('cindernative', 'restore', State.SUBMITTED,
                 'how the restore ended'),
                ('cindernative', 'backup', State.SUBMITTED,
                 'backup c is not known'),
                ('cindernative', 'backup', State.CLEARING, 'backup c failed'),
                ('cindernative', 'backup', State.MAKING_ROOM, ''),
                ('cindernative', 'admin', State.PRUNING, ''),
                ('cindernative', 'verify', State.SUBMITTED,
                 'how far action verify came'),
                ('agent', 'restore', State.SUBMITTED,
                 'how far action restore came'),
                ('cindernative', 'backup', State.SUCCESS, '')):
            told = result.unknown(messages.Step(
                'a', 0, state, 1, cinder_backup_id='c', engine=engine,
                action=action))
            self.assertIn(words, told)
            self.assertEqual(bool(words), bool(told))

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

from freezer_scheduler import documents
from freezer_scheduler import outcome

State = documents.StepState


class TestUnknown(testtools.TestCase):

    def test_what_may_have_happened_is_said(self):
        for state, record, cinder, words in (
                (State.PENDING, None, None, ''),
                (State.SUBMITTING, 'r', None, 'whether Cinder made a backup'),
                (State.SUBMITTING, None, 'c',
                 'whether Cinder began to restore'),
                (State.SUBMITTED, None, 'c', 'how the restore ended'),
                (State.SUBMITTED, 'r', 'c', 'backup c is not known'),
                (State.SUCCESS, 'r', None, '')):
            told = outcome.unknown(documents.Step(
                'a', 0, state, 1, backup_id=record, cinder_backup_id=cinder))
            self.assertIn(words, told)
            self.assertEqual(bool(words), bool(told))

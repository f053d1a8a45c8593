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

"""Only one request about a volume is sent at a time."""

from __future__ import annotations

import dataclasses

from freezer_scheduler.engines import base
from freezer_scheduler.freezer import messages
from tests.unit.freezer_scheduler.engines import cases
from tests.unit.freezer_scheduler import fakes

OTHER = '22222222-2222-4222-8222-222222222222'


class TestAlone(cases.Case):

    def ready(self, run_id, **keys):
        """Return the context of a run that sends its request next."""
        context = dataclasses.replace(self.context(**keys), run_id=run_id)
        _progress, context = self.call(context)
        self.assertEqual('submitting', context.step.state)
        return context

    def during_a_request(self, context):
        """Call for a second run while the request of a first is under way.

        Cinder has checked the volume by then, and not marked it yet.
        """
        first = self.ready('run-1')
        create = self.cloud._create
        answers: list[tuple[base.Progress, base.ActionContext]] = []

        def held_up(request):
            if not self.cloud.posts:
                self.patch(self.cloud, '_create', create)
                answers.append(self.call(context))
            return create(request)

        self.patch(self.cloud, '_create', held_up)
        progress, _context = self.call(first)
        self.assertEqual('submitted', progress.step.state)
        return answers[0]

    def test_the_second_one_waits_for_its_turn(self):
        progress, context = self.during_a_request(self.ready('run-2'))
        self.assertEqual(1, len(self.cloud.posts))
        self.assertGreater(progress.after, 0)
        progress, context = self.call(context)
        # Now Cinder itself says that the volume is busy.
        self.assertEqual(messages.StepState.PENDING, progress.step.state)
        self.assertIn('backing-up', progress.step.reason)
        progress, _context = self.go(context)
        self.assertEqual('success', progress.step.state)
        self.assertEqual(2, len(self.cloud.backups))

    def test_another_volume_does_not_wait(self):
        self.cloud.volumes[OTHER] = 'available'
        progress, _context = self.during_a_request(
            self.ready('run-2', cindernative_vol_id=OTHER))
        self.assertEqual('submitted', progress.step.state)

    def test_a_lost_answer_releases_the_volume(self):
        self.cloud.fail('POST', '/backups$', fakes.lost_answer)
        self.call(self.ready('run-1'))
        progress, _context = self.call(self.ready('run-2'))
        self.assertEqual('submitted', progress.step.state)

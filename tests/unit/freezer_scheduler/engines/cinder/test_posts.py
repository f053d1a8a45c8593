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

"""Cinder is asked three times at most, by all holders of a run together."""

from __future__ import annotations

import collections
import json

import fixtures
import hypothesis
from hypothesis import strategies as st
import requests_mock
import testtools

from tests.unit.freezer_scheduler.engines.cinder import test_volumes
from tests.unit.freezer_scheduler import fakes

KILLS = st.dictionaries(st.integers(1, 40),
                        st.sampled_from([True, 'stored']), max_size=10)
MOST = 3


class Stack(test_volumes.Stack):
    """It makes volumes, too."""

    def finish(self):
        super().finish()
        for volume_id, status in self.cloud.volumes.items():
            if status == 'creating':
                self.cloud.volumes[volume_id] = 'available'


class TestPosts(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.FakeLogger())
        self.posts: collections.Counter[tuple[str | None, ...]] = (
            collections.Counter())

    def lost(self, request):
        """Count a request that never arrives, by what it is to make."""
        body = json.loads(request.body)
        [(kind, asked)] = body.items()
        step = asked.get('metadata', {}).get('freezer_step')
        self.posts[kind, asked.get('volume_id'), step] += 1
        return fakes.lost_answer(request)

    def play(self, part, actions, kills, **keys):
        """Have a run end whose requests get lost, killed at some reports.

        :param part: of the URLs of those requests
        """
        self.posts.clear()
        with requests_mock.Mocker() as mocker:
            stack = Stack(mocker, (10, 3))
            stack.volumes(3, name='db')
            stack.cloud.add_backup(volume_id=test_volumes.VOLUMES[0])
            stack.cloud.fail('POST', part, *[self.lost] * 1000)
            stack.kill = lambda number: kills.get(number, False)
            report = stack.go(actions, max_retries_interval=20, **keys)
        self.assertEqual('fail', report['state'])
        self.assertLessEqual(max(self.posts.values(), default=0), MOST,
                             self.posts)
        return report

    def test_at_most_three_posts_through_a_kill_at_each_step(self):
        one = fakes.action(cindernative_vol_id=test_volumes.VOLUMES[0])
        for part, action in (
                ('/backups$', one),
                ('/volumes$', restore := {**one, 'action': 'restore',
                                          'cindernative_new_volume': True}),
                ('/restore$', restore)):
            for kill in (True, 'stored'):
                for number in range(1, 8):
                    self.play(part, [action], {number: kill})
                    self.assertNotEqual({}, self.posts)
                # Whenever it has stored something, it dies.
                self.play(part, [action], dict.fromkeys(range(1, 20), kill))

    @hypothesis.settings(deadline=None, max_examples=15)
    @hypothesis.given(kills=KILLS, volumes=st.integers(1, 3),
                      retries=st.integers(0, 2))
    def test_at_most_three_posts_whatever_dies(self, kills, volumes, retries):
        self.play('/backups$', [test_volumes.several(
            ids=test_volumes.VOLUMES[:volumes])], kills, max_retries=retries)

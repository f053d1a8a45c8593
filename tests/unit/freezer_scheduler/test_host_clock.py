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

"""The clock of a scheduler's host: wrong, set, by whatever amount."""

from __future__ import annotations

import itertools
import logging

import fixtures
import testtools

from tests.unit.freezer_scheduler import hang_simulation

DAY = 86_400
AMOUNTS = (5, 3600, 3650 * DAY)

# Seconds after which the clock is set: before the first claim, with runs
# under way, while one waits for its next try, and back again or not.
SET_AT = (0, 12, 90)
SET_BACK_AT = (95, 300, None)

# When it is claimed, and looked at Cinder, is a matter of chance.
CHANCE = 20


class TestHostClock(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.FakeLogger(level=logging.ERROR))

    def played(self, at=None, until=None, amount=0):
        """Return when Cinder was asked for what, and how the runs ended."""
        scheduler = hang_simulation.Scheduler(
            total=20, makes=45)
        scheduler.refused = {'p1': 2}
        scheduler.hangs = {'p2': 'all'}
        for number in range(4):
            scheduler.fire(f'p{number}', number * 3, 3, retries=(3, 60))
        steps = sorted({0, 150, 900, *(
            moment for moment in (at, until) if moment is not None)})
        for begins, ends in itertools.pairwise(steps):
            if begins == at:
                scheduler.clock.epoch += amount
            if begins == until:
                scheduler.clock.epoch -= amount
            if begins == 150:
                scheduler.hangs = {}
            scheduler.play(ends - begins)
        return (scheduler.asked, scheduler.ended_at, scheduler.ended,
                scheduler.posts)

    def test_nothing_depends_on_it(self):
        asked, ended_at, ended, posts = self.played()
        self.assertEqual(12, len(ended))
        self.assertEqual({'success'}, set(ended.values()))
        self.assertEqual({1, 3}, set(posts.values()))
        for at, until, amount, sign in itertools.product(
                SET_AT, SET_BACK_AT, AMOUNTS, (1, -1)):
            case = at, until, sign * amount
            other = self.played(*case)
            self.assertEqual((ended, posts), other[2:], str(case))
            for times, others in zip((asked, ended_at), other, strict=False):
                for run_id, time in times.items():
                    self.assertLess(abs(time - others[run_id]), CHANCE,
                                    (*case, run_id))

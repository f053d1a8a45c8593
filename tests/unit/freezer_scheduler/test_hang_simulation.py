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

"""However many projects hang, the runs of others begin within a bound."""

from __future__ import annotations

import logging
import math

import fixtures
import hypothesis
from hypothesis import strategies as st
import testtools

from tests.unit.freezer_scheduler import hang_simulation

WORKERS = 8
# A claim, and the moves from there to the request.
AROUND = 8


def bound(scheduler, projects):
    """Return the seconds within which a run begins that is due.

    :param projects: with something due, those that hang included
    """
    return AROUND + math.ceil(projects / WORKERS) * (
        scheduler.sizes.after + hang_simulation.QUICK)


class TestHangs(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.ERROR))

    def delays(self, hanging, each, mode, timeout, spread, arrivals):
        """Return how long other projects wait, and how long they may."""
        scheduler = hang_simulation.Scheduler(timeout, WORKERS)
        for number in range(hanging):
            name = f'hangs-{number}'
            scheduler.hangs[name] = (
                ('all', 'post')[number % 2] if mode == 'mixed' else mode)
            scheduler.fire(name, spread * number / hanging, each)
        for number, at in enumerate(arrivals):
            scheduler.fire(f'other-{number}', at)
        scheduler.play(max(arrivals) + bound(
            scheduler, hanging + len(arrivals)) + 1)
        self.assertLess(scheduler.most_threads, scheduler.sizes.threads)
        delays = scheduler.delays()
        self.assertEqual(len(arrivals), len(delays))
        return max(delays.values()), bound(
            scheduler, hanging + len(arrivals))

    @hypothesis.settings(deadline=None, max_examples=8, suppress_health_check=[
        hypothesis.HealthCheck.too_slow])
    @hypothesis.given(
        hanging=st.integers(1, 60), each=st.sampled_from((1, 2, 10)),
        mode=st.sampled_from(('all', 'post', 'get', 'mixed', 'slow')),
        timeout=st.sampled_from((30, 100)),
        spread=st.sampled_from((0, 3, 60)),
        arrivals=st.lists(st.integers(0, 150), min_size=1, max_size=10))
    def test_another_project_begins_within_the_bound(
            self, hanging, each, mode, timeout, spread, arrivals):
        delay, most = self.delays(
            hanging, each, mode, timeout, spread, arrivals)
        self.assertLessEqual(delay, most)

    def test_many_projects_of_a_domain_that_hangs(self):
        for hanging, each, mode, timeout in (
                (30, 10, 'all', 100), (30, 10, 'post', 30),
                (100, 2, 'post', 30), (300, 1, 'all', 30)):
            delay, most = self.delays(hanging, each, mode, timeout, 0,
                                      (0, 1, 5, 10, 20, 40, 80, 120))
            self.assertLessEqual(delay, most, f'{hanging} {mode}')

    def test_a_project_that_hangs_has_a_thread(self):
        scheduler = hang_simulation.Scheduler(30, WORKERS)
        for number in range(30):
            scheduler.hangs[f'p{number}'] = 'all'
            scheduler.fire(f'p{number}', 0, 10)
        scheduler.play(200)
        self.assertLessEqual(
            scheduler.most_threads, 30 + WORKERS + scheduler.sizes.known)

    def test_a_cinder_that_is_slow_for_all_makes_a_bounded_number(self):
        scheduler = hang_simulation.Scheduler(30, WORKERS, 20, makes=300)
        for number in range(60):
            scheduler.hangs[f'p{number}'] = 'slow'
            scheduler.fire(f'p{number}', 0, 2)
        scheduler.play(3000)
        self.assertEqual(120, len(scheduler.ended))
        # Half as many more, and the requests that were on their way.
        self.assertLessEqual(scheduler.most_under_way, 30 + WORKERS)
        self.assertGreater(scheduler.most_under_way, 20)

    def test_the_limit_holds_once_cinder_answers_again(self):
        scheduler = hang_simulation.Scheduler(30, WORKERS, 20)
        for number in range(60):
            scheduler.hangs[f'p{number}'] = 'all'
            scheduler.fire(f'p{number}', 0, 3)
        scheduler.play(300)
        scheduler.hangs = {}
        scheduler.play(30)
        scheduler.most_in_flight = 0
        scheduler.play(900)
        self.assertEqual(180, len(scheduler.ended))
        self.assertLessEqual(scheduler.most_in_flight, 30 + WORKERS)

    def test_current_runs_free_their_slots_when_they_hang(self):
        """Such as when the domain of five projects stops answering."""
        scheduler = hang_simulation.Scheduler(30, WORKERS)
        for number in range(5):
            scheduler.fire(f'p{number}', 0, 10)
        scheduler.play(10)
        self.assertEqual(50, scheduler.table.in_flight())
        scheduler.hangs = {f'p{number}': 'all' for number in range(5)}
        scheduler.fire('other', 10, 3)
        scheduler.play(60)
        self.assertLessEqual(max(scheduler.delays().values()),
                             bound(scheduler, 6))
        scheduler.hangs = {}
        scheduler.play(600)
        self.assertEqual({'success'}, set(scheduler.ended.values()))
        self.assertEqual(53, len(scheduler.ended))
        self.assertEqual(50, scheduler.table.room())

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

"""Calls that hang: how long they hold up other projects."""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import math

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_scheduler.freezer import messages
from freezer_scheduler.runs import bulkhead
from freezer_scheduler.runs import run_table
from tests.unit.freezer_scheduler import fakes

HANG = 30.0
QUICK = 0.1
SIZES = bulkhead.Sizes.of_pool(8, True, HANG)


class Pool:
    """Workers of a table of runs, by a clock of its own.

    :ivar hangs: projects of which every call hangs
    :ivar delays: for each run of another project, the seconds until its
        first call began
    """

    def __init__(self, sizes=SIZES):
        self.clock = fakes.FakeClock()
        self.sizes = sizes
        self.table = run_table.RunTable(
            self.clock, lambda: run_table.Limits(50, 10), sizes)
        self.hangs = set()
        self.added = {}
        self.delays = {}
        self.most = 0
        self.held_by = {}
        self._ends = []
        self._busy = {}
        self._numbers = itertools.count()

    def add(self, project_id):
        run_id = f'r{next(self._numbers)}'
        self.added[run_id] = self.clock.now
        self.table.add(messages.Run.from_document(fakes.run_document(
            run_id, project_id=project_id)), 1e12)

    def _take(self):
        while len(self._busy) < self.sizes.threads:
            claimed = self.table.take(wait=False)
            if claimed is None:
                return
            project_id = claimed.run.project_id
            hangs = project_id in self.hangs
            if not hangs:
                self.delays.setdefault(
                    claimed.run.run_id,
                    self.clock.now - self.added[claimed.run.run_id])
            number = next(self._numbers)
            self._busy[number] = claimed
            mine = sum(one.run.project_id == project_id
                       for one in self._busy.values())
            self.most = max(self.most, mine)
            heapq.heappush(self._ends, (
                self.clock.now + (HANG if hangs else QUICK), number))

    def play(self, seconds):
        """Let time pass; what has hung is tried again, the rest ends."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            self._take()
            # What a worker waits for, it is woken for.
            steps = [until]
            if self._ends:
                steps.append(self._ends[0][0])
            left = self.table._until_due()
            if left is not None:
                steps.append(self.clock.now + max(left, 0.001))
            self.clock.sleep(max(0.0, min(steps) - self.clock.now))
            while self._ends and self._ends[0][0] <= self.clock.now:
                _at, number = heapq.heappop(self._ends)
                claimed = self._busy.pop(number)
                hung = claimed.run.project_id in self.hangs
                claimed.progress.idle = hung
                self.table.done(claimed, 5 if hung else None)


class TestBulkhead(testtools.TestCase):

    @hypothesis.settings(deadline=None, max_examples=40)
    @hypothesis.given(
        hanging=st.integers(0, 100), each=st.integers(1, 10),
        others=st.integers(1, 10), data=st.data())
    def test_projects_that_hang_hold_up_no_other_for_long(
            self, hanging, each, others, data):
        pool = Pool()
        pool.hangs = {f'hangs-{number}' for number in range(hanging)}
        names = sorted(pool.hangs) * each + [
            f'other-{number}' for number in range(others)]
        for name in data.draw(st.permutations(names)):
            pool.add(name)
        pool.play(HANG + 5)
        self.assertEqual(others, len(pool.delays))
        # Nobody knew which of them hang.
        bound = (math.ceil((hanging + others) / SIZES.fast)
                 * (SIZES.after + QUICK))
        self.assertLessEqual(max(pool.delays.values()), bound)
        self.assertLessEqual(pool.most, SIZES.share)
        # Now it is known.
        pool.play(2 * HANG)
        for _time in range(20):
            pool.add('later')
            pool.play(7)
        later = [delay for run_id, delay in pool.delays.items()
                 if pool.added[run_id] > 1000 + HANG]
        self.assertEqual(20, len(later))
        self.assertLessEqual(max(later), QUICK)

    def test_runs_continue_when_their_services_answer_again(self):
        pool = Pool()
        pool.hangs = {f'hangs-{number}' for number in range(20)}
        for name in sorted(pool.hangs) * 10:
            pool.add(name)
        pool.play(300)
        self.assertEqual({}, pool.delays)
        pool.hangs = set()
        pool.play(2 * HANG)
        # The others had begun.
        self.assertLessEqual(200 - SIZES.known, len(pool.delays))
        self.assertEqual(50, pool.table.room())
        self.assertEqual([], pool.table.claimed())

    def test_a_single_project_gets_its_whole_share(self):
        pool = Pool()
        for _number in range(40):
            pool.add('one')
        pool.play(40 / SIZES.share * QUICK + 1)
        self.assertEqual(40, len(pool.delays))
        self.assertEqual(SIZES.share, pool.most)

    def test_the_only_project_of_a_scheduler_gets_all_threads(self):
        pool = Pool(bulkhead.Sizes.of_pool(8, False, HANG))
        for _number in range(8):
            pool.add('one')
        pool.play(QUICK / 2)
        self.assertEqual(8, pool.most)

    def test_a_lost_run_delays_no_other(self):
        """Whichever of them goes, in whichever state it is."""
        for gone in itertools.permutations(range(5), 3):
            pool = Pool()
            for _number in range(5):
                pool.add('one')
            pool.play(QUICK / 2)
            for number in gone:
                pool.table.lost(f'r{number}')
            pool.play(10)
            self.assertEqual([], pool.table.claimed(), str(gone))
            self.assertEqual(50, pool.table.room())

    def test_a_run_that_may_not_begin_gives_its_slot_back(self):
        """Its project was not known to hang when it got one."""
        sizes = bulkhead.Sizes(fast=9, slow=9, share=3, known=1)
        pool = Pool(sizes)
        pool.hangs = {'hangs'}
        pool.add('hangs')
        pool.play(0.5)
        pool.table._bulkhead.sizes = dataclasses.replace(sizes, fast=1)
        for _number in range(2):
            pool.add('hangs')
        pool.play(2 * sizes.after)
        self.assertEqual(2, pool.table.in_flight())
        # Neither that which hangs nor that which waits keeps others out.
        self.assertEqual(50, pool.table.room())


class TestSizes(testtools.TestCase):

    def test_there_are_threads_for_all_that_can_be_slow(self):
        for workers, timeout in itertools.product(
                (1, 2, 8, 50, 128), (1, 4, 30, 100, 600)):
            sizes = bulkhead.Sizes.of_pool(workers, True, timeout)
            self.assertGreaterEqual(sizes.after, 2)
            # What begins in the fast lane until the first has ended.
            self.assertGreaterEqual(
                sizes.slow, sizes.known + workers * (
                    math.ceil(timeout / sizes.after) - 1))
            self.assertLessEqual(sizes.threads, 256 + 4 * workers)

    def test_the_sizes_by_default(self):
        sizes = bulkhead.Sizes.of_pool(8, True, 30)
        self.assertEqual((2, 2, 136), (sizes.share, sizes.after,
                                       sizes.threads))

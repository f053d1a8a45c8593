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

"""Claimed runs: never two moves at once, within the limits, in turns."""

from __future__ import annotations

import threading
import time
import weakref

import testtools

from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler.freezer import messages
from freezer_scheduler.runs import bulkhead
from freezer_scheduler.runs import run_table
from tests.unit.freezer_scheduler import fakes


def run(run_id, project_id='p1', **keys):
    return messages.Run.from_document(fakes.run_document(
        run_id, project_id=project_id, **keys))


class TestRuns(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.clock = fakes.FakeClock()
        self.limits = run_table.Limits(total=4, per_project=2)
        self.runs = run_table.RunTable(self.clock, lambda: self.limits)

    def add(self, *ids, project_id='p1', **keys):
        for run_id in ids:
            self.runs.add(run(run_id, project_id, **keys),
                          self.clock.now + 60)

    def take_all(self):
        taken = []
        while (claimed := self.runs.take(wait=False)) is not None:
            taken.append(claimed)
        return taken

    def ids(self, taken):
        return [claimed.run.run_id for claimed in taken]

    def test_a_run_is_taken_by_one_only(self):
        self.add('a')
        [claimed] = self.take_all()
        self.assertIsNone(self.runs.take(wait=False))
        self.runs.done(claimed, 0)
        self.assertEqual(['a'], self.ids(self.take_all()))

    def test_a_run_is_taken_when_it_is_due(self):
        self.add('a', 'b')
        first, second = self.take_all()
        self.runs.done(first, 10)
        self.runs.done(second, 5)
        self.assertEqual([], self.take_all())
        self.clock.sleep(5)
        self.assertEqual(['b'], self.ids(self.take_all()))
        self.clock.sleep(5)
        self.assertEqual(['a'], self.ids(self.take_all()))

    def test_projects_take_turns_within_the_limits(self):
        self.add('a1', 'a2', 'a3', 'a4', project_id='pa')
        self.add('b1', 'b2', 'b3', project_id='pb')
        taken = self.take_all()
        self.assertEqual(['a1', 'b1', 'a2', 'b2'], self.ids(taken))
        self.assertEqual(0, self.runs.room())
        self.runs.done(taken[0], None)
        self.runs.done(taken[1], None)
        self.assertEqual({'a3', 'b3'}, set(self.ids(self.take_all())))

    def test_many_runs_of_one_project_leave_room_for_others(self):
        self.add(*(f'a{number}' for number in range(9)), project_id='pa')
        self.assertEqual(2, self.runs.room())
        self.add('b1', project_id='pb')
        self.assertEqual(['a0', 'b1', 'a1'], self.ids(self.take_all()))

    def test_projects_take_turns_for_workers_where_all_have_slots(self):
        self.limits = run_table.Limits(total=99, per_project=99)
        self.add('a1', 'a2', 'a3', 'a4', project_id='pa')
        first = self.runs.take(wait=False)
        second = self.runs.take(wait=False)
        assert first is not None and second is not None
        self.assertEqual(['a1', 'a2'], self.ids([first, second]))
        self.add('b1', 'b2', project_id='pb')
        self.add('c1', project_id='pc')
        self.runs.lost('a3')
        self.runs.renewed('a4', self.clock.now + 60, messages.Event.ABORT)
        self.runs.done(first, 0)
        # What has begun goes on first. Then the project that waits longest.
        self.assertEqual(['a1', 'a4', 'b1', 'c1', 'b2'],
                         self.ids(self.take_all()))

    def wait_idly(self, claimed, after):
        claimed.progress.idle = True
        self.runs.done(claimed, after)
        claimed.progress.idle = False

    def test_what_has_begun_goes_on_before_others_begin(self):
        self.limits = run_table.Limits(9, 9)
        self.add('a', 'b', 'c')
        claimed = self.runs.take(wait=False)
        assert claimed is not None
        self.clock.sleep(29)
        self.runs.done(claimed, 0)
        taken = self.take_all()
        self.assertEqual(['a', 'b', 'c'], self.ids(taken))
        # It is not ahead of one that has waited for long.
        self.add('d')
        self.clock.sleep(31)
        self.runs.done(taken[0], 0)
        self.assertEqual(['d', 'a'], self.ids(self.take_all()))

    def test_queued_runs_take_no_slot(self):
        self.add(*(f'a{number}' for number in range(99)), project_id='pa')
        self.assertEqual(2, self.runs.room())

    def test_a_run_that_only_waits_has_no_slot(self):
        self.add('a', 'b')
        first, second = self.take_all()
        self.assertEqual(2, self.runs.room())
        self.wait_idly(first, 10)
        self.assertEqual(3, self.runs.room())
        self.runs.done(second, 31)
        self.assertEqual(4, self.runs.room())
        self.assertEqual([('a', 1), ('b', 1)], self.runs.claimed())

    def test_a_run_under_way_keeps_its_slot_between_its_moves(self):
        self.add('a', 'b', 'c')
        for claimed in self.take_all():
            self.runs.done(claimed, 30)
        self.assertEqual(2, self.runs.room())
        self.assertEqual([], self.take_all())

    def test_a_slot_that_was_given_up_goes_to_another_run(self):
        self.add('a', 'b', 'c')
        first, _second = self.take_all()
        self.wait_idly(first, 604800)
        [third] = self.take_all()
        self.assertEqual('c', third.run.run_id)
        self.clock.sleep(604800)
        # Due, but the project has its two.
        self.assertEqual([], self.take_all())
        self.runs.done(third, None)
        self.assertEqual([first], self.take_all())

    def test_runs_that_are_due_again_take_turns_too(self):
        self.add('a1', 'a2', project_id='pa')
        self.add('b1', 'b2', project_id='pb')
        taken = self.take_all()
        self.add('a3', project_id='pa')
        self.add('c1', project_id='pc')
        for claimed in taken[:2]:
            self.wait_idly(claimed, 0)
        self.assertEqual(['a3', 'c1'], self.ids(self.take_all()))

    def test_an_event_wakes_a_run_without_a_slot(self):
        self.add('a')
        [claimed] = self.take_all()
        self.wait_idly(claimed, 604800)
        self.runs.renewed('a', 2000, messages.Event.ABORT)
        self.assertEqual([claimed], self.take_all())
        self.assertEqual(3, self.runs.room())
        # The wait that was cut short does not come back.
        self.runs.done(claimed, 20)
        self.clock.sleep(604800)
        self.assertEqual([claimed], self.take_all())
        self.assertEqual([], self.take_all())

    def test_a_run_without_a_slot_can_be_lost(self):
        self.add('a')
        [claimed] = self.take_all()
        self.wait_idly(claimed, 60)
        self.assertTrue(self.runs.lost('a'))
        self.clock.sleep(60)
        self.assertEqual([], self.take_all())
        self.assertEqual(4, self.runs.room())

    def test_runs_that_are_gone_leave_nothing_behind(self):
        # As long as it is the next one, it hides what is behind it.
        self.add('next')
        [first] = self.take_all()
        self.wait_idly(first, 3600)
        gone = []
        for number in range(1000):
            self.add(f'r{number}')
            [claimed] = self.take_all()
            self.wait_idly(claimed, 2 ** 31)
            self.runs.lost(f'r{number}')
            gone.append(weakref.ref(claimed))
            del claimed
        self.assertLess(len([ref for ref in gone if ref()]), 200)

    def test_cleaning_up_loses_no_run(self):
        self.limits = run_table.Limits(500, 500)
        self.add('kept')
        [kept] = self.take_all()
        self.runs.done(kept, 20)
        for number in range(300):
            self.add(f'r{number}')
            [claimed] = self.take_all()
            self.wait_idly(claimed, 60)
            self.runs.lost(f'r{number}')
        self.clock.sleep(60)
        self.assertEqual([kept], self.take_all())

    def test_a_run_without_a_slot_is_handed_back_too(self):
        self.add('a')
        [claimed] = self.take_all()
        self.wait_idly(claimed, 60)
        self.runs.stop()
        self.assertEqual([claimed], self.take_all())

    def under_way(self, claimed, count, after=10):
        """Give a run back with so many volumes under way."""
        while claimed.slots < count and self.runs.reserve_slot(claimed):
            pass
        claimed.progress.under_way = count
        self.runs.done(claimed, after)

    def test_each_volume_under_way_takes_a_slot(self):
        self.limits = run_table.Limits(5, 3)
        self.add('a')
        [claimed] = self.take_all()
        self.assertTrue(self.runs.reserve_slot(claimed))
        self.assertTrue(self.runs.reserve_slot(claimed))
        self.assertFalse(self.runs.reserve_slot(claimed))
        claimed.progress.under_way = 3
        self.runs.done(claimed, 10)
        self.assertEqual(2, self.runs.room())
        self.add('b', project_id='pb')
        self.add('c', project_id='pc')
        self.add('d', project_id='pd')
        self.assertEqual(['b', 'c'], self.ids(self.take_all()))

    def test_a_slot_of_no_volume_is_given_back(self):
        self.add('a')
        [claimed] = self.take_all()
        self.assertTrue(self.runs.reserve_slot(claimed))
        claimed.progress.under_way = 0
        self.runs.done(claimed, 10)
        self.assertEqual(3, self.runs.room())

    def test_the_slot_of_a_volume_goes_to_the_next_in_the_queue(self):
        self.add('a')
        [claimed] = self.take_all()
        self.under_way(claimed, 2)
        self.add('b')
        self.assertEqual([], self.take_all())
        self.clock.sleep(10)
        [again] = self.take_all()
        self.under_way(again, 1)
        self.assertEqual(['b'], self.ids(self.take_all()))
        self.clock.sleep(10)
        [again] = self.take_all()
        self.assertFalse(self.runs.reserve_slot(again))

    def test_volumes_of_two_projects_take_turns_for_slots(self):
        self.limits = run_table.Limits(total=3, per_project=3)
        self.add('a', project_id='pa')
        self.add('b', project_id='pb')
        first, second = self.take_all()
        self.under_way(first, 2)
        self.under_way(second, 1, after=5)
        self.clock.sleep(5)
        self.assertEqual([second], self.take_all())
        self.assertFalse(self.runs.reserve_slot(second))
        self.runs.done(second, 10)
        # It is due at once when a volume of the other run leaves a slot.
        self.clock.sleep(5)
        self.assertEqual([first], self.take_all())
        self.assertFalse(self.runs.reserve_slot(first))
        first.progress.under_way = 1
        self.runs.done(first, 10)
        self.assertEqual([second], self.take_all())
        self.assertTrue(self.runs.reserve_slot(second))
        self.assertFalse(self.runs.reserve_slot(second))

    def test_a_reserved_slot_that_is_not_used_is_given_back(self):
        self.limits = run_table.Limits(total=2, per_project=2)
        self.add('a', project_id='pa')
        self.add('b', project_id='pb')
        first, second = self.take_all()
        self.assertFalse(self.runs.reserve_slot(first))
        first.progress.under_way = 1
        self.runs.done(first, 10)
        self.runs.done(second, None)
        self.assertEqual(0, self.runs.room())
        self.assertEqual([first], self.take_all())
        self.runs.done(first, 10)
        self.assertEqual(1, self.runs.room())
        self.assertEqual([], self.take_all())

    def test_one_run_is_claimed_ahead_of_the_volumes_of_another(self):
        self.limits = run_table.Limits(total=2, per_project=2)
        self.add('a', project_id='pa')
        [claimed] = self.take_all()
        self.assertTrue(self.runs.reserve_slot(claimed))
        self.assertEqual(0, self.runs.room())
        self.assertFalse(self.runs.reserve_slot(claimed))
        claimed.progress.under_way = 2
        self.runs.done(claimed, 10)
        self.assertEqual(1, self.runs.room())
        self.add('b', project_id='pb')
        self.assertEqual(0, self.runs.room())
        # The volume has waited for longer.
        for expected in ('a', 'b'):
            self.clock.sleep(10)
            self.assertEqual([claimed], self.take_all())
            self.assertFalse(self.runs.reserve_slot(claimed))
            claimed.progress.under_way = 1
            self.runs.done(claimed, 10)
            [taken] = self.take_all()
            self.assertEqual(expected, taken.run.run_id)
            if taken is claimed:
                self.assertTrue(self.runs.reserve_slot(claimed))
                self.assertEqual(0, self.runs.room())
                self.assertFalse(self.runs.reserve_slot(claimed))
                claimed.progress.under_way = 2
                self.runs.done(claimed, 10)
        self.assertEqual(1, self.runs.room())

    def test_the_slots_of_a_run_that_ends_are_free(self):
        self.add('a')
        [claimed] = self.take_all()
        self.under_way(claimed, 2, None)
        self.assertEqual(4, self.runs.room())
        self.assertFalse(self.runs.reserve_slot(claimed))

    def test_a_reclaimed_run_has_a_slot_for_each_volume_under_way(self):
        part = messages.Step('x', 0, messages.StepState.SUBMITTED, 1,
                             volume_id=fakes.VOLUME)
        step = messages.Step('x', 0, messages.StepState.SUBMITTED, 1,
                             parts=(part, part, part))
        document = fakes.run_document('a', project_id='p1')
        document['actions'] = [step.to_document()]
        self.runs.add(messages.Run.from_document(document),
                      self.clock.now + 60)
        self.assertEqual(1, self.runs.room())
        self.add('b')
        self.assertEqual(['a'], self.ids(self.take_all()))

    def test_a_report_shortens_no_lease(self):
        self.add('a')
        [claimed] = self.take_all()
        until = claimed.lease_until
        self.runs.reported(claimed, until - 10, None)
        self.assertEqual(until, claimed.lease_until)
        self.runs.reported(claimed, until + 10, messages.Event.ABORT)
        self.assertEqual(until + 10, claimed.lease_until)
        self.runs.done(claimed, 3600)
        # It is aborted at once.
        self.assertEqual(['a'], self.ids(self.take_all()))

    def test_higher_limits_admit_queued_runs(self):
        self.add('a', 'b', 'c')
        self.assertEqual(['a', 'b'], self.ids(self.take_all()))
        self.limits = run_table.Limits(9, 9)
        self.runs.limits_changed()
        self.assertEqual(['c'], self.ids(self.take_all()))

    def test_an_event_puts_a_waiting_run_forward(self):
        self.add('a')
        [claimed] = self.take_all()
        self.runs.done(claimed, 3600)
        self.runs.renewed('a', 2000, messages.Event.ABORT)
        self.assertEqual([claimed], self.take_all())
        self.assertIs(messages.Event.ABORT, claimed.event)
        self.runs.done(claimed, 3600)
        # Once is enough.
        self.runs.renewed('a', 2000, messages.Event.ABORT)
        self.assertEqual([], self.take_all())

    def test_an_event_during_a_move_makes_the_next_one_early(self):
        self.add('a')
        [claimed] = self.take_all()
        self.runs.renewed('a', 2000, messages.Event.ABORT)
        self.assertEqual([], self.take_all())
        self.runs.done(claimed, 3600)
        self.assertEqual([claimed], self.take_all())

    def test_a_lease_ends_unless_it_is_renewed(self):
        self.add('a')
        [claimed] = self.take_all()
        self.assertEqual(60, self.runs.lease_left(claimed))
        self.clock.sleep(50)
        self.assertEqual(10, self.runs.lease_left(claimed))
        self.runs.renewed('a', self.clock.now + 60, None)
        self.assertEqual(60, self.runs.lease_left(claimed))
        self.runs.lost('a')
        self.assertLess(self.runs.lease_left(claimed), 0)

    def test_a_lost_run_is_removed(self):
        self.add('a', 'b', 'c')
        [first, _second] = self.take_all()
        self.assertTrue(self.runs.lost('a'))
        self.assertFalse(self.runs.lost('a'))
        self.assertEqual([('b', 1), ('c', 1)], self.runs.claimed())
        self.runs.done(first, 0)
        self.assertEqual(['c'], self.ids(self.take_all()))
        self.runs.lost('c')

    def test_a_lost_run_keeps_its_slot_until_it_is_cleaned_up(self):
        self.add('a', 'b', 'c')
        [first, second] = self.take_all()
        first.progress.engine_state = second.progress.engine_state = 'asked'
        self.runs.done(first, 25)
        self.assertTrue(self.runs.lost('a'))
        self.assertTrue(self.runs.lost('b'))
        self.assertEqual([('c', 1)], self.runs.claimed())
        # At once, not when it would have been due.
        self.assertEqual(['a'], self.ids(self.take_all()))
        self.runs.done(second, 25)
        self.assertEqual(['b'], self.ids(self.take_all()))
        self.runs.done(first, 10)
        self.runs.done(second, None)
        self.assertEqual(['c'], self.ids(self.take_all()))
        self.clock.sleep(10)
        self.assertEqual(['a'], self.ids(self.take_all()))
        self.runs.done(first, None)
        self.assertEqual([('c', 1)], self.runs.claimed())
        self.runs.lost('c')

    def test_a_run_that_is_claimed_again_waits_for_its_last_move(self):
        self.add('a')
        [old] = self.take_all()
        self.add('a', fence=2)
        self.assertEqual([], self.take_all())
        self.assertTrue(old.lost)
        self.runs.done(old, 0)
        [new] = self.take_all()
        self.assertEqual(2, new.run.fence)
        self.assertEqual([('a', 2)], self.runs.claimed())

    def test_a_stop_gives_each_run_to_a_worker_once(self):
        self.add('a', 'b', 'c')
        taken = self.take_all()
        self.runs.done(taken[0], 3600)
        self.runs.stop()
        self.assertEqual(0, self.runs.room())
        again = self.take_all()
        self.assertEqual(['a', 'c'], self.ids(again))
        for claimed in again:
            self.runs.done(claimed, None)
        self.runs.done(taken[1], 5)
        self.assertEqual(['b'], self.ids(self.take_all()))


class TestThreads(testtools.TestCase):

    def test_no_two_threads_have_the_same_run(self):
        table = run_table.RunTable(scheduler_clock.SystemClock(),
                                   lambda: run_table.Limits(50, 50))
        inside: set[str] = set()
        twice: list[str] = []
        moves: dict[str, int] = {}
        lock = threading.Lock()

        def work():
            while (claimed := table.take()) is not None:
                run_id = claimed.run.run_id
                with lock:
                    if run_id in inside:
                        twice.append(run_id)
                    inside.add(run_id)
                    moves[run_id] = moves.get(run_id, 0) + 1
                time.sleep(0)
                with lock:
                    inside.discard(run_id)
                table.done(claimed, None if moves[run_id] >= 20 else 0.0005)

        threads = [threading.Thread(target=work) for _number in range(8)]
        for thread in threads:
            thread.start()
        for number in range(30):
            table.add(run(f'r{number}'), 1e9)
            table.renewed(f'r{number}', 1e9, messages.Event.ABORT)
        until = time.monotonic() + 30
        while table.claimed() and time.monotonic() < until:
            time.sleep(0.01)
        self.assertEqual([], table.claimed())
        table.stop()
        for thread in threads:
            thread.join(30)
            self.assertFalse(thread.is_alive())
        self.assertEqual([], twice)
        self.assertEqual({20}, set(moves.values()))


class TestWorkers(testtools.TestCase):
    """Workers are started while calls hang, and end when they are over."""

    def test_a_worker_is_free_while_others_hang(self):
        sizes = bulkhead.Sizes(fast=2, slow=6, share=8, known=8, after=0.05)
        workers: list[threading.Thread] = []
        hangs, over = threading.Event(), threading.Event()

        def work():
            while (claimed := table.take()) is not None:
                hangs.wait(30)
                table.done(claimed, None)
            if not over.is_set():
                workers.remove(threading.current_thread())

        def more():
            workers.append(threading.Thread(target=work, daemon=True))
            workers[-1].start()

        table = run_table.RunTable(scheduler_clock.SystemClock(),
                                   lambda: run_table.Limits(50, 50), sizes,
                                   more)
        self.addCleanup(hangs.set)
        for _ in range(sizes.fast):
            more()
        for number in range(6):
            table.add(run(f'r{number}', f'p{number}'), 1e12)
        self.until(lambda: sum(
            claimed.busy for claimed, _phase in table.phases()) == 6)
        self.assertGreater(len(workers), 6)
        self.assertLessEqual(len(workers), sizes.threads)
        hangs.set()
        self.until(lambda: len(workers) <= sizes.fast + 1)
        over.set()
        table.stop()
        for worker in list(workers):
            worker.join(30)
            self.assertFalse(worker.is_alive())

    def until(self, holds):
        deadline = time.monotonic() + 30
        while not holds():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

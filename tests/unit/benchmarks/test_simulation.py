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
"""Virtual schedulers, their plan, and who judges a simulation."""

from __future__ import annotations

import collections
from typing import Any

import testtools

from benchmarks.observation import firings
from benchmarks.stages.simulation import plan
from benchmarks.stages.simulation import result
from benchmarks.stages.simulation import schedulers

DAILY = {'schedule_interval': '1 days',
         'schedule_start_date': '1970-01-02T00:00:00Z'}
DAY = plan.DAY


def run(number: int, fence: int = 1) -> dict[str, Any]:
    return {'run_id': f'r{number}', 'fence': fence, 'project_id': 'p'}


def row(nominal: int, state: str, reason: str | None = None,
        coalesced_until: int | None = None) -> firings.Run:
    return firings.Run('r', 'j', nominal, state, reason,
                       coalesced_until=coalesced_until)


class SchedulerTests(testtools.TestCase):
    """A virtual scheduler's life."""

    def setUp(self) -> None:
        super().setUp()
        self.one = schedulers.Scheduler('s1', schedulers.Limits(
            lease=60, batch=2, slots=3))

    def answer(self, *numbers: int, lost: tuple[str, ...] = (),
               now: int = 100) -> bool:
        return self.one.answered(
            {'runs': [run(number) for number in numbers],
             'lost': list(lost)},
            {f'r{number}': 100 + number for number in numbers}, now)

    def test_it_asks_for_what_it_has_slots_for(self) -> None:
        self.assertEqual(2, self.one.question()['limit'])
        self.assertTrue(self.answer(1, 2))
        question = self.one.question()
        self.assertEqual(1, question['limit'])
        self.assertEqual([{'run_id': 'r1', 'fence': 1},
                          {'run_id': 'r2', 'fence': 1}], question['held'])
        self.assertTrue(self.answer(3))
        self.assertEqual(0, self.one.room)
        self.assertFalse(self.answer())

    def test_it_reports_what_has_ended_once(self) -> None:
        self.answer(2, 1)
        self.assertEqual(['r1'], [
            held.run_id for held in self.one.ended(101)])
        self.assertEqual(['r1', 'r2'], [
            held.run_id for held in self.one.ended(102)])
        self.one.reported('r1')
        self.assertEqual(['r2'], [
            held.run_id for held in self.one.ended(102)])

    def test_it_renews_when_half_of_a_lease_is_over(self) -> None:
        self.assertFalse(self.one.must_renew(1000))
        self.answer(1)
        self.assertFalse(self.one.must_renew(129))
        self.assertTrue(self.one.must_renew(130))
        self.answer(now=130)
        self.assertFalse(self.one.must_renew(130))

    def test_it_lets_go_of_what_is_lost(self) -> None:
        self.answer(1, 2)
        self.answer(lost=('r1',))
        self.assertEqual(['r2'], list(self.one.held))
        self.assertEqual(1, self.one.lost)

    def test_it_knows_nothing_of_a_former_life(self) -> None:
        self.answer(1)
        before = self.one.id
        self.one.die()
        self.assertFalse(self.one.alive)
        self.one.start()
        self.assertTrue(self.one.alive)
        self.assertEqual([], self.one.question()['held'])
        self.assertNotEqual(before, self.one.id)


class CinderTests(testtools.TestCase):

    def test_it_goes_on_with_a_backup_whoever_asks(self) -> None:
        cinder = plan.Cinder(1)
        ends = cinder.begin('r', 'p1', 100, False)
        self.assertEqual(ends, cinder.begin('r', 'p1', 5000, True))
        self.assertTrue(cinder.over('r'))

    def test_it_fails_for_some(self) -> None:
        cinder = plan.Cinder(1)
        self.assertEqual(105, cinder.begin('ill', 'p7', 100, True))
        cinder.begin('well', 'p8', 100, True)
        self.assertFalse(cinder.over('ill'))
        self.assertTrue(cinder.over('well'))


class PlanTests(testtools.TestCase):

    def test_a_week_has_the_firings_of_its_mix(self) -> None:
        self.assertEqual(900 + 7 * 90 + 168 * 10,
                         plan.Mix(daily=90, hourly=10).a_week(1000))

    def test_what_goes_wrong_goes_wrong_within_it(self) -> None:
        found = plan.events(plan.WEEK)
        self.assertEqual(set(plan.Kind), {event.kind for event in found})
        for event in found:
            self.assertTrue(plan.BEGIN < event.at <= event.until
                            < plan.BEGIN + plan.WEEK, event)


class ChainTests(testtools.TestCase):
    """A firing that is lost or run twice is seen."""

    def follow(self, *rows: firings.Run, until: int) -> list[str]:
        chain = firings.Chain('j', DAILY, created=0, since=0)
        return list(chain.follow(rows, until))

    def good(self, *days: int) -> list[firings.Run]:
        return [row(day * DAY, 'success') for day in days]

    def test_nothing_is_wrong(self) -> None:
        self.assertEqual([], self.follow(
            *self.good(1, 2, 3), until=4 * DAY - 1))

    def test_a_firing_that_nothing_became_of(self) -> None:
        self.assertEqual(1, len(self.follow(
            *self.good(1, 2, 3), until=4 * DAY)))
        self.assertEqual(1, len(self.follow(
            *self.good(1, 3), until=3 * DAY)))

    def test_a_run_for_no_firing(self) -> None:
        self.assertEqual(1, len(self.follow(
            *self.good(1), row(DAY + 1, 'success'), until=DAY + 2)))

    def test_a_run_that_stands_for_others(self) -> None:
        missed = row(DAY, 'missed', 'late', coalesced_until=3 * DAY)
        self.assertEqual([], self.follow(
            missed, *self.good(3), until=3 * DAY))

    def test_a_bad_end_needs_a_reason(self) -> None:
        for state in ('missed', 'skipped', 'fail', 'aborted'):
            self.assertEqual(1, len(self.follow(
                row(DAY, state), until=DAY)), state)

    def test_days_are_followed_one_after_the_other(self) -> None:
        chain = firings.Chain('j', DAILY, created=0, since=0)
        self.assertEqual([], list(chain.follow(self.good(1), DAY)))
        self.assertEqual(1, len(list(chain.follow((), 2 * DAY))))
        self.assertEqual([], list(chain.follow(self.good(2), 2 * DAY)))
        self.assertEqual((2 * DAY, 2), (chain.after, chain.followed))


class ReportTests(testtools.TestCase):

    def test_percentiles(self) -> None:
        counted = collections.Counter({0: 50, 10: 49, 700: 1})
        self.assertEqual([0, 10, 700], [
            result.percentile(counted, part) for part in (.5, .99, 1)])
        self.assertEqual(0, result.percentile({}, .5))

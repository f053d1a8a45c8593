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

"""How often a schedule fires, and how long its job waits."""

from __future__ import annotations

import datetime
import itertools
from typing import Any

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_api.domain import cron_firing
from freezer_api.domain import firing_plan
from freezer_api.domain import job_state
from freezer_api.domain import schedule
from tests.unit.freezer_api.domain import test_schedule

T0 = 1_800_000_000
DAY = 86_400

few = st.lists(st.integers(0, 59), min_size=1, max_size=3, unique=True).map(
    lambda numbers: ','.join(map(str, numbers)))
times = st.fixed_dictionaries({}, optional={
    'month': st.sampled_from(('*', '1', '12', '1,12', '2')),
    'day': st.sampled_from(('*', '1', '31', '*/2', 'last', '1,last', '29')),
    'week': st.sampled_from(('*', '53', '52', '1')),
    'day_of_week': st.sampled_from(('*', 'mon', 'sun,mon', 'fri')),
    'hour': st.sampled_from(('*', '0', '0,23', '5,7', '*/6')),
    'minute': few | st.just('*'), 'second': few})


def firings(fields: dict[str, str], since: datetime.datetime,
            number: int) -> list[datetime.datetime]:
    parsed = schedule.Cron(tuple(
        (name, fields[name]) for name in schedule.CRON_FIELDS
        if name in fields))
    found: list[datetime.datetime] = []
    moment: datetime.datetime | None = since
    while len(found) < number and moment is not None:
        moment = schedule.next_firing(parsed, since, moment)
        if moment is not None:
            found.append(moment)
    return found


class TestLeastGap(testtools.TestCase):

    @hypothesis.settings(deadline=None, max_examples=300)
    @hypothesis.given(times, test_schedule.moments)
    def test_no_firings_are_closer(
            self, fields: dict[str, str], since: datetime.datetime) -> None:
        hypothesis.assume(fields)
        gap = cron_firing.compile_fields(tuple(fields.items())).least_gap()
        found = firings(fields, since, 40)
        for before, after in itertools.pairwise(found):
            self.assertGreaterEqual(
                after - before, datetime.timedelta(seconds=gap))

    def test_some_are_as_close(self) -> None:
        for fields, gap in (
                ({'second': '*'}, 1), ({'second': '0,59'}, 1),
                ({'second': '0,30'}, 30), ({'minute': '*'}, 60),
                ({'minute': '0,59'}, 60), ({'minute': '0-30/10'}, 600),
                ({'hour': '0,23', 'minute': '0,59'}, 60),
                ({'hour': '0-22', 'minute': '0,59'}, 60),
                ({'hour': '0,22', 'minute': '0,50'}, 3000),
                ({'hour': '1,3', 'second': '0,50'}, 10),
                ({'hour': '1,3', 'minute': '0', 'second': '0,50'}, 50),
                ({'hour': '2'}, DAY),
                ({'day': '1,last', 'hour': '0,23'}, 3600),
                ({'month': '1,12', 'day': '1,31', 'hour': '0,23'}, 3600),
                ({'day': '1', 'hour': '0,23'}, 82_800),
                ({'day': '*/2', 'hour': '0,23'}, 3600),
                ({'year': '2028', 'day': '1,31', 'month': '1,12',
                  'hour': '0,23'}, 82_800)):
            made = cron_firing.compile_fields(tuple(fields.items()))
            self.assertEqual(gap, made.least_gap(), str(fields))

    def test_who_is_refused(self) -> None:
        for document, minimum, field in (
                ({'schedule_interval': '59 seconds'}, 60,
                 'schedule_interval'),
                ({'schedule_interval': '60 seconds'}, 60, None),
                ({'schedule_interval': 'continuous'}, 43_200, None),
                ({'schedule_date': '2030-01-01T00:00:00'}, 43_200, None),
                ({}, 43_200, None),
                ({'schedule_minute': '*'}, 61, 'schedule_minute'),
                ({'schedule_hour': '2', 'schedule_second': '0,1'}, 60,
                 'schedule_second'),
                ({'schedule_hour': '2'}, 43_200, None)):
            if field is None:
                schedule.check_interval(document, minimum)
                continue
            error = self.assertRaises(
                schedule.ScheduleError, schedule.check_interval, document,
                minimum)
            self.assertEqual(field, error.field)
            self.assertIn(f'{minimum} seconds', error.message)


def plan(seconds: int, **rules: Any) -> firing_plan.Plan:
    return firing_plan.Plan({'schedule_interval': f'{seconds} seconds'}, 'job',
                            firing_plan.Rules(**rules))


class TestSpacing(testtools.TestCase):

    def simulate(self, made: firing_plan.Plan, late: list[int],
                 lasts: list[int],
                 results: list[str]) -> list[tuple[int, int, int]]:
        """Return nominal time, covered end and start of each run."""
        state = job_state.arm(made, job_state.Runtime(time_created=T0), T0, 0)
        found = []
        for wait, length, result in zip(late, lasts, results, strict=True):
            assert state.due_at is not None and state.next_run_at is not None
            now = state.due_at + wait
            firing = state.next_run_at
            until = job_state.stands_for(
                made, state, firing,
                job_state.stands_until(made, state, now) + 1)
            found.append((firing, until or firing + 1, now))
            state = job_state.claim(made, state, 'run', now)
            passed = state.next_run_at
            state = job_state.finish(made, state, result, None, now + length)
            if passed is not None and passed <= now + length:
                # The end of the run records those that came during it.
                found[-1] = firing, now + length + 1, now
        return found

    @hypothesis.settings(deadline=None)
    @hypothesis.given(
        st.integers(1, 400), st.integers(0, 100), st.data())
    def test_no_firing_is_lost_and_none_is_too_early(
            self, seconds: int, minimum: int, data: st.DataObject) -> None:
        made = plan(seconds, minimum=minimum, backoff=60, window=10 ** 6)
        runs = self.simulate(made, *map(list, zip(*data.draw(st.lists(
            st.tuples(st.integers(0, 90), st.integers(0, 300),
                      st.sampled_from((job_state.SUCCESS, job_state.FAIL))),
            min_size=1, max_size=8)), strict=True)))
        for before, after in itertools.pairwise(runs):
            # The next run begins with the first firing beyond the last.
            self.assertEqual(made.firing_after(T0, before[1] - 1), after[0])
            self.assertGreaterEqual(after[0] - before[0], minimum)

    def test_a_failing_job_waits_as_long_as_stated(self) -> None:
        made = plan(60, minimum=60, backoff=60, backoff_max=1000)
        runs = self.simulate(made, [0] * 8, [0] * 8, [job_state.FAIL] * 8)
        self.assertEqual(
            [60, 120, 240, 480, 960, 1000, 1000],
            [after[2] - before[2]
             for before, after in itertools.pairwise(runs)])

    def test_failures_that_take_long_do_not_wait(self) -> None:
        made = plan(120, minimum=60, backoff=60)
        runs = self.simulate(made, [0] * 8, [60] * 8, [job_state.FAIL] * 8)
        self.assertEqual({120}, {
            after[2] - before[2]
            for before, after in itertools.pairwise(runs)})

    def test_without_a_minimum_nothing_waits(self) -> None:
        made = plan(1, minimum=0)
        runs = self.simulate(made, [0] * 8, [0] * 8, [job_state.FAIL] * 8)
        self.assertEqual({1}, {
            after[2] - before[2]
            for before, after in itertools.pairwise(runs)})

    def test_a_start_by_hand_shifts_no_firing(self) -> None:
        made = plan(DAY, minimum=60)
        state = job_state.start(job_state.arm(
            made, job_state.Runtime(time_created=T0), T0, 0), T0 + DAY - 10)
        state = job_state.claim(made, state, 'run', T0 + DAY - 10)
        self.assertEqual(T0 + DAY, state.next_run_at)

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

"""Jitter and back-off, against all that they must not do."""

from __future__ import annotations

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_api.domain import firing_plan
from freezer_api.domain import job_state

T0 = 1_800_000_000

schedules = st.one_of(
    st.integers(1, 100_000).map(
        lambda seconds: {'schedule_interval': f'{seconds} seconds'}),
    st.fixed_dictionaries({}, optional={
        'schedule_hour': st.sampled_from(['*', '2', '*/5', '1,2']),
        'schedule_minute': st.sampled_from(['0', '*', '*/7', '0,1']),
        'schedule_second': st.sampled_from(['0', '*/13', '0-5']),
        'schedule_timezone': st.sampled_from(['Europe/Berlin']),
    }).filter(lambda fields: set(fields) - {'schedule_timezone'}),
    st.sampled_from([{}, {'schedule_interval': 'continuous'},
                     {'schedule_date': '2027-03-01T00:00:00'}]))
rules = st.builds(firing_plan.Rules, jitter=st.integers(0, 5000))


class TestJitter(testtools.TestCase):

    @hypothesis.settings(deadline=None)
    @hypothesis.given(schedules, rules, st.text(max_size=40),
                      st.integers(T0, T0 + 30_000_000))
    def test_none_overtakes_another_and_none_is_shifted(
            self, schedule, made, job_id, moment):
        plan = firing_plan.Plan(schedule, job_id, made)
        plain = firing_plan.Plan(schedule, 'another', firing_plan.Rules())
        before = None
        for _ in range(4):
            firing = plan.firing_after(T0, moment)
            self.assertEqual(plain.firing_after(T0, moment), firing)
            if firing is None:
                self.assertIsNone(plan.due_at(T0, None))
                return
            due_at = plan.due_at(T0, firing)
            assert due_at is not None
            self.assertLessEqual(firing, due_at)
            self.assertLessEqual(due_at, firing + made.jitter)
            # The same whenever and wherever it is asked.
            self.assertEqual(due_at, firing_plan.Plan(
                schedule, job_id, made).due_at(T0, firing))
            if before is not None:
                self.assertLess(before, firing)
            following = plan.firing_after(T0, firing)
            if following is not None:
                self.assertLessEqual(
                    due_at - firing, (following - firing) / 10)
            before, moment = due_at, firing

    def test_an_hour_is_shared_out(self):
        late = [firing_plan.Plan({'schedule_minute': '0'}, f'job {number}',
                                 firing_plan.Rules(jitter=300)).due_at(T0, T0)
                for number in range(3000)]
        self.assertEqual(set(range(T0, T0 + 301)), set(late))

    def test_what_names_no_interval_is_due_at_its_time(self):
        for schedule in ({}, {'schedule_date': '2027-03-01T00:00:00'},
                         {'schedule_interval': 'continuous'},
                         {'schedule_interval': 'soon'}):
            for number in range(50):
                self.assertEqual(T0, firing_plan.Plan(
                    schedule, str(number), firing_plan.Rules(jitter=5000)
                ).due_at(T0, T0))


class TestBackoff(testtools.TestCase):

    @hypothesis.given(st.integers(0, 86400), st.integers(0, 86400),
                      st.integers(0, 10 ** 9))
    def test_it_doubles_and_ends(self, first, most, failures):
        made = firing_plan.Rules(backoff=first, backoff_max=most)
        self.assertEqual(0, made.wait(0))
        expected = min(first, most)
        for number in range(1, 40):
            self.assertEqual(expected, made.wait(number))
            expected = min(2 * expected, most)
        self.assertEqual(expected, made.wait(39 + failures))

    def test_only_a_continuous_job_waits(self):
        for schedule, following in (
                ({'schedule_interval': 'continuous'}, 60),
                ({'schedule_interval': '10 seconds'}, 10)):
            plan = firing_plan.Plan(schedule)
            job = job_state.create(plan, {}, T0, supports_claims=True)
            job = job_state.claim(plan, job, 'run', T0 + 10)
            job = job_state.finish(plan, job, 'fail', 'why', T0 + 10)
            self.assertEqual(T0 + 10 + following, job.due_at)

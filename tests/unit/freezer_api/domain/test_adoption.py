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
"""Jobs that a polling scheduler kept, and what becomes of their firings."""

from __future__ import annotations

import unittest

import hypothesis
from hypothesis import strategies as st

from freezer_api.domain import adoption
from freezer_api.domain import firing_plan
from freezer_api.domain import job_state

NOW = 1_800_000_000
WINDOW = 3600
DAY = 86_400


def plan(schedule: dict[str, object]) -> firing_plan.Plan:
    return firing_plan.Plan(schedule, 'job', firing_plan.Rules(window=WINDOW))


def adopted(schedule: dict[str, object], created: int = NOW - 10 * DAY,
            **more: object) -> job_state.Runtime:
    return adoption.adopt(
        plan(schedule), job_state.Runtime(**{  # type: ignore[arg-type]
            'time_created': created, 'time_started': -1, 'time_ended': -1,
            'status': 'scheduled', 'event': '', **more}),
        created, NOW)


class PhaseTests(unittest.TestCase):

    @hypothesis.given(
        st.integers(1, 90 * DAY), st.integers(0, 1000 * DAY),
        st.one_of(st.just(-1), st.integers(NOW - 100 * DAY, NOW)))
    def test_an_interval_keeps_its_phase(
            self, seconds: int, age: int, ran: int) -> None:
        """Invariant 2: no firing is shifted, and at most one caught up."""
        created = NOW - age
        state = adopted({'schedule_interval': f'{seconds} seconds'},
                        created, time_started=ran)
        assert state.next_run_at is not None
        self.assertEqual(0, (state.next_run_at - created) % seconds)
        self.assertGreater(state.next_run_at, created)
        self.assertGreater(state.next_run_at, ran)
        self.assertGreaterEqual(state.next_run_at, NOW - WINDOW)
        self.assertLessEqual(state.next_run_at, NOW + seconds)
        if ran >= 0 and ran + seconds > NOW:
            self.assertGreaterEqual(state.next_run_at, NOW)
        self.assertEqual('scheduled', state.status)

    @hypothesis.given(st.integers(1, 90 * DAY), st.integers(0, 1000 * DAY))
    def test_an_interval_counts_from_its_start(
            self, seconds: int, age: int) -> None:
        start = NOW - age
        state = adopted({
            'schedule_interval': f'{seconds} seconds',
            'schedule_start_date': firing_plan.aware(start).isoformat()},
            time_started=NOW - 1)
        assert state.next_run_at is not None
        self.assertEqual(0, (state.next_run_at - start) % seconds)
        self.assertGreaterEqual(state.next_run_at, NOW)

    @hypothesis.given(st.integers(0, 10 * DAY))
    def test_what_was_run_is_not_run_again(self, ago: int) -> None:
        """NOW is 08:00 UTC: an hourly firing, run some seconds late."""
        ran = NOW - ago
        state = adopted({'schedule_minute': '0'}, time_started=ran)
        assert state.next_run_at is not None
        self.assertGreater(state.next_run_at, ran)
        self.assertEqual(NOW + 3600 if ago == 0 else
                         NOW if ago <= 3600 else NOW - 3600,
                         state.next_run_at)

    def test_a_date(self) -> None:
        for offset, ran, due in ((60, -1, NOW + 60), (-60, -1, NOW - 60),
                                 (-60, NOW - 59, None), (0, -1, NOW),
                                 (-2 * WINDOW, -1, None)):
            state = adopted(
                {'schedule_date': firing_plan.aware(NOW + offset).isoformat()},
                time_started=ran)
            self.assertEqual(due, state.next_run_at, offset)
            self.assertEqual(due is None, state.status_reason is not None)

    def test_creation_of_the_row_counts_where_the_job_does_not_say(
            self) -> None:
        state = adoption.adopt(
            plan({'schedule_interval': '7 days'}), job_state.Runtime(),
            NOW - 10 * DAY, NOW)
        self.assertEqual(NOW + 4 * DAY, state.next_run_at)
        self.assertEqual(NOW - 10 * DAY, state.time_created)


class StateTests(unittest.TestCase):

    def test_what_was_not_picked_up(self) -> None:
        self.assertEqual(NOW, adopted({}, status=None).next_run_at)
        started = adopted({'schedule_interval': '1 days'}, event='start',
                          status='')
        self.assertEqual((NOW, 'start'),
                         (started.next_run_at, started.event))

    def test_what_is_not_to_run(self) -> None:
        for status in ('stop', 'completed', 'removed'):
            for event in ('', None, 'stop', 'abort'):
                state = adopted({'schedule_interval': '1 days'},
                                status=status, event=event)
                self.assertIsNone(state.next_run_at)
                self.assertEqual(status, state.status)

    def test_a_stop_that_nobody_has_read(self) -> None:
        for event in ('stop', 'abort'):
            state = adopted({'schedule_interval': '1 days'}, event=event)
            self.assertEqual((None, 'stop', ''), (
                state.next_run_at, state.status, state.event))

    def test_a_run_that_was_cut_off(self) -> None:
        """A restart never fires again what has begun."""
        once = adopted({}, status='running', time_started=NOW - 60,
                       current_pid=4711)
        self.assertEqual(
            (None, 'completed', 'fail', None),
            (once.next_run_at, once.status, once.result, once.current_pid))
        self.assertEqual(adoption.INTERRUPTED, once.status_reason)
        daily = adopted({'schedule_interval': '1 days'}, status='running',
                        time_started=NOW - 60)
        self.assertEqual(
            (NOW, 'scheduled', 'fail'),
            (daily.next_run_at, daily.status, daily.result))

    def test_a_schedule_that_nobody_understands(self) -> None:
        state = adopted({'schedule_interval': 'daily'})
        self.assertEqual((None, 'completed'), (
            state.next_run_at, state.status))
        self.assertIn('cannot be understood', state.status_reason or '')

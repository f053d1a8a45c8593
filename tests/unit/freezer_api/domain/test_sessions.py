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

"""Rounds of a session, by table and by property."""

from __future__ import annotations

import dataclasses
from typing import Any
import unittest

import hypothesis
from hypothesis import strategies as st

from freezer_api.domain import sessions

NOW = 1_800_000_000


def session(*jobs: str, **more: Any) -> sessions.Session:
    return dataclasses.replace(sessions.Session(
        {job: sessions.Member('c') for job in jobs}), **more)


class SessionTests(unittest.TestCase):

    def test_the_first_opens_a_round_and_the_others_join(self) -> None:
        first = sessions.start(session('a', 'b'), 'a', 0, NOW)
        self.assertEqual(('success', 1), (first.result, first.tag))
        self.assertEqual(NOW, first.session.time_start)
        self.assertEqual('running', first.session.status)
        second = sessions.start(first.session, 'b', 0, NOW + 30)
        self.assertEqual(('success', 1), (second.result, second.tag))
        self.assertEqual(NOW, second.session.time_start)
        self.assertEqual(NOW + 30,
                         second.session.members['b'].time_started)

    def test_the_same_tag_within_the_hold_off(self) -> None:
        first = sessions.start(session('a'), 'a', 0, NOW).session
        held = sessions.start(first, 'a', 1, NOW + 30)
        self.assertEqual(('hold-off', None), (held.result, held.tag))
        self.assertIs(first, held.session)
        self.assertEqual('success', sessions.start(
            first, 'a', 1, NOW + 31).result)

    def test_a_job_that_missed_a_round_is_healed(self) -> None:
        """Upstream's stays out of sync for ever."""
        state = session('a', 'b', session_tag=5, time_start=NOW)
        late = sessions.start(state, 'b', 3, NOW + 31)
        self.assertEqual(('out-of-sync', 5), (late.result, late.tag))
        self.assertIs(state, late.session)
        again = sessions.start(state, 'b', 5, NOW + 100)
        self.assertEqual(('success', 6), (again.result, again.tag))

    def test_a_tag_that_is_too_high(self) -> None:
        with self.assertRaisesRegex(
                sessions.TagTooHigh, 'Session Tag: 1 Job Tag: 99'):
            sessions.start(session('a', session_tag=1), 'a', 99, NOW)

    def test_no_member(self) -> None:
        with self.assertRaises(sessions.NotAMember):
            sessions.start(session('a'), 'x', 0, NOW)
        with self.assertRaises(sessions.NotAMember):
            sessions.end(session('a'), 'x', 'success', NOW)

    def test_a_failure_does_not_end_a_round_that_goes_on(self) -> None:
        """Upstream's does, where it comes first in the dict."""
        state = sessions.start(session('a', 'b'), 'a', 0, NOW).session
        state = sessions.start(state, 'b', 0, NOW).session
        state = sessions.end(state, 'a', 'fail', NOW + 5).session
        self.assertEqual('running', state.status)
        state = sessions.end(state, 'b', 'success', NOW + 9).session
        self.assertEqual(('completed', 'fail', NOW + 9),
                         (state.status, state.result, state.time_end))

    def test_a_round_counts_its_own_results_only(self) -> None:
        state = sessions.start(session('a', 'b'), 'a', 0, NOW).session
        state = sessions.start(state, 'b', 0, NOW).session
        state = sessions.end(state, 'a', 'fail', NOW + 1).session
        state = sessions.end(state, 'b', 'fail', NOW + 1).session
        state = sessions.start(state, 'a', 1, NOW + 60).session
        self.assertEqual(('running', ''), (state.status, state.result))
        state = sessions.end(state, 'a', 'success', NOW + 61).session
        self.assertEqual(('completed', 'success'),
                         (state.status, state.result))

    @hypothesis.given(
        order=st.permutations('abcd'),
        results=st.lists(st.sampled_from(('success', 'fail', 'aborted')),
                         min_size=4, max_size=4))
    def test_the_result_does_not_depend_on_an_order(
            self, order: list[str], results: list[str]) -> None:
        by_job = dict(zip('abcd', results, strict=True))
        state = session(*order)
        for job in order:
            state = sessions.start(state, job, 0, NOW).session
        for job in reversed(order):
            self.assertNotEqual('completed', state.status)
            state = sessions.end(state, job, by_job[job], NOW + 1).session
        self.assertEqual('completed', state.status)
        self.assertEqual(
            'success' if set(results) == {'success'} else 'fail',
            state.result)

    @hypothesis.given(steps=st.lists(st.tuples(
        st.sampled_from('ab'), st.sampled_from(('start', 'end')),
        st.integers(0, 90)), max_size=30))
    def test_a_job_that_follows_its_tag_is_never_lost(
            self, steps: list[tuple[str, str, int]]) -> None:
        """Whatever happens, the next start after a hold-off succeeds."""
        state, tags, now = session('a', 'b'), {'a': 0, 'b': 0}, NOW
        for job, what, pause in steps:
            now += pause
            if what == 'end':
                state = sessions.end(state, job, 'success', now).session
                continue
            outcome = sessions.start(state, job, tags[job], now)
            self.assertGreaterEqual(outcome.session.session_tag,
                                    state.session_tag)
            state = outcome.session
            tags[job] = tags[job] if outcome.tag is None else outcome.tag
        for job in 'ab':
            now += 100
            outcome = sessions.start(state, job, tags[job], now)
            if outcome.result == 'out-of-sync':
                outcome = sessions.start(
                    state, job, outcome.tag or 0, now + 1)
            self.assertEqual('success', outcome.result)
            state = outcome.session


class ClaimedRunTests(unittest.TestCase):
    """Jobs whose runs are claimed."""

    def take(self, state: sessions.Session, job: str, late: int = 0,
             due: int = NOW) -> sessions.Session:
        return sessions.take_part(state, job, due, due + late)

    @hypothesis.given(
        runs=st.lists(st.tuples(
            st.sampled_from('abc'), st.integers(0, 5000),
            st.integers(0, 5000),
            st.sampled_from(('success', 'fail', 'aborted'))),
            min_size=1, unique_by=lambda run: run[0]),
        hold_off=st.integers(0, 60))
    def test_a_round_in_whatever_order(
            self, runs: list[tuple[str, int, int, str]],
            hold_off: int) -> None:
        """It runs while one runs, and fails if one did not succeed."""
        state = session('a', 'b', 'c', hold_off=hold_off)
        going: set[str] = set()
        for at, job, result in sorted(
                [(late, job, '') for job, late, _, _ in runs]
                + [(late + length + 1, job, result)
                   for job, late, length, result in runs]):
            if result:
                state = sessions.finish(state, job, result, NOW + at)
                going.remove(job)
            else:
                state = self.take(state, job, at)
                going.add(job)
            self.assertEqual(bool(going), state.status == 'running')
            self.assertEqual((1, NOW), (state.session_tag, state.time_start))
        self.assertEqual(
            ('completed', 'success' if all(
                run[3] == 'success' for run in runs) else 'fail'),
            (state.status, state.result))

    def test_a_round_for_each_firing(self) -> None:
        state = session('a', 'b')
        for number in range(1, 5):
            due = NOW + 3600 * number
            for job in 'ba' if number % 2 else 'ab':
                state = self.take(state, job, 40, due)
            for job in 'ab':
                state = sessions.finish(state, job, 'success', due + 50)
            self.assertEqual((number, 'completed', 'success'), (
                state.session_tag, state.status, state.result))

    def test_a_clock_that_is_behind_loses_no_result(self) -> None:
        state = sessions.take_part(session('a', 'b'), 'a', NOW, NOW)
        state = sessions.finish(state, 'a', 'success', NOW)
        state = sessions.take_part(state, 'b', NOW - 2, NOW - 2)
        state = sessions.finish(state, 'b', 'fail', NOW - 1)
        self.assertEqual('fail', state.result)

    def test_an_end_without_a_start_says_nothing(self) -> None:
        state = session('a', status='active')
        for job in ('a', 'x'):
            self.assertIs(state, sessions.finish(state, job, 'fail', NOW))

    def test_no_member(self) -> None:
        with self.assertRaises(sessions.NotAMember):
            self.take(session('a'), 'x')

    def test_a_stock_schedulers_job_that_joins_late(self) -> None:
        """With upstream, a round that has ended keeps its result."""
        state = sessions.start(session('a', 'b'), 'a', 0, NOW).session
        state = sessions.end(state, 'a', 'success', NOW + 1).session
        state = sessions.start(state, 'b', 0, NOW + 2).session
        self.assertEqual(('running', ''), (state.status, state.result))
        state = sessions.end(state, 'b', 'fail', NOW + 3).session
        self.assertEqual(('completed', 'fail'), (state.status, state.result))

    def test_who_runs_since_the_round_before_holds_no_other_up(self) -> None:
        """It may never end: its job may be gone, with its scheduler."""
        state = self.take(session('a', 'b'), 'a')
        state = self.take(state, 'b', 0, NOW + 3600)
        state = sessions.finish(state, 'b', 'success', NOW + 3601)
        self.assertEqual((2, 'completed', 'success'), (
            state.session_tag, state.status, state.result))
        state = sessions.finish(state, 'a', 'fail', NOW + 3602)
        self.assertEqual(('completed', 'success'),
                         (state.status, state.result))

    def test_a_run_from_before_the_first_round_ends_none(self) -> None:
        """A job can be put into a session while it runs."""
        state = sessions.Session({'a': sessions.Member(
            'c', 'running', '', NOW, -1)})
        state = sessions.finish(state, 'a', 'success', NOW + 1)
        self.assertEqual((0, 'active', None), (
            state.session_tag, state.status, state.result))
        self.assertEqual('completed', state.members['a'].status)

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

"""Late firings and those that come during a run, by each of the rules."""

from __future__ import annotations

import datetime
from typing import Any

from falcon import testing
import hypothesis
from hypothesis import strategies as st

from freezer_api.domain import firing_plan
from tests.functional import base

HOUR = 3600
HOURLY = {'schedule_interval': '1 hours'}
STEP = 600

# What happens: the seconds before a claim, those of the run that it begins,
# and whether the user starts the job between.
moves = st.lists(st.tuples(st.integers(0, 3 * HOUR), st.integers(0, 3 * HOUR),
                           st.booleans()), min_size=1, max_size=6)


def seconds(time: str | None) -> int:
    """The time of a document, so many seconds after the beginning."""
    assert time is not None
    return int(datetime.datetime.fromisoformat(
        time).timestamp()) - base.T0


class LateTestCase(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.register_central()

    def told(self, job_id: str) -> list[tuple[Any, ...]]:
        """Return state, time, until when others are meant, and trigger.

        The oldest is the first.
        """
        runs = self.call(base.MEMBER, 'GET', f'jobs/{job_id}/runs?limit=500',
                         status=200)['runs']
        return [(run['state'], seconds(run['nominal_at']),
                 seconds(run['covers_until']) if 'covers_until' in run
                 else None, run['trigger']) for run in runs[::-1]]


class SkipTests(LateTestCase):
    """What holds where nothing is configured."""

    def shown(self, job_id: str) -> list[tuple[Any, ...]]:
        return [row[:3] for row in self.told(job_id)]

    def run_all(self, *durations: int) -> None:
        """Have one run after the other, each for so long."""
        for duration in durations:
            run = self.one_run()
            self.assertEqual([], self.claim()['runs'])
            self.clock.now += duration
            self.report(run, 'success')
        self.assertEqual([], self.claim()['runs'])

    def late(self) -> str:
        """Return a job with three late firings; another comes meanwhile."""
        job_id = self.create_job(schedule=HOURLY)
        self.clock.now = base.T0 + 3 * HOUR + 1800
        return job_id

    def test_what_is_late_and_what_comes_during_a_run(self) -> None:
        job_id = self.late()
        self.run_all(2400)
        self.assertEqual([
            ('missed', HOUR, 3 * HOUR), ('success', 3 * HOUR, None),
            ('skipped', 4 * HOUR, None)], self.shown(job_id))


class SkipTestsOnMySQL(base.MySQL, SkipTests):
    pass


class SkipTestsOnPostgreSQL(base.PostgreSQL, SkipTests):
    pass


class WaitTests(SkipTests):
    settings = {'scheduling': {'overlap': 'wait'}}

    def test_what_is_late_and_what_comes_during_a_run(self) -> None:
        job_id = self.late()
        self.run_all(2400, HOUR, 60)
        self.assertEqual([
            ('missed', HOUR, 3 * HOUR), ('success', 3 * HOUR, None),
            ('success', 4 * HOUR, None),
            ('success', 5 * HOUR, None)], self.shown(job_id))


class EachTests(SkipTests):
    settings = {'scheduling': {'coalesce': False, 'catch_up_window': 9000}}

    def test_what_is_late_and_what_comes_during_a_run(self) -> None:
        job_id = self.late()
        self.run_all(2400, 60, 60)
        self.assertEqual([
            ('success', HOUR, None), ('success', 2 * HOUR, None),
            ('success', 3 * HOUR, None), ('skipped', 4 * HOUR, None)],
            self.shown(job_id))
        [told, *_] = self.runs(job_id)
        self.assertIn('still going on', told['reason'])


class EachTestsOnMySQL(base.MySQL, EachTests):
    pass


class EachTestsOnPostgreSQL(base.PostgreSQL, EachTests):
    pass


class EachAfterTheOtherTests(SkipTests):
    settings = {'scheduling': {'coalesce': False, 'overlap': 'wait',
                               'catch_up_window': 9000}}

    def test_what_is_late_and_what_comes_during_a_run(self) -> None:
        job_id = self.late()
        self.run_all(2400, 60, 60, 60)
        self.assertEqual([
            ('success', number * HOUR, None) for number in range(1, 5)],
            self.shown(job_id))


class AnyRuleTests(LateTestCase):
    """On one engine: what differs is not the engine's."""

    # The third is whether a run goes on when the job is stopped.
    @hypothesis.settings(max_examples=40, deadline=None)
    @hypothesis.given(moves, st.booleans(),
                      st.sampled_from(firing_plan.Overlap),
                      st.integers(1, 4 * HOUR), st.integers(0, 1))
    def test_each_firing_is_told_once(
            self, happens: Any, coalesce: bool, overlap: firing_plan.Overlap,
            window: int, goes_on: int) -> None:
        """Invariant 2, by any rule."""
        for name, value in (('coalesce', coalesce), ('overlap', overlap),
                            ('catch_up_window', window)):
            self.conf.set_override(name, value, 'scheduling')
        self.client = testing.TestClient(self.make_app())
        created = self.clock.now
        job_id = self.create_job(schedule={
            'schedule_interval': f'{STEP} seconds'})
        for before, during, start in happens:
            self.clock.now += before
            if start:
                self.start(job_id)
            for run in self.claim()['runs']:
                self.clock.now += during
                self.report(run, 'success')
        left = self.claim(limit=goes_on)['runs']
        self.clock.now += HOUR
        self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event', {'stop': None},
                  202)
        for run in left:
            self.report(run, 'success')
        rows = self.told(job_id)
        for firing in range(created + STEP, self.clock.now + 1, STEP):
            after = firing - base.T0
            told = [row for row in rows
                    if row[1] <= after < max(row[1] + 1, row[2] or 0)]
            # A start may come at that second, too.
            self.assertIn(len(told), (1, 1 + sum(
                row[1] == after and row[3] == 'start' for row in told)),
                (after, rows))
        self.assertEqual([], self.claim()['runs'])

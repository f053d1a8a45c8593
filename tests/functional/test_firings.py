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

"""What becomes of firings: each is run, or a run tells why it was not."""

from __future__ import annotations

import datetime
from typing import Any

import sqlalchemy as sa

from freezer_api.db.admin import repair
from freezer_api.db import models
from tests.functional import base

HOURLY = {'schedule_interval': '1 hours'}


def clock(seconds: int) -> str:
    """A time as documents show it, so many seconds after the beginning."""
    return datetime.datetime.fromtimestamp(
        base.T0 + seconds, datetime.UTC).strftime('%Y-%m-%dT%H:%M:%SZ')


class FiringTests(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.register_central()

    def event(self, job_id: str, event: str) -> None:
        self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event',
                  {event: None}, 202)

    def told(self, job_id: str) -> list[tuple[Any, ...]]:
        """State, time, trigger and until when it stands for others."""
        return [(run['state'], run['nominal_at'], run['trigger'],
                 run.get('covers_until')) for run in self.runs(job_id)[::-1]]

    def test_what_was_missed_and_what_was_not_are_both_told(self) -> None:
        """Invariant 2: of ten hours nothing is lost in silence."""
        job_id = self.create_job(schedule=HOURLY)
        self.clock.now += 10 * 3600 + 1800
        self.report(self.one_run(), 'success')
        self.assertEqual(
            [('missed', clock(3600), 'schedule', clock(10 * 3600)),
             ('success', clock(10 * 3600), 'schedule', None)],
            self.told(job_id))
        self.assertEqual(clock(11 * 3600), self.job(job_id)['next_run_at'])

    def test_one_run_stands_for_several_firings_and_says_so(self) -> None:
        job_id = self.create_job(schedule={'schedule_interval': '10 minutes'})
        self.clock.now += 3000
        self.report(self.one_run(), 'success')
        self.assertEqual(
            [('success', clock(600), 'schedule', clock(3001))],
            self.told(job_id))

    def test_firings_during_a_run_are_skipped_and_told(self) -> None:
        job_id = self.create_job(schedule=HOURLY)
        self.clock.now += 3600
        run = self.one_run()
        held = [{'run_id': run['run_id'], 'fence': 1}]
        for _ in range(4):
            self.clock.now += 3600
            self.claim(held=held)
        self.report(run, 'success')
        self.assertEqual(
            [('success', clock(3600), 'schedule', None),
             ('skipped', clock(7200), 'schedule', clock(5 * 3600 + 1))],
            self.told(job_id))

    def test_what_came_after_the_end_of_a_run_is_late_and_not_skipped(
            self) -> None:
        """The end is told later where the API was away."""
        for interval, told, rest in (
                ('1 hours', ('success', clock(4 * 3600), 'schedule', None),
                 [('skipped', clock(7200), 'schedule', None),
                  ('missed', clock(3 * 3600), 'schedule', None)]),
                ('3 hours', None, [])):
            with self.subTest(interval):
                self.clock.now = base.T0
                job_id = self.create_job(
                    schedule={'schedule_interval': interval})
                first = int(interval[0]) * 3600
                self.clock.now += first
                run = self.one_run()
                self.clock.now = base.T0 + 4 * 3600 + 1800
                self.report(run, 'success',
                            age=self.clock.now - base.T0 - 7260)
                for one in self.claim()['runs']:
                    self.report(one, 'success')
                self.assertEqual(
                    [('success', clock(first), 'schedule', None), *rest,
                     *([told] if told else [])], self.told(job_id))

    def test_a_start_takes_the_place_of_a_firing_that_waits(self) -> None:
        job_id = self.create_job(schedule=HOURLY)
        self.clock.now += 3600 + 60
        self.event(job_id, 'start')
        self.report(self.one_run(), 'success')
        self.assertEqual(
            [('skipped', clock(3600), 'schedule', None),
             ('success', clock(3660), 'start', None)], self.told(job_id))
        self.assertIn('started by hand', self.runs(job_id)[1]['reason'])
        # Once, and the schedule goes on as it was.
        self.assertEqual([], self.claim()['runs'])
        self.assertEqual(clock(7200), self.job(job_id)['next_run_at'])

    def test_a_start_that_is_late_stands_for_what_fired_since(self) -> None:
        job_id = self.create_job(schedule=HOURLY)
        self.clock.now += 3000
        self.event(job_id, 'start')
        self.clock.now += 5000
        self.report(self.one_run(), 'success')
        self.assertEqual(
            [('success', clock(3000), 'start', clock(8001))],
            self.told(job_id))

    def test_what_is_ended_by_its_user_is_told(self) -> None:
        for change, reason in (
                (lambda job_id: self.event(job_id, 'stop'), 'stopped'),
                (lambda job_id: self.event(job_id, 'abort'), 'aborted'),
                (lambda job_id: self.call(
                    base.MEMBER, 'PATCH', f'jobs/{job_id}',
                    {'job_schedule': {'schedule_interval': '2 hours'}}, 200),
                 'changed')):
            self.clock.now = base.T0
            job_id = self.create_job(schedule=HOURLY)
            self.clock.now += 3700
            change(job_id)
            self.assertEqual([], self.claim()['runs'])
            [told] = self.runs(job_id)
            self.assertEqual(('skipped', clock(3600)),
                             (told['state'], told['nominal_at']))
            self.assertIn(reason, told['reason'])

    def test_a_firing_moves_with_its_job(self) -> None:
        """Another client has a scheduler where the first one's is gone."""
        self.register_central('other')
        job_id = self.create_job(schedule=HOURLY)
        self.clock.now += 3700
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'client_id': 'other'}, 200)
        run = self.one_run(client='other')
        self.assertEqual(clock(3600), run['nominal_at'])
        self.report(run, 'success', client='other')
        self.assertEqual(clock(7200), self.job(job_id)['next_run_at'])

    def test_a_continuous_job_runs_on_and_skips_nothing(self) -> None:
        job_id = self.create_job(
            schedule={'schedule_interval': 'continuous'})
        self.clock.now += 5
        for duration, wait in ((50, 10), (0, 60), (59, 1), (60, 1), (90, 1)):
            run = self.one_run()
            self.clock.now += duration
            self.report(run, 'success')
            self.clock.now += wait - 1
            self.assertEqual([], self.claim()['runs'])
            self.clock.now += 1
        self.assertEqual(['success'] * 5,
                         [run['state'] for run in self.runs(job_id)])

    def test_a_continuous_job_that_fails_waits_longer_and_longer(
            self) -> None:
        job_id = self.create_job(
            schedule={'schedule_interval': 'continuous'})
        self.clock.now += 5
        waits = []
        for result in ('fail',) * 8 + ('success', 'fail', 'fail'):
            self.report(self.one_run(), result, reason='Cinder is full')
            ended = self.clock.now
            due = int(datetime.datetime.fromisoformat(
                self.job(job_id)['next_run_at']).timestamp())
            self.clock.now = due - 1
            self.assertEqual([], self.claim()['runs'])
            self.clock.now = due
            waits.append(due - ended)
        self.assertEqual([60, 120, 240, 480, 960, 1920, 3600, 3600,
                          60, 60, 120], waits)

    def test_a_suspended_continuous_job_waits_too(self) -> None:
        job_id = self.create_job(
            schedule={'schedule_interval': 'continuous'})
        self.clock.now += 5
        tries = 0
        for _ in range(180):
            for run in self.claim()['runs']:
                self.report(run, 'fail', cause='trust_refused')
                tries += 1
            self.clock.now += 20
        self.assertLess(tries, 15)
        self.assertGreater(tries, 3)
        self.assertTrue(self.job(job_id)['suspended'])

    def test_what_an_older_api_has_armed_is_found_after_a_refresh(
            self) -> None:
        """Never lost: it knows neither when a job is due nor of queues."""
        job_id = self.create_job(schedule=HOURLY)
        with self.database.engine.begin() as connection:
            connection.execute(sa.update(models.Job).values(due_at=None))
            connection.execute(sa.delete(models.Queue))
        self.clock.now += 3600
        self.assertEqual([], self.claim()['runs'])
        self.assertEqual(1, repair.repair(self.url()).jobs)
        self.assertEqual(0, repair.repair(self.url()).jobs)
        self.assertEqual(job_id, self.one_run()['job_id'])
        with self.database.read() as session:
            self.assertEqual(1, session.scalar(
                sa.select(sa.func.count()).select_from(models.Queue)))


class FiringTestsOnMySQL(base.MySQL, FiringTests):
    pass


class FiringTestsOnPostgreSQL(base.PostgreSQL, FiringTests):
    pass


class JitterTests(base.ApiTestCase):
    settings = {'scheduling': {'jitter': 300}}

    def test_jobs_of_one_time_do_not_start_at_once(self) -> None:
        self.register_central()
        jobs = [self.create_job(schedule=HOURLY) for _ in range(12)]
        phases: dict[str, list[int]] = {job_id: [] for job_id in jobs}
        for _ in range(3 * 60):
            self.clock.now += 60
            for run in self.claim(limit=100)['runs']:
                phases[run['job_id']].append(
                    (self.clock.now - base.T0) % 3600)
                self.assertTrue(run['nominal_at'].endswith(':00:00Z'))
                self.report(run, 'success')
        for late in phases.values():
            self.assertEqual(1, len(set(late)), phases)
            self.assertLessEqual(late[0], 300 + 60)
        self.assertGreater(len({late[0] for late in phases.values()}), 2)
        for job_id in jobs:
            self.assertTrue(
                self.job(job_id)['next_run_at'].endswith(':00:00Z'))

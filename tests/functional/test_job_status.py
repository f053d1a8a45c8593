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

"""A job is shown as scheduled exactly while it waits for a firing.

Users look at the status alone: stock clients show no time of the next run.
"""

from __future__ import annotations

import random
from typing import Any

from tests.functional import base

CRON = {'schedule_hour': '2', 'schedule_day_of_week': 'mon-fri',
        'schedule_timezone': 'Europe/Berlin'}

SCHEDULES: tuple[dict[str, str], ...] = (
    {}, CRON, {'schedule_interval': '1 days'},
    {'schedule_interval': 'continuous'},
    {'schedule_date': '2020-01-01T00:00:00'},
    {'schedule_date': '2027-01-16T08:00:00'},
    {'schedule_day': 'mon, wed, fri'},
    {'schedule_hour': '2', 'schedule_end_date': '2027-01-16T08:00:00'},
    {'schedule_interval': '1 hours',
     'schedule_start_date': '2028-01-16T08:00:00'})


class JobStatusTests(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.register_central()

    def patch(self, job_id: str, **sent: Any) -> None:
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', sent, 200)

    def event(self, job_id: str, event: str) -> None:
        self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event',
                  {event: None}, 202)

    def shown(self, job_id: str) -> tuple[Any, Any, Any]:
        """Status, result and reason."""
        job = self.job(job_id)
        return (job['job_schedule'].get('status'),
                job['job_schedule'].get('result'), job.get('status_reason'))

    def check(self, job_id: str, said: str) -> None:
        """Compare what is shown of a job, however it is asked for."""
        job = self.job(job_id)
        schedule = job['job_schedule']
        status = schedule.get('status')
        listed = [one for one in self.call(
            base.MEMBER, 'GET', 'jobs', status=200)['jobs']
            if one['job_id'] == job_id]
        self.assertEqual([job], listed, said)
        for text in ('scheduled', 'suspended', 'completed'):
            found = self.call(base.MEMBER, 'GET', 'jobs', {
                'match': [{'status': text}]}, 200)['jobs']
            self.assertEqual(text == status, job_id in {
                one['job_id'] for one in found}, f'{said} {text} {job}')
        waits = 'next_run_at' in job and not schedule.get('event')
        going = status == 'running'
        fresh = self.clock.now <= schedule['time_created'] + 5
        if not (fresh or going):
            self.assertEqual(
                waits, status in ('scheduled', 'suspended'), f'{said} {job}')
        self.assertEqual('suspended' in job and waits,
                         status == 'suspended', f'{said} {job}')
        if status == 'suspended' or (
                status == 'completed' and schedule['time_started'] < 0):
            self.assertIn('status_reason', job, said)
        if job.get('session_id'):
            member = self.call(
                base.MEMBER, 'GET', f'sessions/{job["session_id"]}',
                status=200)['jobs'][job_id]
            self.assertIn(member['status'], ('', 'running', 'completed'))

    def test_whatever_is_done_to_a_job(self) -> None:
        """Seeds tell what was done: a failure comes again."""
        for seed in range(16):
            self._live(random.Random(seed), seed)

    def _live(self, chance: random.Random, seed: int) -> None:
        job_id = self.create_job(schedule=chance.choice(SCHEDULES))
        session_id = self.call(base.MEMBER, 'POST', 'sessions', {
            'schedule': chance.choice(SCHEDULES)}, 201)['session_id']
        done = f'{seed}:'
        for _ in range(chance.randint(3, 9)):
            what = chance.choice((
                'patch', 'patch', 'panel', 'start', 'stop', 'abort', 'claim',
                'claim', 'wait', 'wait', 'join', 'withdraw', 'take over'))
            done += f' {what}'
            if what == 'patch':
                schedule = chance.choice(SCHEDULES)
                done += f' {schedule}'
                self.patch(job_id, job_schedule=schedule)
            elif what == 'panel':
                self.patch(job_id, job_schedule={}, description='renamed')
            elif what in ('start', 'stop', 'abort'):
                self.event(job_id, what)
            elif what == 'join':
                self.call(base.MEMBER, 'PUT',
                          f'sessions/{session_id}/jobs/{job_id}', status=204)
            elif what == 'withdraw':
                self.patch(job_id, user_credentials={})
            elif what == 'take over':
                self.call(base.MATE, 'PATCH', f'jobs/{job_id}', {
                    'client_id': 'central'}, 200)
            elif what == 'wait':
                self.clock.now += chance.choice((6, 3600, 90_000))
            else:
                for run in self.claim()['runs']:
                    if run['job_id'] == job_id:
                        self.check(job_id, done)
                    self.report(run, chance.choice((
                        'success', 'fail', 'aborted')))
            self.check(job_id, done)
        self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}', status=204)

    def test_a_schedule_that_is_taken_away(self) -> None:
        """It never runs again, and must not look as if it did."""
        for ran in (False, True):
            job_id = self.create_job(schedule=CRON)
            if ran:
                self.start(job_id)
                self.report(self.one_run(), 'success')
            self.patch(job_id, job_schedule={})
            self.assertEqual(
                ('completed', 'success' if ran else None,
                 'The job has no schedule. Start it to run it.'),
                self.shown(job_id))
            self.clock.now += 10 * 86400
            self.assertEqual([], self.claim()['runs'])
            # It goes on as soon as it has a schedule again.
            self.patch(job_id, job_schedule=CRON)
            self.assertEqual('scheduled', self.shown(job_id)[0])
            self.assertIn('next_run_at', self.job(job_id))
            self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}', status=204)

    def test_a_schedule_that_ends_while_the_job_runs(self) -> None:
        job_id = self.create_job(schedule=CRON)
        self.start(job_id)
        run = self.one_run()
        self.patch(job_id, job_schedule={})
        self.assertEqual('running', self.shown(job_id)[0])
        self.report(run, 'success')
        self.assertEqual(
            ('completed', 'success',
             'The job has no schedule. Start it to run it.'),
            self.shown(job_id))

    def test_a_suspended_job_looks_suspended(self) -> None:
        job_id = self.create_job(schedule={'schedule_interval': '1 days'})
        self.start(job_id)
        self.report(self.one_run(), 'success')
        before = self.job(job_id)['job_schedule']
        for hour in range(30):
            self.clock.now += 3600
            for run in self.claim()['runs']:
                self.report(run, 'fail', cause='trust_refused',
                            reason='no role')
            now = self.job(job_id)['job_schedule']
            if hour > 24:
                self.assertEqual('suspended', now['status'])
                self.assertEqual('fail', now['result'])
            # Of the run that never was there are no times.
            self.assertEqual((before['time_started'], before['time_ended']),
                             (now['time_started'], now['time_ended']))
        # What a client reads it may send back.
        shown = self.job(job_id)
        self.call(base.MATE, 'PATCH', f'jobs/{job_id}', shown, 200)
        clone = {key: value for key, value in shown.items()
                 if key != 'job_id'}
        copy = self.call(base.MEMBER, 'POST', 'jobs', clone, 201)['job_id']
        self.assertNotIn('status', self.job(copy)['job_schedule'])

    def test_a_job_that_never_ran_has_no_times(self) -> None:
        job_id = self.create_job(schedule={})
        self.clock.now += 6
        self.report(self.one_run(), 'fail', cause='trust_refused',
                    reason='no role')
        schedule = self.job(job_id)['job_schedule']
        self.assertEqual((-1, -1, 'suspended'), (
            schedule['time_started'], schedule['time_ended'],
            schedule['status']))


class JobStatusTestsOnMySQL(base.MySQL, JobStatusTests):
    pass


class JobStatusTestsOnPostgreSQL(base.PostgreSQL, JobStatusTests):
    pass

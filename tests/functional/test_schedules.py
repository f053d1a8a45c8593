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

"""Schedules that cost much or never fire: refused when they are new."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from freezer_api.db import models
from tests.functional import base

# A schedule of an attack: it never fires, and an earlier release searched
# for seconds to find that out.
ATTACK = {'schedule_day': ','.join('*' * 128),
          'schedule_week': ','.join('2' * 128),
          'schedule_month': ','.join(['2-12'] * 51)}

# The field that the answer names, and the schedule.
REFUSED: tuple[tuple[str, dict[str, str]], ...] = (
    ('schedule_day', ATTACK),
    ('schedule_minute', {'schedule_minute': ','.join('1' * 65)}),
    ('schedule_month', {'schedule_month': '2', 'schedule_day': '30'}),
    ('schedule_month', {'schedule_month': 'feb', 'schedule_day': '5th sun',
                        'schedule_week': '5'}),
    ('schedule_week', {'schedule_week': '9', 'schedule_month': '6-12'}),
    ('schedule_year', {'schedule_year': '2027', 'schedule_month': '2',
                       'schedule_day': '29'}),
    ('schedule_week', {'schedule_week': '53', 'schedule_year': '2025'}),
    ('schedule_interval', {'schedule_interval': '0 hours'}),
    ('schedule_interval', {'schedule_interval': '000 weeks'}),
    ('schedule_interval', {'schedule_interval': '0 seconds',
                           'schedule_hour': '3'}),
)

ACCEPTED: tuple[dict[str, str], ...] = (
    {'schedule_minute': ','.join(map(str, range(60))), 'schedule_hour': '1'},
    {'schedule_month': 'feb', 'schedule_day': '29', 'schedule_week': '9',
     'schedule_day_of_week': 'mon'},
    {'schedule_week': '53', 'schedule_month': '1', 'schedule_day': '3',
     'schedule_day_of_week': '6'},
    {'schedule_day': 'mon, wed, fri'},
    {'schedule_year': '2020'},
)


class ScheduleTests(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.register_central()

    def store(self, model: type[models.Job] | type[models.Session],
              schedule: dict[str, str]) -> None:
        """Write a schedule that an earlier release has accepted."""
        with self.database.engine.begin() as connection:
            connection.execute(sa.update(model).values(schedule=schedule))

    def test_what_is_refused_on_each_route(self) -> None:
        job_id = self.create_job()
        session_id = self.call(base.MEMBER, 'POST', 'sessions', {
            'schedule': {'schedule_hour': '3'}}, 201)['session_id']
        before = self.job(job_id)
        job: dict[str, Any] = {'client_id': 'central', 'job_actions': [
            {'freezer_action': base.BACKUP}]}
        for field, schedule in REFUSED:
            for method, path, document in (
                    ('POST', 'jobs', {**job, 'job_schedule': schedule}),
                    ('POST', f'jobs/{job_id}',
                     {**job, 'job_schedule': schedule}),
                    ('PATCH', f'jobs/{job_id}', {'job_schedule': schedule}),
                    ('PATCH', f'jobs/{job_id}',
                     {'job_schedule': schedule, 'description': 'other'}),
                    ('POST', 'sessions', {'schedule': schedule}),
                    ('POST', f'sessions/{session_id}',
                     {'schedule': schedule}),
                    ('PATCH', f'sessions/{session_id}',
                     {'schedule': schedule})):
                with self.subTest(method=method, path=path, field=field):
                    answer = self.call(
                        base.MEMBER, method, path, document, 400)
                    self.assertEqual('invalid_document', answer['code'])
                    self.assertIn(field, answer['description'])
        self.assertEqual(before, self.job(job_id))

    def test_what_is_rare_or_long_is_accepted(self) -> None:
        for schedule in ACCEPTED:
            self.create_job(schedule=schedule)

    def test_stored_ones_stay_readable_and_stop_nothing(self) -> None:
        self.terms_follow = False
        for field, schedule in REFUSED:
            with self.subTest(schedule=schedule):
                job_id = self.create_job()
                self.store(models.Job, schedule)
                shown = self.job(job_id)['job_schedule']
                self.assertEqual(schedule[field], shown[field])
                # As a client does that reads a job and changes another part.
                self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {
                    'job_schedule': shown, 'description': 'mine'}, 200)
                self.start(job_id)
                self.clock.now += 1
                self.report(self.one_run(), 'success')
                self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}', None, 204)

    def test_a_stored_one_that_never_fires_says_why(self) -> None:
        self.terms_follow = False
        job_id = self.create_job()
        self.store(models.Job, ATTACK)
        self.register_central('other')
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'client_id': 'other'}, 200)
        shown = self.job(job_id)
        self.assertNotIn('next_run_at', shown)
        self.assertIn('schedule_week', shown['status_reason'])

    def test_a_session_of_an_earlier_release_stays_as_it_is(self) -> None:
        session_id = self.call(base.MEMBER, 'POST', 'sessions', {
            'schedule': {'schedule_hour': '3'}}, 201)['session_id']
        self.terms_follow = False
        self.store(models.Session, ATTACK)
        self.call(base.MEMBER, 'PATCH', f'sessions/{session_id}',
                  {'schedule': ATTACK, 'description': 'kept'}, 200)
        job_id = self.create_job()
        answer = self.call(
            base.MEMBER, 'PUT', f'sessions/{session_id}/jobs/{job_id}',
            None, 400)
        self.assertIn('schedule_day', answer['description'])


class ScheduleTestsOnMySQL(base.MySQL, ScheduleTests):
    pass


class ScheduleTestsOnPostgreSQL(base.PostgreSQL, ScheduleTests):
    pass

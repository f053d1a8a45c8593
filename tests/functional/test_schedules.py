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

import datetime
import itertools
from typing import Any

import sqlalchemy as sa

from freezer_api.db import models
from freezer_api.domain import schedule as schedules
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


class NewScheduleTests(base.ApiTestCase):
    """PATCH of a schedule alone."""

    def setUp(self) -> None:
        super().setUp()
        self.asked: list[str] = []
        self.register_central()
        sa.event.listen(
            self.database.engine, 'before_cursor_execute',
            lambda connection, cursor, statement, *rest:
            self.asked.append(statement.split()[0])
            if statement != 'BEGIN IMMEDIATE' else None)

    def _patch(self, job_id: str, days: int) -> list[str]:
        """Return the first words of the statements that a change takes."""
        self.asked.clear()
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {
            'job_schedule': {'schedule_interval': f'{days} days'}}, 200)
        return [word for word in self.asked if word != 'BEGIN']

    def _due_in(self, job_id: str) -> int:
        with self.database.read() as session:
            job = session.get_one(models.Job, job_id)
            assert job.due_at is not None
            return job.due_at - self.clock.now

    def test_it_takes_three_statements(self) -> None:
        job_id = self.create_job()
        self.assertEqual(['SELECT', 'SELECT', 'UPDATE'],
                         self._patch(job_id, 2))
        self.assertEqual(2 * 86_400, self._due_in(job_id))

    def test_another_size_is_counted(self) -> None:
        """The terms and the usage are checked after each test."""
        job_id = self.create_job()
        self.assertEqual(['SELECT', 'SELECT', 'UPDATE', 'UPDATE'],
                         self._patch(job_id, 20))

    def test_two_trusts_of_a_job_change_nothing(self) -> None:
        """Only databases that were changed by hand hold two."""
        actions = [{'freezer_action': {**base.BACKUP, 'backup_name': name}}
                   for name in ('one', 'two')]
        job_id = self.create_job(job_actions=actions)
        before = self.job(job_id)['job_actions']
        with self.database.engine.begin() as connection:
            found = connection.execute(sa.select(
                models.UserCredential.__table__)).mappings().one()
            connection.execute(sa.insert(models.UserCredential),
                               {**found, 'id': 'second'})
        self.assertEqual(['SELECT', 'SELECT', 'UPDATE'],
                         self._patch(job_id, 3))
        self.assertEqual(3 * 86_400, self._due_in(job_id))
        self.assertEqual(before, self.job(job_id)['job_actions'])


class MinimumTests(base.ApiTestCase):
    """``[scheduling] minimum_interval`` with its default, a minute."""

    def setUp(self) -> None:
        super().setUp()
        self.register_central()
        self.call(base.MEMBER, 'POST', 'clients', {
            'client_id': 'own', 'hostname': 'host', 'claims': True}, 201)

    def store(self, schedule: dict[str, str]) -> None:
        self.terms_follow = False
        with self.database.engine.begin() as connection:
            connection.execute(
                sa.update(models.Job).values(schedule=schedule))

    def test_a_schedule_that_fires_too_often_is_refused(self) -> None:
        central = self.create_job()
        own = self.create_job(client='own')
        for field, schedule in (
                ('schedule_interval', {'schedule_interval': '59 seconds'}),
                ('schedule_second', {'schedule_second': '*'}),
                ('schedule_second', {'schedule_second': '0,30'}),
                ('schedule_second', {'schedule_minute': '*',
                                     'schedule_second': '5,6'}),
                ('schedule_second', {'schedule_hour': '0,23',
                                     'schedule_minute': '0,59',
                                     'schedule_second': '0,1'})):
            for method, path, document in (
                    ('POST', 'jobs', {
                        'client_id': 'central', 'job_schedule': schedule,
                        'job_actions': [{'freezer_action': base.BACKUP}]}),
                    ('PATCH', f'jobs/{central}', {'job_schedule': schedule}),
                    ('PATCH', f'jobs/{own}', {'job_schedule': schedule,
                                              'client_id': 'central'})):
                with self.subTest(method=method, schedule=schedule):
                    answer = self.call(
                        base.MEMBER, method, path, document, 400)
                    self.assertEqual('invalid_document', answer['code'])
                    self.assertIn(field, answer['description'])
                    self.assertIn('60 seconds', answer['description'])
            # Its own scheduler's cost is the project's.
            self.create_job(client='own', schedule=schedule)

    def test_what_leaves_the_minimum_is_accepted(self) -> None:
        for schedule in ({'schedule_interval': '60 seconds'},
                         {'schedule_interval': 'continuous'},
                         {'schedule_minute': '*'},
                         {'schedule_hour': '0,23', 'schedule_minute': '0,59'},
                         {'schedule_second': '0', 'schedule_hour': '*/2'}):
            self.create_job(schedule=schedule)

    def test_a_job_that_moves_must_leave_the_minimum(self) -> None:
        job_id = self.create_job(
            client='own', schedule={'schedule_interval': '5 seconds'})
        for document in ({'client_id': 'central'},
                         {'client_id': 'central', 'description': 'moved'}):
            answer = self.call(
                base.MEMBER, 'PATCH', f'jobs/{job_id}', document, 400)
            self.assertIn('60 seconds', answer['description'])
        self.assertEqual('own', self.job(job_id)['client_id'])

    def test_a_job_that_joins_a_session_must_leave_the_minimum(self) -> None:
        session_id = self.call(base.MEMBER, 'POST', 'sessions', {
            'schedule': {'schedule_interval': '5 seconds'}},
            201)['session_id']
        own, central = self.create_job(client='own'), self.create_job()
        self.call(base.MEMBER, 'PUT', f'sessions/{session_id}/jobs/{own}',
                  None, 204)
        answer = self.call(
            base.MEMBER, 'PUT', f'sessions/{session_id}/jobs/{central}',
            None, 400)
        self.assertIn('60 seconds', answer['description'])

    def test_a_stored_schedule_runs_with_the_minimum_in_between(self) -> None:
        for schedule in ({'schedule_second': '*/5'},
                         {'schedule_interval': '0 hours'}):
            with self.subTest(schedule=schedule):
                job_id = self.create_job()
                self.store(schedule)
                self.start(job_id)
                started = []
                for _ in range(80):
                    for run in self.claim()['runs']:
                        started.append(self.clock.now)
                        self.report(run, 'success')
                    self.clock.now += 5
                # The first was started by hand.
                waits = [after - before for before, after
                         in itertools.pairwise(started[1:])]
                self.assertGreaterEqual(len(waits), 3)
                self.assertGreaterEqual(min(waits), 60, waits)
                self.assert_nothing_lost(job_id, schedule)
                self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}', None, 204)

    def assert_nothing_lost(self, job_id: str,
                            schedule: dict[str, str]) -> None:
        """Each firing between the first and the last run has a run."""
        runs = sorted((run for run in self.runs(job_id)
                       if run['trigger'] == 'schedule'),
                      key=lambda run: run['nominal_at'])
        covered = [(run['nominal_at'], run.get('covers_until'))
                   for run in runs]
        for (_, until), (following, _) in itertools.pairwise(covered):
            assert until is not None
            before = moment(until) - datetime.timedelta(seconds=1)
            after = schedules.next_firing(
                schedules.parse(schedule), before, before)
            self.assertEqual(moment(following), after)

    def test_runs_that_fail_at_once_back_off(self) -> None:
        job_id = self.create_job(schedule={'schedule_minute': '*'})
        started, results = [], []
        for _ in range(270):
            for run in self.claim()['runs']:
                started.append(self.clock.now)
                results.append('success' if len(started) == 9 else 'fail')
                self.report(run, results[-1], reason='no such volume')
                if len(started) == 3:
                    shown = self.job(job_id)['status_reason']
                    self.assertIn('no such volume', shown)
                    self.assertIn('waits until', shown)
            self.clock.now += 60
        waits = [after - before for before, after
                 in itertools.pairwise(started)]
        for wait, expected in zip(waits, (
                60, 120, 240, 480, 960, 1920, 3600, 3600, 60, 60, 120),
                strict=False):
            self.assertLessEqual(abs(wait - expected), 60, waits)
        # Each run stands for the firings that have come in the meantime.
        runs = sorted(self.runs(job_id), key=lambda run: run['nominal_at'])
        for run, following in itertools.pairwise(runs):
            until = run.get('covers_until') or clock_after(run['nominal_at'])
            self.assertLessEqual(
                moment(following['nominal_at']) - moment(until),
                datetime.timedelta(seconds=60))

    def test_slow_failures_do_not_back_off(self) -> None:
        self.create_job(schedule={'schedule_minute': '*/5'})
        fired = 0
        for _ in range(120):
            for run in self.claim()['runs']:
                fired += 1
                self.clock.now += 61
                self.report(run, 'fail')
            self.clock.now += 30
        self.assertGreaterEqual(fired, (self.clock.now - base.T0) // 300 - 1)

    def test_a_rare_schedule_is_not_moved_by_failures(self) -> None:
        job_id = self.create_job(schedule={'schedule_interval': '1 days'})
        for day in range(1, 12):
            self.clock.now = base.T0 + day * 86_400
            self.report(self.one_run(), 'fail')
            self.assertNotIn('waits', str(self.job(job_id)))

    def test_classic_clients_run_every_second(self) -> None:
        job_id = self.create_job(
            client='own', schedule={'schedule_second': '*'})
        self.clock.now += 10
        for _ in range(5):
            self.clock.now += 1
            [run] = self.claim(client='own', persona=base.MEMBER)['runs']
            self.report(run, 'fail', client='own', persona=base.MEMBER)
        self.assertEqual(5, len(self.runs(job_id)))


def moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def clock_after(text: str) -> str:
    return (moment(text) + datetime.timedelta(seconds=1)).isoformat()


class MinimumTestsOnMySQL(base.MySQL, MinimumTests):
    pass


class MinimumTestsOnPostgreSQL(base.PostgreSQL, MinimumTests):
    pass


class ScheduleTestsOnMySQL(base.MySQL, ScheduleTests):
    pass


class ScheduleTestsOnPostgreSQL(base.PostgreSQL, ScheduleTests):
    pass


class NewScheduleTestsOnMySQL(base.MySQL, NewScheduleTests):
    """... on MariaDB."""


class NewScheduleTestsOnPostgreSQL(base.PostgreSQL, NewScheduleTests):
    """... on PostgreSQL."""

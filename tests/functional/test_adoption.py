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
"""A scheduler that claims takes the place of one that polled."""

from __future__ import annotations

from typing import Any
from unittest import mock

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import adoption
from freezer_api.db import models
from freezer_api.domain import firing_plan
from tests.functional import base

DAY = 86_400


class TakeOverTests(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.register_central(claims=False)

    def polled(self, schedule: dict[str, Any], **report: Any) -> str:
        """Make a job, and say of it what a polling scheduler would."""
        job_id = self.create_job(schedule=schedule)
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {
            'session_id': '', 'session_tag': 0, 'job_schedule': {
                **schedule, 'event': '', 'status': 'scheduled',
                'result': 'success', 'time_created': self.clock.now,
                'time_started': -1, 'time_ended': -1, **report}}, 200)
        return job_id

    def due(self, job_id: str) -> str | None:
        due: str | None = self.job(job_id).get('next_run_at')
        return due

    def drain(self) -> set[str]:
        """Claim until nothing is left to adopt, and return what ran."""
        ran: set[str] = set()
        for _ in range(20):
            ran |= {run['job_id'] for run in self.claim()['runs']}
        return ran

    def test_jobs_fire_on_their_old_phase(self) -> None:
        job_id = self.polled({'schedule_interval': '1 days'})
        self.clock.now += 10 * DAY + 7200
        self.assertEqual([], self.claim()['runs'])
        self.assertIsNone(self.due(job_id))

        self.register_central()
        self.assertEqual([], self.claim()['runs'])
        self.assertEqual('2027-01-26T08:00:00Z', self.due(job_id))
        self.clock.now = base.T0 + 11 * DAY
        self.assertEqual('2027-01-26T08:00:00Z',
                         self.one_run()['nominal_at'])
        self.assertEqual(1, len(self.runs(job_id)))

    def test_a_firing_between_the_two_is_run(self) -> None:
        """Invariant 2: no firing is lost in silence."""
        job_id = self.polled({'schedule_hour': '9'})
        self.clock.now += 5400
        self.register_central()
        run = self.one_run()
        self.assertEqual((job_id, '2027-01-15T09:00:00Z'),
                         (run['job_id'], run['nominal_at']))

    def test_every_job_some_at_a_time(self) -> None:
        jobs = {self.polled({'schedule_interval': '2 hours'})
                for _ in range(7)}
        for status in ('stop', 'completed'):
            self.polled({'schedule_interval': '2 hours'}, status=status)
        self.clock.now += 7000
        self.register_central()
        with mock.patch.object(adoption, 'BATCH', 2):
            self.claim()
            taken = sum(self.due(job_id) is not None for job_id in jobs)
            self.assertIn(taken, range(6, 8))
            self.assertEqual(set(), self.drain())
        self.assertEqual({'2027-01-15T10:00:00Z'}, set(map(self.due, jobs)))
        with self.database.read() as session:
            self.assertEqual([None], session.scalars(
                sa.select(models.Client.adoption_cursor)).all())
        self.clock.now = base.T0 + 7200
        self.assertEqual(jobs, self.drain())

    def test_what_a_user_does_meanwhile_counts(self) -> None:
        stopped, started, new = (
            self.polled({'schedule_interval': '1 days'}) for _ in range(3))
        self.call(base.MEMBER, 'POST', f'jobs/{stopped}/event',
                  {'stop': None}, 202)
        self.start(started)
        self.register_central()
        self.call(base.MEMBER, 'PATCH', f'jobs/{new}', {
            'job_schedule': {'schedule_interval': '2 days'}}, 200)
        self.assertEqual({started}, self.drain())
        self.assertEqual('stop', self.job(stopped)['job_schedule']['status'])
        self.assertIsNone(self.due(stopped))
        self.assertEqual('2027-01-17T08:00:00Z', self.due(new))

    def test_there_and_back_again(self) -> None:
        job_id = self.create_job()
        self.register_central()
        self.claim()
        self.register_central(claims=False)
        self.polled({'schedule_interval': '3 days'})
        self.clock.now += 100
        self.register_central()
        self.claim()
        self.assertEqual('2027-01-16T08:00:00Z', self.due(job_id))

    def test_many_projects_take_no_more_statements(self) -> None:
        """100,000 jobs of 5,000 projects took eight minutes to adopt."""
        for number in range(12):
            self.create_job(base.Persona(
                'u', f'project-{number}', ('member', 'reader')))
        with orm.Session(self.database.engine) as session, session.begin():
            session.execute(sa.delete(models.Queue).where(
                models.Queue.project_id == 'project-7'))
        self.register_central()
        asked: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str,
                 *_more: Any) -> None:
            if 'FROM queues' in statement:
                asked.append(statement)

        sa.event.listen(self.database.engine, 'before_cursor_execute', note)
        self.claim()
        self.assertLess(len(asked), 6, asked)
        with self.database.read() as session:
            noted = session.scalars(sa.select(models.Queue.project_id)).all()
        self.assertEqual({f'project-{number}' for number in range(12)},
                         set(noted))
        self.assertEqual(12, len(noted))

    def test_of_one_project_only(self) -> None:
        """Invariant 4: a project's scheduler takes no other's jobs."""
        client = {'client_id': 'host-1', 'hostname': 'h'}
        jobs = {}
        for person in (base.MEMBER, base.STRANGER):
            self.call(person, 'POST', 'clients', client, 201)
            jobs[person] = self.create_job(person, 'host-1')
        self.call(base.MEMBER, 'POST', 'clients',
                  {**client, 'claims': True}, 201)
        self.claim(client='host-1', persona=base.MEMBER)
        self.assertEqual('2027-01-16T08:00:00Z', self.due(jobs[base.MEMBER]))
        other = self.job(jobs[base.STRANGER], base.STRANGER)
        self.assertNotIn('next_run_at', other)


class MySQLTakeOverTests(base.MySQL, TakeOverTests):

    def test_only_a_batch_is_locked(self) -> None:
        """Invariant 8: whoever changes another job meanwhile just does."""
        jobs = sorted(self.polled({'schedule_interval': '2 hours'})
                      for _ in range(5))
        self.register_central()
        with (orm.Session(self.database.engine) as session,
              self.database.engine.connect() as other):
            client_id = session.scalars(sa.select(models.Client.id)).one()
            known = adoption.foresee(
                session, client_id, firing_plan.Rules(), self.clock.now, 2)
            self.assertTrue(adoption.adopt(
                session, client_id, known, self.clock.now, 2))
            session.flush()
            other.execute(sa.text('SET innodb_lock_wait_timeout = 1'))
            for job_id in jobs[2:]:
                other.execute(sa.update(models.Job).where(
                    models.Job.id == job_id).values(session_tag=7))
            other.commit()
            session.commit()
        self.assertEqual(7, self.job(jobs[-1])['session_tag'])


class PostgreSQLTakeOverTests(base.PostgreSQL, TakeOverTests):
    pass

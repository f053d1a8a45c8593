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

"""Sessions follow the runs of their jobs, from a round's start to its end."""

from __future__ import annotations

import itertools
from typing import Any

import sqlalchemy as sa

from freezer_api.db import models
from tests.functional import base

_PERSONAS = {'own': base.MEMBER, 'other': base.MEMBER,
             'central': base.SERVICE}


class RoundTests(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.register_central()
        for client in ('own', 'other'):
            self.call(base.MEMBER, 'POST', 'clients', {
                'client_id': client, 'hostname': client, 'claims': True},
                201)

    def create(self, **more: Any) -> str:
        session_id: str = self.call(base.MEMBER, 'POST', 'sessions', {
            'schedule': {'schedule_interval': '1 hours'}, **more}, 201)[
                'session_id']
        return session_id

    def put(self, session_id: str, *jobs: str) -> None:
        for job_id in jobs:
            self.call(base.MEMBER, 'PUT',
                      f'sessions/{session_id}/jobs/{job_id}', status=204)

    def made(self, *clients: str) -> tuple[str, ...]:
        """Return a session and jobs of clients in it."""
        session_id = self.create()
        jobs = [self.create_job(client=client) for client in clients]
        self.put(session_id, *jobs)
        return session_id, *jobs

    def show(self, session_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.call(
            base.MEMBER, 'GET', f'sessions/{session_id}', status=200)
        return shown

    def standing(self, session_id: str) -> tuple[Any, ...]:
        shown = self.show(session_id)
        return shown['session_tag'], shown['status'], shown['result']

    def take(self, client: str, **more: Any) -> dict[str, Any]:
        return self.one_run(client=client, persona=_PERSONAS[client], **more)

    def tell(self, run: dict[str, Any], state: str = 'success',
             **more: Any) -> None:
        client = run['client_id']
        self.report(run, state, client=client, persona=_PERSONAS[client],
                    **more)

    def test_jobs_of_two_clients_run_a_round(self) -> None:
        """One of a project's own scheduler, one of the central."""
        session_id, own, central = self.made('own', 'central')
        self.assertEqual((0, 'active', None), self.standing(session_id))
        self.clock.now += 3600
        first = self.take('own')
        self.assertEqual((1, 'running', ''), self.standing(session_id))
        self.clock.now += 5
        second = self.take('central')
        shown = self.show(session_id)
        self.assertEqual(base.T0 + 3600, shown['time_start'])
        self.assertEqual({'running'}, {
            member['status'] for member in shown['jobs'].values()})
        self.assertEqual(
            [1, 1], [self.job(job)['session_tag'] for job in (own, central)])
        self.tell(first)
        self.assertEqual((1, 'running', ''), self.standing(session_id))
        self.clock.now += 60
        self.tell(second)
        self.assertEqual((1, 'completed', 'success'),
                         self.standing(session_id))
        shown = self.show(session_id)
        self.assertEqual(base.T0 + 3665, shown['time_end'])
        self.assertEqual({
            'client_id': 'central', 'status': 'completed',
            'result': 'success', 'time_started': base.T0 + 3605,
            'time_ended': base.T0 + 3665}, shown['jobs'][central])

    def test_each_order_of_events(self) -> None:
        """A round fails if one of its jobs did not succeed, however late."""
        session_id, _, _ = self.made('own', 'other')
        states = {'own': 'fail', 'other': 'success'}
        orders = [order for order in itertools.permutations(
            [(client, what) for client in states
             for what in ('take', 'tell')])
            if all(order.index((client, 'take')) < order.index(
                (client, 'tell')) for client in states)]
        for number, order in enumerate(orders, 1):
            self.clock.now = base.T0 + 3600 * number
            held = {}
            for client, what in order:
                self.clock.now += 20
                if what == 'take':
                    held[client] = self.take(client)
                    self.assertEqual((number, 'running', ''),
                                     self.standing(session_id))
                else:
                    self.tell(held[client], states[client])
            self.assertEqual((number, 'completed', 'fail'),
                             self.standing(session_id), order)

    def test_intervals_count_from_the_session(self) -> None:
        """Else jobs made at different times would never run together."""
        session_id = self.create()
        jobs = []
        for client in ('own', 'other'):
            self.clock.now += 700
            jobs.append(self.create_job(client=client))
        self.put(session_id, *jobs)
        self.assertEqual(2 * ['2027-01-15T09:00:00Z'],
                         [self.job(job)['next_run_at'] for job in jobs])

    def test_a_run_belongs_to_the_round_of_its_time(self) -> None:
        """However late its scheduler comes; a hold-off is 30 seconds."""
        session_id, _, _ = self.made('own', 'other')
        self.clock.now += 3600
        self.tell(self.take('own'))
        self.assertEqual((1, 'completed', 'success'),
                         self.standing(session_id))
        self.clock.now += 1800
        run = self.take('other')
        self.assertEqual((1, 'running', ''), self.standing(session_id))
        self.tell(run, 'fail')
        self.assertEqual((1, 'completed', 'fail'), self.standing(session_id))

    def test_a_job_that_missed_a_round_takes_part_in_the_next(self) -> None:
        session_id, _, _ = self.made('own', 'other')
        self.clock.now += 3600
        self.tell(self.take('own'))
        self.clock.now += 2 * 3600 + 1
        for client, result in (('other', 'fail'), ('own', 'success')):
            self.tell(self.take(client), result)
        self.assertEqual((2, 'completed', 'fail'), self.standing(session_id))

    def test_of_two_runs_in_a_round_the_last_counts(self) -> None:
        session_id, job_id = self.made('own')
        self.clock.now += 3600
        self.tell(self.take('own'), 'fail')
        self.clock.now += 5
        self.start(job_id)
        self.tell(self.take('own'))
        self.assertEqual((1, 'completed', 'success'),
                         self.standing(session_id))

    def test_a_start_opens_a_round(self) -> None:
        session_id, job_id, _ = self.made('own', 'other')
        self.start(job_id)
        self.tell(self.take('own'))
        self.assertEqual((1, 'completed', 'success'),
                         self.standing(session_id))

    def test_a_run_that_goes_on_elsewhere_is_in_the_same_round(self) -> None:
        session_id, _, _ = self.made('own', 'other')
        self.clock.now += 3600
        run = self.take('own')
        before = self.show(session_id)
        self.pass_lease(client='own', persona=_PERSONAS['own'])
        again = self.take('own', scheduler='s2')
        self.assertEqual(run['run_id'], again['run_id'])
        self.assertEqual(before, self.show(session_id))
        self.tell(again, scheduler='s2')
        self.assertEqual((1, 'completed', 'success'),
                         self.standing(session_id))

    def test_a_run_without_a_trust_opens_no_round(self) -> None:
        session_id, job_id = self.made('central')
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'user_credentials': {}}, 200)
        self.clock.now += 3600
        self.assertEqual([], self.claim()['runs'])
        self.assertEqual('skipped', self.runs(job_id)[0]['state'])
        self.assertEqual((0, 'active', None), self.standing(session_id))

    def test_a_trust_that_stops_working_fails_the_round(self) -> None:
        session_id, _, _ = self.made('central', 'own')
        self.clock.now += 3600
        self.tell(self.take('own'))
        self.tell(self.take('central'), 'fail', cause='delegation_gone')
        self.assertEqual((1, 'completed', 'fail'), self.standing(session_id))

    def leaving(self, *request: Any) -> list[tuple[Any, ...]]:
        """Let one of two running jobs leave, then the other end."""
        session_id, leaver, _ = self.made('own', 'other')
        self.clock.now += 3600
        run, other = self.take('own'), self.take('other')
        method, path, body, status = request
        self.call(base.MEMBER, method,
                  path.format(session=session_id, job=leaver), body, status)
        seen = [self.standing(session_id)]
        self.tell(other)
        seen.append(self.standing(session_id))
        self.tell(run, 'fail')
        seen.append(self.standing(session_id))
        return seen

    def test_nobody_waits_for_a_job_that_leaves(self) -> None:
        """Nor does it matter how its run ends."""
        for request in (
                ('DELETE', 'sessions/{session}/jobs/{job}', None, 204),
                ('PATCH', 'jobs/{job}', {'session_id': ''}, 200),
                ('PUT', f'sessions/{self.create()}/jobs/{{job}}', None,
                 204)):
            self.assertEqual([(1, 'running', ''), (1, 'completed', 'success'),
                              (1, 'completed', 'success')],
                             self.leaving(*request), request)
            for job in self.call(base.MEMBER, 'GET', 'jobs',
                                 status=200)['jobs']:
                self.call(base.MEMBER, 'DELETE', f'jobs/{job["job_id"]}',
                          status=204)

    def test_the_last_one_to_leave_ends_the_round(self) -> None:
        session_id, _, second = self.made('own', 'other')
        self.clock.now += 3600
        self.tell(self.take('own'))
        self.take('other')
        self.call(base.MEMBER, 'DELETE',
                  f'sessions/{session_id}/jobs/{second}', status=204)
        self.assertEqual((1, 'completed', 'success'),
                         self.standing(session_id))

    def test_who_was_alone_leaves_no_round(self) -> None:
        session_id, job_id = self.made('own')
        self.clock.now += 3600
        self.take('own')
        self.call(base.MEMBER, 'DELETE',
                  f'sessions/{session_id}/jobs/{job_id}', status=204)
        self.assertEqual((1, 'active', ''), self.standing(session_id))

    def test_a_deleted_job_ends_its_part(self) -> None:
        session_id, job_id = self.made('own')
        self.clock.now += 3600
        run = self.take('own')
        self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}', status=204)
        self.assertEqual((1, 'running', ''), self.standing(session_id))
        self.tell(run, 'aborted')
        self.assertEqual((1, 'completed', 'fail'), self.standing(session_id))

    def test_a_session_is_followed_by_its_own_jobs_only(self) -> None:
        """Invariant 7: naming a session does not let a job into it."""
        session_id, _ = self.made('other')
        before = self.show(session_id)
        self.call(base.STRANGER, 'POST', 'clients', {
            'client_id': 'theirs', 'hostname': 'h', 'claims': True}, 201)
        for persona, client in ((base.STRANGER, 'theirs'),
                                (base.MEMBER, 'own')):
            self.create_job(persona, client, schedule={},
                            session_id=session_id)
            self.clock.now += 10
            run = self.one_run(client=client, persona=persona)
            self.report(run, 'fail', client=client, persona=persona)
        self.assertEqual(before, self.show(session_id))

    def test_what_a_session_holds_keeps_no_run_back(self) -> None:
        """Invariant 4: whatever its members have made of it."""
        last = 2 ** 31 - 1
        sessions = []
        for change in (
                {'session_tag': last}, {'hold_off': last},
                {'time_start': last}, {'status': 's' * 255},
                {'jobs': 60000 * 'x'}, {'jobs': {'status': [1]}},
                {'jobs': {'time_started': 10 ** 12, 'result': {}}}):
            session_id, job_id = self.made('own')
            sent: dict[str, Any] = dict(change)
            if isinstance(change.get('jobs'), str):
                sent = {'jobs': {job_id: {'more': 65300 * 'x'}}}
            elif 'jobs' in change:
                sent = {'jobs': {job_id: change['jobs']}}
            self.call(base.MEMBER, 'PATCH', f'sessions/{session_id}', sent,
                      200)
            sessions.append(session_id)
        self.clock.now += 3600
        for run in self.claim(client='own', persona=base.MEMBER)['runs']:
            self.tell(run)
        self.assertEqual(
            7 * [('scheduled', 'success')],
            [(job['job_schedule']['status'], job['job_schedule']['result'])
             for job in self.call(base.MEMBER, 'GET', 'jobs',
                                  status=200)['jobs']])
        self.assertEqual((last, 'completed', 'success'),
                         self.standing(sessions[0]))

    def test_members_that_do_not_fit_are_refused(self) -> None:
        session_id, first, second = self.made('own', 'own')
        for job_id, status in ((first, 200), (second, 400)):
            answer = self.call(
                base.MEMBER, 'PATCH', f'sessions/{session_id}',
                {'jobs': {job_id: {'more': 40000 * 'x'}}}, status)
        self.assertIn('jobs', answer['description'])

    def test_jobs_without_sessions_ask_for_none(self) -> None:
        """What is on the hot path costs them nothing."""
        self.create_job(client='own', schedule={})
        self.clock.now += 10
        asked: list[str] = []

        def note(connection: Any, cursor: Any, statement: str,
                 *rest: Any) -> None:
            asked.append(statement)

        sa.event.listen(self.database.engine, 'before_cursor_execute', note)
        self.tell(self.take('own'))
        self.assertEqual([], [one for one in asked if
                              models.Session.__tablename__ in one.split()])


class RoundTestsOnMySQL(base.MySQL, RoundTests):
    pass


class RoundTestsOnPostgreSQL(base.PostgreSQL, RoundTests):
    pass

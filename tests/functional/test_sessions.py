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

"""Sessions over HTTP."""

from __future__ import annotations

from typing import Any

from tests.functional import base


class SessionTests(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.register_central()
        for client, claims in (('own', True), ('stock', False)):
            self.call(base.MEMBER, 'POST', 'clients', {
                'client_id': client, 'hostname': client, 'claims': claims},
                201)

    def create(self, **more: Any) -> str:
        session_id: str = self.call(base.MEMBER, 'POST', 'sessions', {
            'schedule': {'schedule_interval': '1 hours'}, **more}, 201)[
                'session_id']
        return session_id

    def show(self, session_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.call(
            base.MEMBER, 'GET', f'sessions/{session_id}', status=200)
        return shown

    def act(self, session_id: str, action: str, status: int = 202,
            **said: Any) -> Any:
        return self.call(base.MEMBER, 'POST',
                         f'sessions/{session_id}/action', {action: said},
                         status)

    def test_shape(self) -> None:
        session_id = self.create(
            description='s', session_id='ignored', status='x', bogus=1,
            jobs=[], time_start=7)
        shown = self.show(session_id)
        self.assertEqual({
            'project_id': 'p1', 'session_id': session_id,
            'user_id': 'alice', 'description': 's', 'session_tag': 0,
            'hold_off': 30, 'status': 'active', 'result': None,
            'time_start': 7, 'time_end': -1, 'time_started': -1,
            'time_ended': -1,
            'schedule': {'schedule_interval': '1 hours'}}, shown)
        self.assertEqual({'sessions': [shown]}, self.call(
            base.MEMBER, 'GET', 'sessions', status=200))
        self.assertEqual({'sessions': []}, self.call(
            base.STRANGER, 'GET', 'sessions', status=200))

    def test_patch(self) -> None:
        session_id = self.create(description='s')
        before = self.show(session_id)
        # An unknown key is a 500 with upstream.
        self.assertEqual(
            {'session_id': session_id, 'version': 0}, self.call(
                base.MATE, 'PATCH', f'sessions/{session_id}',
                {'description': 't', 'bogus': 1, 'user_id': 'x',
                 'session_id': 'y'}, 200))
        self.assertEqual({**before, 'description': 't'},
                         self.show(session_id))
        self.call(base.MEMBER, 'PATCH', 'sessions/nope', {}, 404)
        self.call(base.STRANGER, 'PATCH', f'sessions/{session_id}', {}, 404)

    def test_replace(self) -> None:
        body = {'schedule': {}, 'session_tag': 3}
        self.assertEqual(
            {'session_id': 'mine', 'version': 'mine'}, self.call(
                base.MEMBER, 'POST', 'sessions/mine', body, 201))
        self.assertEqual(3, self.show('mine')['session_tag'])
        self.call(base.MATE, 'POST', 'sessions/mine',
                  {**body, 'session_tag': 4}, 201)
        self.assertEqual((4, 'alice'), (
            self.show('mine')['session_tag'], self.show('mine')['user_id']))
        self.call(base.STRANGER, 'POST', 'sessions/mine', body, 409)
        self.call(base.MEMBER, 'DELETE', 'sessions/mine', status=204)
        self.call(base.MEMBER, 'DELETE', 'sessions/mine', status=204)
        self.call(base.MEMBER, 'GET', 'sessions/mine', status=404)
        self.call(base.MEMBER, 'POST', 'sessions/mine', body, 409)

    def test_jobs_of_a_deleted_session_are_in_none(self) -> None:
        """With upstream they keep its ID, and a scheduler asks for it."""
        session_id, other_id = self.create(), self.create()
        jobs = [self.create_job(client=client)
                for client in ('own', 'stock', 'own')]
        for job_id, where in zip(
                jobs, (session_id, session_id, other_id), strict=True):
            self.call(base.MEMBER, 'PUT', f'sessions/{where}/jobs/{job_id}',
                      status=204)
        before = [self.job(job_id) for job_id in jobs]
        self.call(base.MEMBER, 'DELETE', f'sessions/{session_id}', status=204)
        self.assertEqual(
            [{**before[0], 'session_id': '', 'session_tag': 0},
             {**before[1], 'session_id': '', 'session_tag': 0}, before[2]],
            [self.job(job_id) for job_id in jobs])

    def test_a_job_enters_and_keeps_what_happened_to_it(self) -> None:
        """Upstream loses its status, event and times."""
        session_id = self.create()
        job_id = self.create_job(client='own')
        self.start(job_id)
        self.report(self.one_run(client='own', persona=base.MEMBER),
                    'success', client='own', persona=base.MEMBER)
        before = self.job(job_id)['job_schedule']
        self.call(base.MEMBER, 'PUT',
                  f'sessions/{session_id}/jobs/{job_id}', status=204)
        shown = self.job(job_id)
        self.assertEqual((session_id, 0),
                         (shown['session_id'], shown['session_tag']))
        self.assertEqual({**before, 'schedule_interval': '1 hours',
                          'schedule_start_date': '2027-01-15T09:00:00Z'},
                         shown['job_schedule'])
        self.assertEqual('2027-01-15T09:00:00Z', shown['next_run_at'])
        self.assertEqual({job_id: {
            'client_id': 'own', 'status': '', 'result': 'success',
            'time_started': base.T0, 'time_ended': base.T0}},
            self.show(session_id)['jobs'])

    def test_a_job_leaves_and_is_stopped(self) -> None:
        session_id = self.create()
        job_id = self.create_job(client='own')
        path = f'sessions/{session_id}/jobs/{job_id}'
        self.call(base.MEMBER, 'PUT', path, status=204)
        self.call(base.MEMBER, 'DELETE', path, status=204)
        shown = self.job(job_id)
        self.assertEqual(('', 0, 'stop'), (
            shown['session_id'], shown['session_tag'],
            shown['job_schedule']['status']))
        self.assertEqual('1 hours',
                         shown['job_schedule']['schedule_interval'])
        self.assertNotIn('next_run_at', shown)
        self.assertEqual({}, self.show(session_id)['jobs'])
        self.call(base.MEMBER, 'DELETE', path, status=204)

    def test_a_stock_schedulers_job_is_told_to_stop(self) -> None:
        session_id = self.create()
        job_id = self.create_job(client='stock')
        path = f'sessions/{session_id}/jobs/{job_id}'
        self.call(base.MEMBER, 'PUT', path, status=204)
        self.call(base.MEMBER, 'DELETE', path, status=204)
        self.assertEqual('stop',
                         self.job(job_id)['job_schedule']['event'])

    def test_what_is_not_there(self) -> None:
        """Upstream answers 500 to some, 400 to others."""
        session_id = self.create()
        job_id = self.create_job(client='own')
        for method in ('PUT', 'DELETE'):
            self.call(base.MEMBER, method, f'sessions/nope/jobs/{job_id}',
                      status=404)
            self.call(base.MEMBER, method,
                      f'sessions/{session_id}/jobs/nope', status=404)
        self.act('nope', 'start', 404, job_id=job_id, current_tag=0)
        self.act(session_id, 'start', 400, job_id=job_id, current_tag=0)
        theirs = self.create_job(persona=base.STRANGER)
        self.call(base.MEMBER, 'PUT',
                  f'sessions/{session_id}/jobs/{theirs}', status=404)

    def test_a_deleted_job_can_be_taken_out(self) -> None:
        session_id = self.create()
        job_id = self.create_job(client='own')
        path = f'sessions/{session_id}/jobs/{job_id}'
        self.call(base.MEMBER, 'PUT', path, status=204)
        self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}', status=204)
        self.call(base.MEMBER, 'DELETE', path, status=204)
        self.assertEqual({}, self.show(session_id)['jobs'])

    def test_whoever_puts_a_job_into_a_session_becomes_its_trustor(
            self) -> None:
        """Invariant 6: it runs at other times from then on."""
        session_id, job_id = self.create(), self.create_job()
        self.call(base.MATE, 'PUT',
                  f'sessions/{session_id}/jobs/{job_id}', status=204)
        self.assertEqual([('bob', 'p1')], list(self.trusts.live.values()))

    def test_actions(self) -> None:
        session_id = self.create()
        jobs = [self.create_job(client='stock') for _ in range(2)]
        for job_id in jobs:
            self.call(base.MEMBER, 'PUT',
                      f'sessions/{session_id}/jobs/{job_id}', status=204)
        self.assertEqual({'result': 'success', 'session_tag': 1}, self.act(
            session_id, 'start', job_id=jobs[0], current_tag=0))
        # Command lines send text.
        self.assertEqual({'result': 'success', 'session_tag': 1}, self.act(
            session_id, 'start', job_id=jobs[1], current_tag='0'))
        self.assertEqual('hold-off', self.act(
            session_id, 'start', job_id=jobs[0], current_tag=1)['result'])
        self.assertEqual(1, self.job(jobs[0])['session_tag'])
        self.clock.now += 10
        self.act(session_id, 'end', job_id=jobs[0], current_tag=1,
                 result='fail')
        self.assertEqual('running', self.show(session_id)['status'])
        self.act(session_id, 'end', job_id=jobs[1], current_tag=1,
                 result='success')
        shown = self.show(session_id)
        self.assertEqual(
            ('completed', 'fail', base.T0 + 10),
            (shown['status'], shown['result'], shown['time_end']))

    def test_a_job_that_is_behind_is_set_right_for_good(self) -> None:
        session_id = self.create()
        job_id = self.create_job(client='stock')
        self.call(base.MEMBER, 'PUT',
                  f'sessions/{session_id}/jobs/{job_id}', status=204)
        self.call(base.MEMBER, 'PATCH', f'sessions/{session_id}',
                  {'session_tag': 4, 'time_start': base.T0}, 200)
        self.clock.now += 60
        self.assertEqual('out-of-sync', self.act(
            session_id, 'start', job_id=job_id, current_tag=2)['result'])
        # A stock scheduler then writes back the tag that it knew.
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {
            'job_schedule': self.job(job_id)['job_schedule'],
            'session_id': session_id, 'session_tag': 2}, 200)
        self.assertEqual(4, self.job(job_id)['session_tag'])
        self.assertEqual('success', self.act(
            session_id, 'start', job_id=job_id, current_tag=4)['result'])

    def test_bad_actions_change_nothing(self) -> None:
        session_id = self.create()
        job_id = self.create_job(client='stock')
        self.call(base.MEMBER, 'PUT',
                  f'sessions/{session_id}/jobs/{job_id}', status=204)
        before = self.show(session_id)
        for action, said, status in (
                ('start', {}, 400), ('start', {'job_id': job_id}, 400),
                ('start', {'job_id': job_id, 'current_tag': 'x'}, 400),
                ('start', {'job_id': job_id, 'current_tag': 99}, 400),
                ('start', {'job_id': job_id, 'current_tag': None}, 400),
                ('end', {'job_id': job_id}, 400),
                ('end', {'job_id': job_id, 'result': 7}, 400),
                ('zz', {}, 405)):
            self.act(session_id, action, status, **said)
        bodies: tuple[Any, ...] = ({}, [], None, {'start': None},
                                   {'start': []}, {'end': 'x'})
        for body in bodies:
            self.call(base.MEMBER, 'POST', f'sessions/{session_id}/action',
                      body, 400)
        self.assertEqual(before, self.show(session_id))

    def test_a_refused_report_is_told_its_field(self) -> None:
        session_id = self.create()
        for said, field in (
                ({'start': None}, 'start'),
                ({'start': {'job_id': 1, 'current_tag': 0}}, 'start.job_id'),
                ({'end': {'job_id': 'j', 'result': 'x\0'}}, 'end.result')):
            answer = self.call(base.MEMBER, 'POST',
                               f'sessions/{session_id}/action', said, 400)
            self.assertIn(field, answer['description'])

    def test_bad_documents_change_nothing(self) -> None:
        for name, value in (
                ('schedule', None), ('schedule', {'bogus': 1}),
                ('schedule', {'schedule_interval': 'often'}),
                ('session_tag', 'x'), ('hold_off', -1),
                ('description', 'd' * 256), ('time_start', 2 ** 40)):
            answer = self.call(base.MEMBER, 'POST', 'sessions',
                               {'schedule': {}, name: value}, 400)
            self.assertIn(name, answer['description'])
        answer = self.call(base.MEMBER, 'POST', 'sessions', {'bogus': 1},
                           400)
        self.assertIn("'schedule' is a required property",
                      answer['description'])
        self.assertEqual([], self.call(
            base.MEMBER, 'GET', 'sessions', status=200)['sessions'])

    def test_readers_read(self) -> None:
        session_id = self.create()
        self.call(base.READER, 'GET', 'sessions', status=200)
        self.call(base.READER, 'GET', f'sessions/{session_id}', status=200)
        for method, path in (
                ('POST', 'sessions'), ('PATCH', f'sessions/{session_id}'),
                ('POST', f'sessions/{session_id}'),
                ('DELETE', f'sessions/{session_id}'),
                ('POST', f'sessions/{session_id}/action'),
                ('PUT', f'sessions/{session_id}/jobs/x'),
                ('DELETE', f'sessions/{session_id}/jobs/x')):
            self.call(base.READER, method, path, {}, 403)


class SessionTestsOnMySQL(base.MySQL, SessionTests):
    pass


class SessionTestsOnPostgreSQL(base.PostgreSQL, SessionTests):
    pass

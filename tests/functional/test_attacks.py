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

"""What a tenant may try: nobody else notices, and nothing answers 500."""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures
import json
from typing import Any
from unittest import mock

import sqlalchemy as sa

from freezer_api.db import leases
from freezer_api.db import models
from tests.functional import base

EVERY_SECOND = {'job_schedule': {'schedule_second': '*'}}


class TestAttacks(base.ApiTestCase):
    # A firing every second, to have two of one second.
    settings = {'scheduling': {'minimum_interval': 0}}

    def setUp(self) -> None:
        super().setUp()
        self.register_central()

    def status(self, method: str, path: str, body: object,
               persona: base.Persona = base.MEMBER) -> int:
        status: int = self.client.simulate_request(
            method, f'/v2/{persona.project_id}/{path}',
            body=json.dumps(body), extras=persona.environ()).status_code
        return status

    def at_once(self, work: Callable[[], int]) -> set[int]:
        """Return what several callers get who ask at one time."""
        with futures.ThreadPoolExecutor(4) as pool:
            return {one.result() for one in [
                pool.submit(work) for _ in range(4)]}

    def test_firing_named_again_does_not_stop_the_claims(self) -> None:
        job_id = self.create_job(base.STRANGER)
        self.start(job_id, base.STRANGER)
        self.report(self.one_run(), 'fail')
        # Within the same second.
        self.call(base.STRANGER, 'PATCH', f'jobs/{job_id}', EVERY_SECOND, 200)
        other = self.create_job()
        self.start(other)

        self.clock.now += 1
        claimed = self.claim()['runs']

        self.assertEqual({other, job_id}, {run['job_id'] for run in claimed})
        fired = [run['nominal_at'] for run in self.runs(
            job_id, base.STRANGER)]
        self.assertEqual(2, len(set(fired)), fired)

    def test_firing_named_again_lets_the_run_end(self) -> None:
        job_id = self.create_job()
        self.start(job_id)
        run = self.one_run()
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', EVERY_SECOND, 200)
        self.clock.now += 5

        self.report(run, 'success')

        self.assertEqual(['success'],
                         [one['state'] for one in self.runs(job_id)])

    def test_search_for_too_much_is_refused(self) -> None:
        for match in ([{f'k{number}': None for number in range(65)}],
                      [{'status': 'error'}] * 65,
                      [{'_all': json.dumps([{'status': 'error'}] * 65)}]):
            self.assertEqual(
                400, self.status('GET', 'backups', {'match': match}))

    def test_searches_of_many_kinds_take_no_room(self) -> None:
        """Each is another statement, of which each process keeps hundreds."""
        def search(*keys: str) -> int:
            self.call(base.MEMBER, 'GET', 'jobs', {'match': [
                {key: None} for key in keys]}, 200)
            return len(self.database.engine._compiled_cache or ())

        keys = ('job_id', 'status', 'event', 'result', 'next_run_at')
        before = search(*keys)
        for number in range(len(keys)):
            self.assertEqual(before, search(*keys, *keys[number:]))
        self.assertLess(before, search('status'))

    def test_search_for_any_text(self) -> None:
        for noun in ('actions', 'backups', 'clients', 'jobs'):
            for text in ('\0', '\ud800', '\U0001f600', 'x' * 70000):
                for key in ('_all', 'user_id', 'unheard_of', text):
                    status = self.status(
                        'GET', noun, {'match': [{key: text}]})
                    self.assertIn(status, (200, 400, 413),
                                  (noun, key, text[:9]))

    def test_any_text_as_an_id(self) -> None:
        report = {'scheduler_id': 's', 'limit': 1, 'lease_seconds': 10,
                  'fence': 1, 'state': 'fail'}
        bodies: dict[str, Any] = {
            'actions/{}': {'freezer_action': {'action': 'backup'}},
            'backups/{}': {'status': 'error'}, 'clients/{}': {},
            'clients/{}/claims': report, 'clients/central/runs/{}': report,
            'jobs/{}': {'description': 'x'}, 'jobs/{}/event': {'start': None},
            'jobs/{}/runs': {}}
        for text in ('%00', '%ED%A0%80', '%FF', 'x' * 5000):
            for path, body in bodies.items():
                for method in ('DELETE', 'GET', 'PATCH', 'POST'):
                    for persona in (base.MEMBER, base.SERVICE):
                        self.assertLess(self.status(
                            method, path.format(text), body, persona),
                            500, (method, path, text[:9]))

    def test_texts_beyond_the_basic_plane(self) -> None:
        job_id = self.create_job(description='\U0001f600')

        self.assertEqual('\U0001f600', self.job(job_id)['description'])

    def test_same_id_at_once(self) -> None:
        for number in range(5):
            job = {'job_id': f'job-{number}', 'client_id': 'central',
                   'job_actions': [{'freezer_action': base.BACKUP}]}
            action = {'action_id': f'action-{number}',
                      'freezer_action': base.BACKUP}
            self.assertLessEqual(self.at_once(
                lambda job=job: self.status('POST', 'jobs', job)), {201, 409})
            self.assertLessEqual(self.at_once(
                lambda action=action: self.status('POST', 'actions', action)),
                {201, 409})

    def test_first_jobs_of_a_user_at_once(self) -> None:
        for number in range(5):
            user = base.Persona(f'user-{number}', 'p1', ('member', 'reader'))
            job = {'client_id': 'central',
                   'job_actions': [{'freezer_action': base.BACKUP}]}
            self.assertEqual({201}, self.at_once(
                lambda user=user, job=job: self.status(
                    'POST', 'jobs', job, user)))

        self.assertEqual(5, len(self.trusts.live))

    def test_run_ended_by_the_api_closes_its_records(self) -> None:
        job_id = self.create_job()
        self.start(job_id)
        run = self.one_run()
        [action] = run['job']['job_actions']
        backup_id = 'a' * 32
        self.report(
            run, backups=[{'backup_id': backup_id, 'status': 'creating',
                           'backup_metadata': {}}],
            actions=[{'action_id': action['action_id'], 'position': 0,
                      'state': 'submitted', 'backup_id': backup_id}])
        self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}', status=204)
        with self.database.engine.begin() as connection:
            connection.execute(sa.update(models.Delegation).values(
                trust_id=''))
        self.pass_lease()

        self.claim()

        backup = self.call(base.MEMBER, 'GET', f'backups/{backup_id}')
        self.assertEqual('error', backup['status'])

    def test_job_moved_away_from_a_dead_scheduler_runs(self) -> None:
        self.call(base.MEMBER, 'POST', 'clients', {
            'client_id': 'own', 'hostname': 'h', 'claims': True}, 201)
        job_id = self.create_job(client='own')
        self.start(job_id)
        self.one_run(client='own', persona=base.MEMBER)
        self.clock.now += 4000
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'client_id': 'central'}, 200)
        self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event',
                  {'abort': None}, 202)
        # The first start resumes the schedule of a stopped job.
        self.start(job_id)
        self.start(job_id)

        self.assertEqual(job_id, self.one_run()['job_id'])

    def test_other_definition_of_the_same_action_is_refused(self) -> None:
        job_id = self.create_job()
        [action] = self.job(job_id)['job_actions']
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {'job_actions': [
            {'action_id': action['action_id'], 'freezer_action': {
                **base.BACKUP, 'cindernative_vol_id': 'other'}}]}, 422)

    def test_times_of_a_session_stop_nobody_elses_runs(self) -> None:
        """No column holds what the round would end at."""
        session_id = self.call(base.MEMBER, 'POST', 'sessions', {
            'schedule': {'schedule_interval': '1 days'}}, 201)['session_id']
        jobs = [self.create_job() for _ in range(3)]
        for job_id in jobs:
            self.call(base.MEMBER, 'PUT',
                      f'sessions/{session_id}/jobs/{job_id}', status=204)
        self.call(base.MEMBER, 'PATCH', f'jobs/{jobs[1]}',
                  {'user_credentials': {}}, 200)
        for job_id in jobs[:2]:
            self.start(job_id)
        self.call(base.MEMBER, 'PATCH', f'sessions/{session_id}', {
            'status': 'running', 'jobs': {
                jobs[1]: {'status': 'running'},
                jobs[2]: {'time_ended': 2 ** 62, 'time_started': 2 ** 62}}},
            200)
        other = self.create_job(base.STRANGER)
        self.start(other, base.STRANGER)

        runs = {run['job_id']: run for run in self.claim()['runs']}

        self.assertEqual({jobs[0], other}, set(runs))
        self.report(runs[jobs[0]], 'success')
        self.assertEqual('skipped', self.runs(jobs[1])[0]['state'])
        self.assertEqual('completed', self.call(
            base.MEMBER, 'GET', f'sessions/{session_id}')['status'])

    @mock.patch.object(leases, '_CLIENTS', 5)
    def test_a_crowd_of_clients_does_not_hold_up_maintenance(self) -> None:
        with self.database.engine.begin() as connection:
            connection.execute(sa.insert(models.Queue), [
                {'id': f'{number}', 'client_id': f'own-{number:03}',
                 'project_id': 'p2'} for number in range(17)])
        self.call(base.MEMBER, 'POST', 'clients', {
            'client_id': 'z-own', 'hostname': 'h', 'claims': True}, 201)
        for client, persona in (('central', base.SERVICE),
                                ('z-own', base.MEMBER)):
            self.start(self.create_job(client=client))
            self.one_run(client=client, persona=persona)
        self.clock.now += 604_800 + 60

        ended = [self.call(base.SERVICE, 'POST', 'maintenance', {}, 200)[
            'runs_abandoned'] for _ in range(5)]

        # There are 19 of them, and those of all are looked at each time.
        self.assertEqual([1, 0, 0, 1, 0], ended)

    def test_lease_of_another_project_is_not_renewed(self) -> None:
        for persona in (base.MEMBER, base.STRANGER):
            self.call(persona, 'POST', 'clients', {
                'client_id': 'own', 'hostname': 'h', 'claims': True}, 201)
        job_id = self.create_job(client='own')
        self.start(job_id)
        run = self.one_run(client='own', persona=base.MEMBER)

        answer = self.claim(
            client='own', persona=base.STRANGER,
            held=[{'run_id': run['run_id'], 'fence': 1}])

        self.assertEqual([run['run_id']], answer['lost'])


class TestAttacksMySQL(base.MySQL, TestAttacks):
    pass


class TestAttacksPostgreSQL(base.PostgreSQL, TestAttacks):
    pass

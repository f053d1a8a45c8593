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

"""How much each request of a tenant does between its first lock and its end.

Counted in statements and rows, which a busy machine does not change.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from freezer_api import app
from tests.functional import base

# Between the first lock of a transaction and its commit.
MOST_STATEMENTS = 60
MOST_ROWS = 500

# What schedulers and operators send; see test_claim_bounds.
OF_SCHEDULERS = {
    ('POST', '/v2/{project_id}/clients/{client_id}/claims'),
    ('POST', '/v2/{project_id}/clients/{client_id}/reports'),
    ('POST', '/v2/{project_id}/clients/{client_id}/runs/{run_id}/jobs'),
    ('PATCH', '/v2/{project_id}/clients/{client_id}/runs/{run_id}'),
    ('POST', '/v2/{project_id}/maintenance')}

# About the largest document of an action, and of a job with its actions.
LARGE = {**base.BACKUP, **{f'key_{n}': 'v' * 60 for n in range(180)}}
BACKUP_RECORD = {
    'container': 'c', 'hostname': 'h', 'backup_name': 'b', 'time_stamp': 1,
    'curr_backup_level': 0, 'client_id': 'mine', 'level': 0, 'job_id': 'j'}
LARGE_JOB = {
    'client_id': 'central', 'description': 'd' * 255,
    'job_schedule': {'schedule_interval': '1 days'},
    'job_actions': [{'freezer_action': {**base.BACKUP, 'backup_name': f'b{n}'},
                     'max_retries': 1} for n in range(100)]}


class _LockTime:
    """Counts what transactions do while they hold locks.

    Most rows that are locked are written afterwards, so that the two are
    counted apart.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.statements = self.locked = self.written = 0
        self._now = [0, 0, 0]
        sa.event.listen(engine, 'begin', self._begin)
        sa.event.listen(engine, 'after_cursor_execute', self._executed)

    def _begin(self, connection: Any) -> None:
        self._now = [0, 0, 0]

    def _executed(self, connection: Any, cursor: Any, statement: str,
                  *rest: Any) -> None:
        now, rows = self._now, max(0, cursor.rowcount)
        locks = 'FOR UPDATE' in statement
        writes = not statement.startswith(('SELECT', 'BEGIN'))
        if now[0] or locks or writes:
            now[0] += 1
            now[1] += rows * locks
            now[2] += rows * writes
        self.statements = max(self.statements, now[0])
        self.locked = max(self.locked, now[1])
        self.written = max(self.written, now[2])


class LockTimeTests(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.register_central()
        self.job_id = self.create_job()
        self.action = self.made('actions', {'freezer_action': base.BACKUP})
        self.session = self.made('sessions', {
            'description': 'all', 'schedule': {}})
        self.backup = self.made('backups', BACKUP_RECORD)
        # Many jobs share the session and the action.
        for _ in range(30):
            job_id = self.made('jobs', {
                'client_id': 'central', 'job_schedule': {},
                'job_actions': [{'action_id': self.action}]})
            self.call(base.MEMBER, 'PUT',
                      f'sessions/{self.session}/jobs/{job_id}', status=204)

    def made(self, noun: str, body: dict[str, Any]) -> str:
        answer = self.call(base.MEMBER, 'POST', noun, body, 201)
        return str(answer[f'{noun[:-1]}_id'])

    def requests(self) -> dict[tuple[str, str], list[tuple[str, Any]]]:
        """Return paths and bodies of each operation that writes."""
        v2 = '/v2/{project_id}'
        job, action = f'jobs/{self.job_id}', f'actions/{self.action}'
        session = f'sessions/{self.session}'
        client = {'client_id': 'mine', 'hostname': 'host', 'claims': True,
                  'description': 'd' * 255}
        return {
            ('POST', f'{v2}/clients'): [('clients', client)],
            ('DELETE', f'{v2}/clients/{{client_id}}'): [
                ('clients/mine', None)],
            ('POST', f'{v2}/jobs'): [('jobs', LARGE_JOB), ('jobs', {
                **LARGE_JOB, 'job_actions': [{'freezer_action': LARGE}] * 4})],
            ('POST', f'{v2}/jobs/{{job_id}}'): [(job, LARGE_JOB)],
            ('PATCH', f'{v2}/jobs/{{job_id}}'): [
                (job, LARGE_JOB),
                (job, {'job_schedule': {'schedule_minute': '*/5'}})],
            ('POST', f'{v2}/jobs/{{job_id}}/event'): [
                (f'{job}/event', {event: None})
                for event in ('start', 'stop', 'abort')],
            ('PUT', f'{v2}/sessions/{{session_id}}/jobs/{{job_id}}'): [
                (f'{session}/jobs/{self.job_id}', None)],
            ('DELETE', f'{v2}/sessions/{{session_id}}/jobs/{{job_id}}'): [
                (f'{session}/jobs/{self.job_id}', None)],
            ('DELETE', f'{v2}/jobs/{{job_id}}'): [(job, None)],
            ('POST', f'{v2}/actions'): [
                ('actions', {'freezer_action': LARGE})],
            ('POST', f'{v2}/actions/{{action_id}}'): [
                (action, {'freezer_action': LARGE})],
            ('PATCH', f'{v2}/actions/{{action_id}}'): [
                (action, {'freezer_action': LARGE})],
            ('DELETE', f'{v2}/actions/{{action_id}}'): [(action, None)],
            ('POST', f'{v2}/backups'): [
                ('backups', {**BACKUP_RECORD, **LARGE})],
            ('PATCH', f'{v2}/backups/{{backup_id}}'): [
                (f'backups/{self.backup}', {'backup_metadata': LARGE})],
            ('DELETE', f'{v2}/backups/{{backup_id}}'): [
                (f'backups/{self.backup}', None)],
            ('POST', f'{v2}/sessions'): [('sessions', {
                'description': 'd' * 255, 'schedule': {}})],
            ('POST', f'{v2}/sessions/{{session_id}}'): [(session, {
                'description': 'd' * 255, 'schedule': {}})],
            ('PATCH', f'{v2}/sessions/{{session_id}}'): [
                (session, {'description': 'd' * 255})],
            ('POST', f'{v2}/sessions/{{session_id}}/action'): [
                (f'{session}/action', {'start': {
                    'job_id': self.job_id, 'current_tag': 0}})],
            ('DELETE', f'{v2}/sessions/{{session_id}}'): [(session, None)],
        }

    def test_each_request_is_bounded(self) -> None:
        """Invariant 4: for each route and verb that a tenant can call."""
        requests = self.requests()
        self.assertEqual({
            (verb.upper(), path)
            for path, verbs in app.openapi()['paths'].items()
            for verb in verbs if verb in ('post', 'put', 'patch', 'delete')
            } - OF_SCHEDULERS, set(requests))
        wrote = 0
        for operation, sent in requests.items():
            for path, body in sent:
                counted = _LockTime(self.database.engine)
                result = self.client.simulate_request(
                    operation[0], f'/v2/p1/{path}', json=body,
                    extras=base.MEMBER.environ())
                with self.subTest(operation=operation):
                    self.assertLess(result.status_code, 500, result.text)
                    self.assertLessEqual(counted.statements, MOST_STATEMENTS)
                    self.assertLessEqual(counted.locked, MOST_ROWS)
                    self.assertLessEqual(counted.written, MOST_ROWS)
                    wrote += result.status_code < 300
        # The few others are refused, and have no locks to hold.
        self.assertGreater(wrote, 20)


class LockTimeOnMySQLTests(base.MySQL, LockTimeTests):
    pass


class LockTimeOnPostgreSQLTests(base.PostgreSQL, LockTimeTests):
    pass

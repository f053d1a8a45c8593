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

"""Reports of several runs with one request."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from tests.functional import base
from tests.functional import test_claims


class ReportsTests(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.register_central()

    def claimed(self, number: int) -> list[dict[str, Any]]:
        for _ in range(number):
            self.start(self.create_job())
        runs: list[dict[str, Any]] = self.claim(limit=number)['runs']
        self.assertEqual(number, len(runs))
        return runs

    def said(self, run: dict[str, Any], state: str = 'running',
             **more: Any) -> dict[str, Any]:
        return {'run_id': run['run_id'], 'fence': run['fence'],
                'state': state, 'reason': None, 'actions': [],
                'backups': [], **more}

    def send(self, *said: dict[str, Any], scheduler: str = 's1',
             status: int = 200) -> Any:
        return self.call(
            base.SERVICE, 'POST', 'clients/central/reports',
            {'scheduler_id': scheduler, 'reports': list(said)}, status)

    def records(self) -> dict[str, str]:
        return {one['backup_id']: one['status'] for one in self.call(
            base.MEMBER, 'GET', 'backups', status=200)['backups']}

    def test_each_report_is_stored_as_if_it_came_alone(self) -> None:
        begun, ended, failed = self.claimed(3)
        backup = {'backup_id': 'a' * 32, 'status': 'creating',
                  'backup_metadata': {'backup_name': 'n'}}
        answer = self.send(
            self.said(begun, actions=[test_claims.step()], backups=[backup]),
            self.said(ended, 'success', backups=[
                {**backup, 'backup_id': 'b' * 32, 'status': 'available'}]),
            self.said(failed, 'fail', reason='no quota'))
        self.assertEqual(({'lost': [], 'reports': [
            {'run_id': run['run_id'], 'event': None}
            for run in (begun, ended, failed)]}), answer)
        self.assertEqual({'a' * 32: 'creating', 'b' * 32: 'available'},
                         self.records())
        self.assertEqual(
            [('running', None), ('success', None), ('fail', 'no quota')],
            [(one['state'], one['reason'])
             for run in (begun, ended, failed)
             for one in self.runs(run['job_id'])])
        # A record that is there is changed, not made again.
        self.send(self.said(begun, 'success', backups=[
            {**backup, 'status': 'available'}]))
        self.assertEqual('available', self.records()['a' * 32])

    def test_a_stale_fence_changes_nothing_and_harms_no_other(self) -> None:
        """Invariant 4: one run that was lost leaves the others alone."""
        good, stale, ended = self.claimed(3)
        self.report(ended, 'success')
        record = {'backup_id': 'c' * 32, 'status': 'available'}
        answer = self.send(
            self.said({**stale, 'fence': 2}, 'fail', backups=[record]),
            self.said(ended, 'fail', backups=[record]),
            self.said({**stale, 'run_id': 'unknown'}, 'fail'),
            self.said(good, 'success'))
        self.assertEqual([good['run_id']],
                         [one['run_id'] for one in answer['reports']])
        self.assertEqual(
            [stale['run_id'], ended['run_id'], 'unknown'], answer['lost'])
        self.assertEqual({}, self.records())
        self.assertEqual(
            ['success', 'running', 'success'],
            [self.runs(run['job_id'])[0]['state']
             for run in (good, stale, ended)])

    def test_the_last_word_on_a_run_counts(self) -> None:
        [run] = self.claimed(1)
        answer = self.send(self.said(run, 'success'), self.said(run, 'fail'))
        self.assertEqual([], answer['lost'])
        self.assertEqual('success', self.runs(run['job_id'])[0]['state'])

    def test_of_reports_one_of_which_is_refused_none_is_stored(self) -> None:
        good, bad = self.claimed(2)
        answer = self.send(
            self.said(good, 'success'), self.said(bad, 'no state'), status=400)
        self.assertIn('reports.1.state', answer['description'])
        self.assertEqual('running', self.runs(good['job_id'])[0]['state'])

    def test_events_come_back(self) -> None:
        calm, aborted = self.claimed(2)
        self.call(base.MEMBER, 'POST', f'jobs/{aborted["job_id"]}/event',
                  {'abort': None}, 202)
        answer = self.send(self.said(calm), self.said(aborted))
        self.assertEqual([None, 'abort'],
                         [one['event'] for one in answer['reports']])

    def test_many_take_no_more_statements_than_one(self) -> None:
        statements: list[str] = []

        def count(number: int) -> int:
            runs = self.claimed(number)
            del statements[:]
            self.send(*(self.said(
                run, 'success', actions=[test_claims.step()],
                backups=[{'backup_id': run['run_id'],
                          'status': 'available'}]) for run in runs))
            return len(statements)

        sa.event.listen(
            self.database.engine, 'before_cursor_execute',
            lambda _connection, _cursor, statement, *_rest:
            statements.append(statement))
        self.assertEqual(count(1), count(20))


class ReportsOnMySQLTests(base.MySQL, ReportsTests):
    pass


class ReportsOnPostgreSQLTests(base.PostgreSQL, ReportsTests):
    pass

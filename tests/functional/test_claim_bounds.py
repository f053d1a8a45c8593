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

"""A claim's answer and its transactions are bounded, whatever is due."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

import sqlalchemy as sa

from freezer_api.db import claim_sizes
from freezer_api.db import models
from tests.functional import base

CROWD = base.Persona('carl', 'p7', ('member', 'reader'))
LARGE = 'x' * 12_500


class _Rows:
    """Counts the rows that each transaction locks or writes."""

    def __init__(self, engine: sa.Engine) -> None:
        self.most = self._now = 0
        sa.event.listen(engine, 'begin', self._begin)
        sa.event.listen(engine, 'after_cursor_execute', self._executed)

    def _begin(self, connection: Any) -> None:
        self._now = 0

    def _executed(self, connection: Any, cursor: Any, statement: str,
                  *rest: Any) -> None:
        if not statement.startswith('SELECT') or 'FOR UPDATE' in statement:
            # A row that is locked and then written counts twice.
            self._now += max(0, cursor.rowcount)
            self.most = max(self.most, self._now)


class ClaimBoundsTests(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.register_central()
        self.claim(limit=0)

    def answer(self, limit: int = 1000, **more: Any) -> tuple[Any, int]:
        """Claim, and return the answer and its length."""
        result = self.client.simulate_post(
            '/v2/svc/clients/central/claims', json={
                'scheduler_id': 's1', 'limit': limit, 'lease_seconds': 600,
                'held': [], **more}, extras=base.SERVICE.environ())
        self.assertEqual(200, result.status_code, result.text)
        return result.json, len(result.content)

    def large(self, number: int, actions: int = 4,
              persona: base.Persona = CROWD) -> list[str]:
        """Create due jobs whose documents are large."""
        made = []
        for n in range(number):
            job = {'client_id': 'central', 'job_schedule': {'event': 'start'},
                   'job_actions': [{'freezer_action': {
                       **base.BACKUP, 'description': f'{LARGE}{n}{position}'}}
                       for position in range(actions)]}
            made.append(self.call(persona, 'POST', 'jobs', job, 201)['job_id'])
        return made

    def grow(self, job_id: str, size: int) -> None:
        """Make a job's first action as large as rows of former releases."""
        with self.database.engine.begin() as connection:
            [first, *_] = connection.scalars(
                sa.select(models.JobAction.action_id).where(
                    models.JobAction.job_id == job_id))
            connection.execute(sa.update(models.Action).where(
                models.Action.id == first).values(backup_metadata={
                    **base.BACKUP, 'description': 'y' * size}))

    def test_an_answer_ends_early_and_loses_nothing(self) -> None:
        """Invariant 4: what does not fit stays due, and projects take turns.
        """
        self.terms_follow = False
        wanted = {*self.large(95, 4)}
        lonely = self.create_job(schedule={})
        self.start(lonely)
        claimed: list[str] = []
        answers = 0
        while True:
            answer, length = self.answer()
            self.assertLessEqual(length, 4 * 2 ** 20)
            ids = [run['job_id'] for run in answer['runs']]
            claimed += ids
            answers += 1
            if answers == 1:
                self.assertIn(lonely, ids)
                self.assertGreater(length, 3 * 2 ** 20)
            if not answer['more']:
                break
            self.assertIsNotNone(answer['due_since'])
            with self.database.read() as session:
                # No run was claimed that is not in an answer.
                self.assertEqual(len(claimed), session.scalar(
                    sa.select(sa.func.count()).select_from(models.JobRun)))
        self.assertGreater(answers, 1)
        self.assertEqual(sorted({*wanted, lonely}), sorted(claimed))

    def test_a_job_that_is_too_large_is_handed_out_alone(self) -> None:
        self.terms_follow = False
        [first, *rest] = self.large(3, 1)
        with mock.patch.object(claim_sizes.fitting, '__defaults__',
                               (40_000,)):
            self.grow(first, 60_000)
            sizes = [[run['job_id'] for run in self.answer()[0]['runs']]
                     for _ in range(4)]
        self.assertEqual(sorted([first, *rest]), sorted(
            job_id for ids in sizes for job_id in ids))
        self.assertIn([first], sizes)
        self.assertEqual([], sizes[-1])

    def test_reported_steps_count_when_a_run_is_reclaimed(self) -> None:
        jobs = self.large(2, 1)
        runs = self.answer()[0]['runs']
        steps = [{'action_id': 'a', 'position': n, 'state': 'success',
                  'tries': 1, 'reason': 'z' * 4000} for n in range(16)]
        for run in runs:
            self.report(run, actions=steps)
        self.expire()
        with mock.patch.object(claim_sizes.fitting, '__defaults__',
                               (100_000,)):
            first, second = self.answer()[0], self.answer()[0]
        self.assertEqual([(1, True), (1, False)], [
            (len(one['runs']), one['more']) for one in (first, second)])
        self.assertEqual(sorted(jobs), sorted(
            one['runs'][0]['job_id'] for one in (first, second)))

    def test_sizes_are_on_the_safe_side(self) -> None:
        """An estimate is never less than what is answered."""
        self.call(CROWD, 'POST', 'jobs', {
            'client_id': 'central', 'description': '\U0001f600' * 200,
            'job_schedule': {'event': 'start', 'schedule_interval': '1 days'},
            'job_actions': [{'freezer_action': {
                **base.BACKUP, 'description': '\u00e4\u20ac' * 600}}
                for _ in range(3)]}, 201)
        self.start(self.create_job(schedule={}))
        self.large(2)
        sizes: list[int] = []
        real = claim_sizes._jobs

        def noted(*args: Any) -> Any:
            found = real(*args)
            sizes.append(sum(found.values()) + 2048 * len(found))
            return found

        with mock.patch.object(claim_sizes, '_jobs', noted):
            answer, length = self.answer()
        self.assertEqual(4, len(answer['runs']))
        self.assertGreater(sum(sizes), len(json.dumps(answer['runs'])) - 8000)
        self.assertGreater(sum(sizes), length - 1000)

    def test_a_transaction_touches_a_bounded_number_of_rows(self) -> None:
        """Invariant 4: 500 due jobs of one tenant, and 500 expired leases."""
        self.settle(550)
        rows = _Rows(self.database.engine)
        first, _ = self.answer(limit=500)
        self.assertEqual(500, len(first['runs']))
        # Each job and run is locked, written and recorded once.
        self.assertLessEqual(rows.most, 1000)
        self.expire()
        rows.most = 0
        second, _ = self.answer(limit=600)
        self.assertEqual(550, len(second['runs']))
        self.assertLessEqual(rows.most, 1000)
        rows.most = 0
        self.call(base.SERVICE, 'POST', 'clients/central/reports', {
            'scheduler_id': 's1', 'reports': [
                {'run_id': run['run_id'], 'fence': run['fence'],
                 'state': 'success'} for run in second['runs'][:500]]}, 200)
        self.assertLessEqual(rows.most, 1000)

    def test_a_run_that_is_given_up_names_few_backups(self) -> None:
        """Invariant 4: a tenant's report could name 700 of them."""
        self.call(CROWD, 'POST', 'clients', {
            'client_id': 'own', 'claims': True}, 201)
        self.start(self.create_job(persona=CROWD, client='own'), CROWD)
        run = self.one_run(client='own', persona=CROWD)
        most = 0
        for number in (700, 500, 401, 400):
            ids = [f'{one:032x}' for one in range(number)]
            document = {
                'scheduler_id': 's1', 'fence': run['fence'],
                'state': 'running', 'actions': [{
                    'action_id': 'a', 'position': start, 'state': 'pending',
                    'parts': [{'state': 'pending', 'volume_id': 'v',
                               'backup_id': one}
                              for one in ids[start:start + 250]]}
                    for start in range(0, number, 250)]}
            path = f'/v2/p7/clients/own/runs/{run["run_id"]}'
            answer = self.client.simulate_patch(
                path, json=document, extras=CROWD.environ())
            if answer.status_code == 200:
                most = number
                break
            self.assertEqual(400, answer.status_code)
            self.assertIn('actions', answer.json['description'])
            self.assertIn('400', answer.json['description'])
        self.assertEqual(400, most)
        for start in range(0, most, 200):
            self.report(run, client='own', persona=CROWD,
                        actions=document['actions'], backups=[
                            {'backup_id': one, 'status': 'creating'}
                            for one in ids[start:start + 200]])
        self.clock.now += 604_800 + 3600
        rows = _Rows(self.database.engine)
        answer = self.call(base.SERVICE, 'POST', 'maintenance', {}, 200)
        self.assertEqual(1, answer['runs_abandoned'])
        # Each is locked and written.
        self.assertLessEqual(rows.most, 1000)
        with self.database.engine.connect() as connection:
            self.assertEqual([('error', most)], connection.execute(
                sa.select(models.Backup.status, sa.func.count())
                .group_by(models.Backup.status)).all())

    def test_a_session_whose_members_all_start_is_written_a_few_times(
            self) -> None:
        """Invariant 4: not once for each member, which would be quadratic."""
        self.settle(300)
        session_id = self.call(CROWD, 'POST', 'sessions', {
            'description': 'all', 'schedule': {}}, 201)['session_id']
        member = {'client_id': 'central', 'status': '', 'result': '',
                  'time_started': -1, 'time_ended': -1}
        with self.database.engine.begin() as connection:
            jobs = connection.scalars(sa.select(models.Job.id)).all()
            connection.execute(sa.update(models.Job).values(
                session_id=session_id))
            connection.execute(sa.update(models.Session).values(
                job=dict.fromkeys(jobs, member)))
        self.terms_follow = False
        written: list[str] = []

        def note(connection: Any, cursor: Any, statement: str,
                 *rest: Any) -> None:
            if statement.startswith('UPDATE sessions SET job'):
                written.append(statement)

        sa.event.listen(self.database.engine, 'before_cursor_execute', note)
        answer, _ = self.answer(limit=500)
        self.assertEqual(300, len(answer['runs']))
        self.assertLessEqual(len(written), 3)
        session = self.call(CROWD, 'GET', f'sessions/{session_id}',
                            status=200)
        self.assertEqual({'running'}, {
            one['status'] for one in session['jobs'].values()})
        self.assertEqual(('running', 1), (
            session['status'], session['session_tag']))

    def expire(self) -> None:
        """Have leases expire while another scheduler is there."""
        for _ in range(20):
            self.claim(limit=0, scheduler='idle')
            self.clock.now += 35

    def settle(self, number: int) -> None:
        """Make a tenant have many due jobs that share one action."""
        # Copies of rows are made past the API, which counts them.
        self.usage_follows = False
        first = self.create_job(persona=CROWD, schedule={})
        self.start(first, CROWD)
        tables = models.Base.metadata.tables
        with self.database.engine.begin() as connection:
            for name, key in (('jobs', 'id'), ('job_actions', 'job_id'),
                              ('user_credentials', 'job_id')):
                row = dict(connection.execute(sa.select(tables[name]).where(
                    tables[name].c[key] == first)).mappings().one())
                connection.execute(sa.insert(tables[name]), [
                    {**row, 'id': f'{n:032x}', key: f'{n:032x}'}
                    for n in range(1, number)])


class ClaimBoundsOnMySQLTests(base.MySQL, ClaimBoundsTests):
    pass


class ClaimBoundsOnPostgreSQLTests(base.PostgreSQL, ClaimBoundsTests):
    pass

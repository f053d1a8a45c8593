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

"""Schedulers ask which jobs exist, before retention removes backups."""

from __future__ import annotations

from typing import Any
from unittest import mock

from freezer_api.db import engine
from freezer_api.schemas import claims as schema
from tests.functional import base

OTHER = base.Persona('u9', 'p9', ('member', 'reader'))


class RunJobsTests(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.register_central()
        self.job_id = self.create_job()
        self.start(self.job_id)
        self.run_ = self.one_run()

    def ask(self, *job_ids: str, status: int = 200, scheduler: str = 's1',
            fence: int = 1, run_id: str | None = None) -> Any:
        return self.call(
            base.SERVICE, 'POST',
            f'clients/central/runs/{run_id or self.run_["run_id"]}/jobs',
            {'scheduler_id': scheduler, 'fence': fence,
             'job_ids': list(job_ids)}, status)

    def answer(self, living: list[str], gone: list[str]) -> dict[str, Any]:
        return {'run_id': self.run_['run_id'], 'living': living,
                'gone': gone}

    def test_jobs_that_exist_and_jobs_that_are_gone(self) -> None:
        idle, deleted = self.create_job(schedule={}), self.create_job()
        self.call(base.MEMBER, 'DELETE', f'jobs/{deleted}', status=204)
        purged = 'f' * 32
        self.assertEqual(
            self.answer([self.job_id, idle], [deleted, purged]),
            self.ask(self.job_id, deleted, idle, purged, idle))

    def test_a_job_lives_in_whatever_state_it_is(self) -> None:
        stopped = self.create_job()
        self.call(base.MEMBER, 'POST', f'jobs/{stopped}/event',
                  {'stop': None}, 202)
        over = self.create_job(schedule={
            'schedule_date': '2020-01-01T00:00:00'})
        self.assertEqual(self.answer([stopped, over], []),
                         self.ask(stopped, over))

    def test_the_letters_of_an_id_are_not_made_others(self) -> None:
        """No collation has a job live that does not exist, or the like."""
        self.call(base.MEMBER, 'POST', 'jobs/Mixed-Case', {
            'client_id': 'central',
            'job_actions': [{'freezer_action': base.BACKUP}]}, 201)
        self.assertEqual(
            self.answer(['Mixed-Case'], ['unmixed-case']),
            self.ask('Mixed-Case', 'unmixed-case'))

    def test_jobs_of_other_projects_are_not_told_of(self) -> None:
        """Invariant 7: a project's data is reached by that project only."""
        theirs = self.create_job(persona=OTHER)
        self.assertEqual(self.answer([], [theirs]), self.ask(theirs))

    def test_only_the_holder_of_the_run_may_ask(self) -> None:
        for keys in ({'scheduler': 's2'}, {'fence': 2}):
            answer = self.ask(self.job_id, status=409, **keys)
            self.assertEqual('run_fence_stale', answer['code'])
        self.ask(self.job_id, status=404, run_id='f' * 32)
        self.report(self.run_, 'success')
        self.ask(self.job_id, status=409)

    def test_another_client_has_no_such_run(self) -> None:
        self.call(base.MEMBER, 'POST', 'clients', {
            'client_id': 'own', 'hostname': 'h'}, 201)
        self.call(base.MEMBER, 'POST',
                  f'clients/own/runs/{self.run_["run_id"]}/jobs',
                  {'scheduler_id': 's1', 'fence': 1,
                   'job_ids': [self.job_id]}, 404)
        self.call(base.MEMBER, 'POST',
                  f'clients/central/runs/{self.run_["run_id"]}/jobs',
                  {'scheduler_id': 's1', 'fence': 1,
                   'job_ids': [self.job_id]}, 404)

    def test_what_is_no_question_is_refused(self) -> None:
        for job_ids in ([], ['x'] * (schema.MAX_ASKED_JOBS + 1), ['a b'],
                        [''], [7], 'x', None):
            self.call(base.SERVICE, 'POST',
                      f'clients/central/runs/{self.run_["run_id"]}/jobs',
                      {'scheduler_id': 's1', 'fence': 1,
                       'job_ids': job_ids}, 400)

    def test_nothing_is_written_or_locked(self) -> None:
        with mock.patch.object(
                engine.Database, 'write', autospec=True,
                side_effect=AssertionError('a transaction that writes')):
            self.ask(*(f'{n:032x}' for n in range(schema.MAX_ASKED_JOBS)))


class RunJobsOnMariaDBTests(base.MySQL, RunJobsTests):
    """... on MariaDB."""


class RunJobsOnPostgreSQLTests(base.PostgreSQL, RunJobsTests):
    """... on PostgreSQL."""

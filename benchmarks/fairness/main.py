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

"""How long one project with many due jobs holds up the others.

The whole API in this process, on a real database server; trusts are those of
the functional tests. One project has a crowd of due jobs, five have a few,
one has a single job that became due last, and many have none that is due.
Then the same with runs whose scheduler is gone.
"""

from __future__ import annotations

import argparse
import time
from typing import Any
import unittest
import uuid

import sqlalchemy as sa

from freezer_api.db import models
from tests.functional import base

_LIMIT, _PER_PROJECT = 50, 10


class _Bench(base.ApiTestCase):
    """Not a test: what it asserts is that the single job is claimed."""

    terms_follow = False
    crowd = 10_000
    idle = 1_000

    def runTest(self) -> None:
        self.register_central()
        self.create_job()
        self._fill()
        print(f'{self.database.engine.dialect.name}: {self.crowd} due jobs '
              f'in one project, {self.idle} projects with none')
        self._analyze()
        self._measure('claims of due jobs')
        # Their scheduler is gone, and took nothing with it.
        self.pass_lease()
        with self.database.engine.begin() as connection:
            connection.execute(sa.insert(models.JobRun), [
                self._run(number) for number in range(self.crowd)])
            connection.execute(sa.update(models.JobRun).where(
                models.JobRun.project_id == 'single').values(
                    lease_expires_at=self.clock.now - 1))
        self._analyze()
        self._measure('leases that expired')

    def _measure(self, what: str) -> None:
        took = []
        for number in range(1, 1000):
            start = time.perf_counter()
            runs = self.call(base.SERVICE, 'POST', 'clients/central/claims', {
                'scheduler_id': 's2', 'limit': _LIMIT, 'lease_seconds': 60,
                'per_project': _PER_PROJECT, 'held': []}, 200)['runs']
            took.append(1000 * (time.perf_counter() - start))
            places = [run['project_id'] for run in runs]
            if 'single' in places:
                print(f'  {what}: the single one is number '
                      f'{places.index("single") + 1} of {len(places)} in '
                      f'claim {number}; claims took '
                      f'{", ".join(f"{one:.0f}" for one in took[:5])} ms')
                return
        self.fail('the single job is not claimed')

    def _analyze(self) -> None:
        """Let the engine count, which it does by itself in time."""
        tables = ('jobs', 'job_runs', 'queues')
        word = ('ANALYZE TABLE' if self.database.engine.dialect.name in (
            'mysql', 'mariadb') else 'ANALYZE')
        with self.database.engine.connect().execution_options(
                isolation_level='AUTOCOMMIT') as connection:
            for table in tables:
                connection.execute(sa.text(f'{word} {table}'))

    def _run(self, number: int) -> dict[str, Any]:
        return {'id': uuid.uuid4().hex, 'job_id': self.jobs[number],
                'project_id': 'crowd', 'client_id': 'central',
                'nominal_at': number, 'trigger': 'schedule',
                'state': 'running', 'fence': 1, 'scheduler_id': 's1',
                'lease_expires_at': self.clock.now - 30}

    def _fill(self) -> None:
        now = self.clock.now
        wanted = [('crowd', now - 500)] * self.crowd
        wanted += [(f'few-{n % 5}', now - 100) for n in range(20)]
        wanted += [('single', now)]
        wanted += [(f'idle-{n}', now + 86_400) for n in range(self.idle)]
        jobs = [{
            'id': uuid.uuid4().hex, 'project_id': project_id, 'user_id': 'u',
            'client_id': 'central', 'schedule': {
                'schedule_interval': '1 days'},
            'time_created': now - 86_400, 'next_run_at': due, 'due_at': due}
            for project_id, due in wanted]
        self.jobs = [job['id'] for job in jobs]
        with self.database.engine.begin() as connection:
            trust, method = connection.execute(sa.select(
                models.UserCredential.trust_id,
                models.UserCredential.decrypt_method)).one()
            connection.execute(sa.insert(models.Job), jobs)
            connection.execute(sa.insert(models.UserCredential), [{
                'id': uuid.uuid4().hex, 'job_id': job['id'],
                'trust_id': trust, 'decrypt_method': method,
                'trustor_user_id': 'u'} for job in jobs])
            connection.execute(sa.insert(models.Queue), [{
                'id': uuid.uuid4().hex, 'client_id': 'central',
                'project_id': project_id}
                for project_id in sorted({one for one, _ in wanted})])


class _OnMySQL(base.MySQL, _Bench):
    pass


class _OnPostgreSQL(base.PostgreSQL, _Bench):
    pass


_ENGINES = {'mysql': _OnMySQL, 'postgresql': _OnPostgreSQL,
            'sqlite': _Bench}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog='benchmarks/fairness/run', description=__doc__)
    parser.add_argument('--jobs', type=int, default=_Bench.crowd)
    parser.add_argument('--projects', type=int, default=_Bench.idle,
                        help='that have no job that is due')
    parser.add_argument('--engine', choices=_ENGINES, action='append')
    chosen = parser.parse_args()
    _Bench.crowd, _Bench.idle = chosen.jobs, chosen.projects
    suite = unittest.TestSuite(
        _ENGINES[name]() for name in chosen.engine or _ENGINES)
    return 0 if unittest.TextTestRunner().run(suite).wasSuccessful() else 1

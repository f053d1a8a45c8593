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

"""A database full of jobs on any engine, and requests that use it.

The engine itself writes the rows, from ten digits crossed with themselves. One
project, ``crowd``, has a tenth of everything.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import functools
import json
from typing import Any

import sqlalchemy as sa

from benchmarks.environment import database
from benchmarks.environment import in_process
from benchmarks.load import documents
from freezer_api.db import models
from freezer_api.domain import run_state
from tests.functional import base

CROWD = base.Persona('carl', 'crowd', ('member', 'reader'))
OTHER = base.Persona('olga', 'p-77', ('member', 'reader'))

#: Tables with few rows for any number of jobs.
SMALL = ('clients',)

_DAY = 86_400
_TABLES = ('jobs', 'job_runs', 'queues', 'actions', 'job_actions',
           'user_credentials', 'delegations', 'backups')


class FilledApi(base.ApiTestCase):
    """The API in this process, on a database full of jobs.

    :ivar digits: of the number of jobs
    """

    settings = {'scheduling': {'keep_runs_days': 5, 'keep_runs_last': 1}}
    terms_follow = False
    digits = 5

    @property
    def jobs(self) -> int:
        return 10 ** self.digits

    def runTest(self) -> None:
        """It has no tests."""

    def prepare(self) -> None:
        """Fill the database, and let the engine count."""
        self.register_central()
        self.create_job()
        self.claim()
        with self.database.engine.begin() as connection:
            for statement in self._fill(connection):
                connection.execute(statement)
        database.analyze(self.database.engine, _TABLES)

    def calls(self) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Yield frequent requests, by name."""
        member = functools.partial(self.call, OTHER)
        crowd = functools.partial(self.call, CROWD)
        held: list[dict[str, Any]] = []

        def claim(limit: int = 50, **more: int) -> None:
            answer = self.call(
                base.SERVICE, 'POST', 'clients/central/claims', {
                    'scheduler_id': 's1', 'limit': limit,
                    'lease_seconds': 60, **more,
                    'held': [{'run_id': run['run_id'],
                              'fence': run['fence']} for run in held]}, 200)
            held.extend(answer['runs'])

        # It finds the projects that wait behind the crowd.
        yield 'claim without a limit of projects', claim
        yield 'claim with leases held', functools.partial(
            claim, per_project=10)
        yield 'claim that only renews', functools.partial(claim, 0)
        yield 'report of a success', lambda: self.report(
            held[0], 'success', backups=[{
                'backup_id': 'a' * 32, 'status': 'available',
                'backup_metadata': {'cinder_backup_id': 'c'}}])
        yield 'registration', self.register_central
        yield 'maintenance', lambda: self.call(
            base.SERVICE, 'POST', 'maintenance', {}, 200)
        yield 'GET jobs', lambda: member('GET', 'jobs', status=200)
        yield 'GET jobs of many', lambda: crowd(
            'GET', 'jobs?limit=100', status=200)
        yield 'GET jobs of all', lambda: self.call(
            base.ADMIN, 'GET', 'jobs?all_projects=True&limit=100',
            status=200)
        yield 'GET job', lambda: crowd('GET', 'jobs/j-10', status=200)
        yield 'GET runs of a job', lambda: crowd(
            'GET', 'jobs/j-10/runs', status=200)
        yield 'GET backups of many', lambda: crowd(
            'GET', 'backups?limit=100', status=200)
        yield 'POST event', lambda: crowd(
            'POST', 'jobs/j-20/event', {'start': None}, 202)
        yield 'POST job', lambda: self.create_job(CROWD)
        yield 'PATCH job', lambda: crowd(
            'PATCH', 'jobs/j-30', {'description': 'new'}, 200)
        yield 'DELETE job', lambda: crowd('DELETE', 'jobs/j-30', status=204)

    def _fill(self, connection: sa.Connection) -> Iterator[sa.Executable]:
        now, central = self.clock.now, sa.literal('central')
        trust, method = connection.execute(sa.select(
            models.UserCredential.trust_id,
            models.UserCredential.decrypt_method)).one()
        n = self._numbers()
        text = sa.cast(n, sa.String(8))
        project: Any = sa.case((n % 10 == 0, 'crowd'),
                               else_='p-' + sa.cast(n % 1009, sa.String(8)))
        user = sa.case((n % 10 == 0, 'carl'), else_='olga')
        made = sa.func.current_timestamp()
        # Half of the crowd is due, and one in a hundred of the others.
        due = sa.case((n % 20 == 0, now - 100), (n % 101 == 0, now - 50),
                      else_=now + n % _DAY + 1)

        every = sa.true()

        def insert(model: Any, which: Any = every,
                   **values: Any) -> sa.Insert:
            columns = {'created_at': made, 'deleted': sa.false(), **values}
            return sa.insert(model).from_select(
                list(columns), sa.select(*(
                    value if isinstance(value, sa.ColumnElement)
                    else sa.literal(value) for value in columns.values())
                    ).where(which), include_defaults=False)

        schedule = sa.cast('{"schedule_interval": "1 days"}', sa.Text)
        yield insert(
            models.Job, id='j-' + text, project_id=project, user_id=user,
            client_id=central, schedule=sa.type_coerce(
                schedule, models.Job.schedule.type),
            description=sa.literal('nightly'), session_id=sa.literal(''),
            time_created=now - 9 * _DAY, next_run_at=due, due_at=due)
        yield insert(
            models.Action, id='a-' + text, action=sa.literal('backup'),
            project_id=project, user_id=user,
            actionmode=sa.literal('cindernative'),
            backup_metadata=sa.type_coerce(
                sa.cast(json.dumps({
                    'action': 'backup', 'mode': 'cindernative',
                    'cindernative_vol_id': documents.VOLUME}), sa.Text),
                models.Action.backup_metadata.type))
        yield insert(
            models.JobAction, id='l-' + text, job_id='j-' + text,
            action_id='a-' + text, position=sa.literal(0))
        yield insert(
            models.UserCredential, id='c-' + text, job_id='j-' + text,
            trust_id=sa.literal(trust), decrypt_method=sa.literal(method),
            trustor_user_id=user)
        yield insert(
            models.Backup, id='b-' + text, job_id='j-' + text,
            project_id=project, user_id=user, status=sa.literal('available'),
            backup_metadata=sa.type_coerce(
                sa.cast('{"mode": "cindernative"}', sa.Text),
                models.Backup.backup_metadata.type))
        # Three of each job have ended.
        for ago in (1, 2, 8):
            yield insert(
                models.JobRun, id=f'r-{ago}-' + text, job_id='j-' + text,
                project_id=project, client_id=central,
                nominal_at=now - ago * _DAY - 600,
                trigger=sa.literal(str(run_state.Trigger.SCHEDULE)),
                state=sa.literal(str(run_state.State.SUCCESS)),
                fence=sa.literal(1), time_started=now - ago * _DAY - 500,
                time_ended=now - ago * _DAY + (n % 3000) - 300)
        # Some go on elsewhere, and some were left behind.
        yield insert(
            models.JobRun, n % 103 == 1, id='g-' + text, job_id='j-' + text,
            project_id=project, client_id=central,
            nominal_at=now - 60, trigger=sa.literal(
                str(run_state.Trigger.SCHEDULE)), state=sa.literal(
                    str(run_state.State.RUNNING)), fence=sa.literal(1),
            scheduler_id=sa.literal('s2'), lease_expires_at=sa.case(
                (n % 7 == 0, now - 5), else_=now + 50), time_started=now - 50)
        for query in (
                sa.select(sa.literal('crowd').label('name')),
                sa.select(('p-' + text).label('name')).where(n < 1009)):
            picked = query.subquery()
            [column] = picked.c
            yield sa.insert(models.Queue).from_select(
                ['id', 'client_id', 'project_id', 'deleted'],
                sa.select('q-' + column, central, column, sa.false()),
                include_defaults=False)

    def _numbers(self) -> Any:
        """A column with the numbers of the jobs, from a join of digits."""
        digits = ' UNION ALL '.join(f'SELECT {n} AS d' for n in range(10))
        places = range(self.digits)
        query = sa.text(
            f'SELECT {" + ".join(f"{10 ** n} * t{n}.d" for n in places)} '
            f'AS n FROM '
            + ' CROSS JOIN '.join(f'({digits}) AS t{n}' for n in places))
        return query.columns(
            sa.column('n', sa.Integer)).subquery('numbers').c.n


class _OnMySQL(base.MySQL, FilledApi):
    pass


class _OnPostgreSQL(base.PostgreSQL, FilledApi):
    pass


_KINDS: dict[str, type[FilledApi]] = {
    'sqlite': FilledApi, 'mariadb': _OnMySQL, 'postgresql': _OnPostgreSQL}
ENGINES = tuple(_KINDS)


@contextlib.contextmanager
def filled(engine: str, digits: int) -> Iterator[FilledApi]:
    """The API on a full database for a while.

    :param digits: of the number of jobs; 5 is 100,000
    """
    api = _KINDS[engine]()
    api.digits = digits
    with in_process.running(api):
        api.prepare()
        yield api

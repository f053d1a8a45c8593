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

The whole API runs in this process, on a real database. One project has a tenth
of 100,000 jobs, all due; five have some, one has a single job that became due
last, and a thousand have none that is due. Then the same is measured with runs
whose leases have expired.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import pathlib
import statistics
import time

import sqlalchemy as sa

from benchmarks.environment import database
from benchmarks import report
from benchmarks.stages.query_plans import fixtures
from freezer_api.db import models
from tests.functional import base
from tools.cloud import errors
from tools.cloud import progress

_JOB, _RUN = models.Job, models.JobRun
_FEW = tuple(f'p-{number}' for number in range(1, 6))
_SINGLE, _SINGLE_JOB = 'p-7', 'j-7'
_LIMIT, _PER_PROJECT, _MOST = 50, 10, 1000
_DAY = 86_400


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--engine', choices=fixtures.ENGINES,
                        default='mariadb', help='database (%(default)s)')


def run(chosen: argparse.Namespace, home: pathlib.Path,
        tell: progress.Progress) -> Iterator[report.Figure]:
    with fixtures.filled(chosen.engine, 3 if chosen.quick else 5) as api:
        now = api.clock.now
        with api.database.engine.begin() as connection:
            connection.execute(sa.delete(_RUN).where(
                _RUN.lease_expires_at.is_not(None)))
            for condition, due in (
                    (sa.true(), now + _DAY),
                    (_JOB.project_id == 'crowd', now - 500),
                    (_JOB.project_id.in_(_FEW), now - 100),
                    (_JOB.id == _SINGLE_JOB, now)):
                connection.execute(sa.update(_JOB).where(condition).values(
                    next_run_at=due, due_at=due))
        yield from _measure(api, 'due jobs')
        api.pass_lease()
        with api.database.engine.begin() as connection:
            columns = {
                'id': 'e-' + _JOB.id, 'job_id': _JOB.id,
                'project_id': _JOB.project_id, 'client_id': _JOB.client_id,
                'nominal_at': sa.literal(1), 'trigger': sa.literal('schedule'),
                'state': sa.literal('running'), 'fence': sa.literal(1),
                'scheduler_id': sa.literal('s1'),
                'lease_expires_at': sa.literal(api.clock.now - 30),
                'deleted': sa.false()}
            connection.execute(sa.insert(_RUN).from_select(
                list(columns), sa.select(*columns.values()).where(
                    _JOB.project_id == 'crowd'), include_defaults=False))
            connection.execute(sa.update(_RUN).where(
                _RUN.project_id == _SINGLE, _RUN.state == 'running').values(
                    lease_expires_at=api.clock.now - 1))
        yield from _measure(api, 'expired leases')


def _measure(api: fixtures.FilledApi, what: str) -> Iterator[report.Figure]:
    """Claim until the single job is among the runs.

    :raises tools.cloud.errors.QuickstartError: it is not claimed
    """
    database.analyze(api.database.engine, ('jobs', 'job_runs', 'queues'))
    seconds = []
    for number in range(1, _MOST):
        began = time.perf_counter()
        runs = api.call(base.SERVICE, 'POST', 'clients/central/claims', {
            'scheduler_id': 's2', 'limit': _LIMIT, 'lease_seconds': 60,
            'per_project': _PER_PROJECT, 'held': []}, 200)['runs']
        seconds.append(time.perf_counter() - began)
        projects = [run['project_id'] for run in runs]
        if _SINGLE in projects:
            yield report.Figure(f'{what}: claims until the single job',
                                number)
            yield report.Figure(f'{what}: its place in the claim',
                                projects.index(_SINGLE) + 1)
            yield report.Figure(f'{what}: a claim, median',
                                1000 * statistics.median(seconds), 'ms')
            return
    raise errors.QuickstartError(f'{what}: the single job is not claimed')

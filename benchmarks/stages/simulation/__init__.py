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

"""A week of a cloud with very many jobs, in the time that its work takes.

The API is complete, with its real schema on a MariaDB server of its own, but
in one process with virtual schedulers and a clock that goes from one event to
the next. Schedulers claim, hold a run for as long as Cinder takes, report, are
restarted, killed and lost; the API is unavailable for an hour, and Cinder
fails for some. There is no Keystone: trusts are those of the functional tests.

CPU seconds and counts are the results; they are the same on a busy machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import pathlib

import sqlalchemy as sa

from benchmarks.environment import database_server
from benchmarks import report
from benchmarks.stages.simulation import api as simulated_api
from benchmarks.stages.simulation import fill
from benchmarks.stages.simulation import plan
from benchmarks.stages.simulation import result
from benchmarks.stages.simulation import schedulers
from benchmarks.stages.simulation import week
from tools.cloud import errors
from tools.cloud import progress


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--jobs', type=int, default=10_000)
    parser.add_argument('--projects', type=int,
                        help='default: a tenth of the jobs')
    parser.add_argument('--days', type=float, default=7)
    parser.add_argument('--stop-after', type=float, metavar='DAYS',
                        help='end there, with what went wrong until then')
    parser.add_argument('--minutes', type=float,
                        help='end when so many have passed, at the next ten '
                             'minutes of the simulation')
    parser.add_argument('--monthly', type=int, default=0,
                        help='of a thousand jobs; what is none of the three '
                             'is weekly')
    parser.add_argument('--daily', type=int, default=49,
                        help='of a thousand jobs')
    parser.add_argument('--hourly', type=int, default=1,
                        help='of a thousand jobs')
    parser.add_argument('--schedulers', type=int, default=4)
    parser.add_argument('--slots', type=int,
                        help='of each, max_in_flight; default: enough for '
                             'twice the mean')
    parser.add_argument('--claim-interval', type=int, metavar='SECONDS',
                        default=schedulers.Limits.claim_interval,
                        help='between two questions of each: with more of '
                             'them, more is done together (%(default)s)')
    parser.add_argument('--keep-days', type=int, default=2)
    parser.add_argument('--keep-last', type=int, default=1000)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--memory', default='2G',
                        help='of the buffer pool of MariaDB')


def run(chosen: argparse.Namespace, home: pathlib.Path,
        tell: progress.Progress) -> Iterator[report.Item]:
    if chosen.quick:
        chosen.jobs, chosen.days = 200, 0.2
    chosen.projects = chosen.projects or max(1, chosen.jobs // 10)
    mix = plan.Mix(chosen.monthly, chosen.daily, chosen.hourly)
    if chosen.slots is None:
        # A backup takes 150 seconds in the mean.
        rate = mix.a_week(chosen.jobs) / plan.WEEK
        chosen.slots = max(10, round(2 * 150 * rate / chosen.schedulers))
    with database_server.running(
            'mariadb', '--skip-log-bin',
            f'--innodb-buffer-pool-size={chosen.memory}',
            '--innodb-log-file-size=512M',
            # The disk is not measured.
            '--innodb-flush-log-at-trx-commit=2') as server:
        with server.engine.connect() as connection:
            connection.exec_driver_sql(f'CREATE DATABASE {fill.DATABASE}')
        url = sa.make_url(server.url).set(database=fill.DATABASE)
        api = simulated_api.Api(
            home, url.render_as_string(hide_password=False),
            plan.BEGIN - plan.DAY, {
                'autostart_delay': 0, 'keep_runs_days': chosen.keep_days,
                'keep_runs_last': chosen.keep_last})
        try:
            _register(api)
            with tell.step('filling the database'):
                fill.fill(api.database.engine, chosen.jobs, chosen.projects,
                          mix, *api.box.encrypt('0' * 32))
            one = week.Week(chosen, api, server, tell)
            before = server.usage().cpu
            one.run()
            yield from result.items(one.result, api.costs,
                                    server.usage().cpu - before)
        finally:
            api.database.engine.dispose()


def _register(api: simulated_api.Api) -> None:
    status, _ = api.call('registration', 'POST', 'clients', {
        'client_id': fill.CLIENT, 'hostname': 'control-1',
        'is_central': True, 'claims': True,
        'supported_actions': ['backup'], 'supported_storages': [],
        'supported_modes': ['cindernative'], 'supported_engines': []})
    if status != 201:
        raise errors.QuickstartError(f'registration: {status}')
    # All jobs are newer than this claim: none has to be adopted.
    api.call('claim, first', 'POST', f'clients/{fill.CLIENT}/claims',
             schedulers.Scheduler('s0', schedulers.Limits()).question())

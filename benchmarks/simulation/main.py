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

"""A week of a cloud with very many jobs, within the time that its work takes.

The API is whole, with its real schema on a MariaDB of its own, but in one
process with virtual schedulers and a clock that goes from one event to the
next. Schedulers claim, hold a run for as long as Cinder takes, report, are
restarted, killed and lost; the API is away for an hour, and Cinder fails for
some. Keystone is not there: trusts are those of the functional tests, and all
jobs have the same.

CPU seconds are what counts; they are the same on a busy machine. Status 1: a
firing was neither run nor accounted for.
"""

from __future__ import annotations

import argparse
import pathlib
import tempfile

from benchmarks.simulation import api as simulated_api
from benchmarks.simulation import fill
from benchmarks.simulation import mix
from benchmarks.simulation import report
from benchmarks.simulation import schedulers
from benchmarks.simulation import server as database_server
from benchmarks.simulation import week
from tests.functional import base


def main() -> int:
    chosen = _read()
    with tempfile.TemporaryDirectory(prefix='simulation-') as folder:
        text, held = _simulate(chosen, pathlib.Path(folder))
    print(text, flush=True)
    if chosen.output is not None:
        chosen.output.write_text(text + '\n')
    return 0 if held else 1


def _simulate(chosen: argparse.Namespace,
              folder: pathlib.Path) -> tuple[str, bool]:
    with database_server.served(folder, chosen.memory) as server:
        api = simulated_api.Api(folder, server.url, mix.BEGIN - mix.DAY, {
            'autostart_delay': 0, 'keep_runs_days': chosen.keep_days,
            'keep_runs_last': chosen.keep_last})
        try:
            _register(api)
            fill.fill(api.database.engine, chosen.jobs, chosen.projects,
                      _mix(chosen),
                      *api.box.encrypt('0' * 32))
            print(f'filled: {sum(server.sizes().values()):,.0f} MiB, '
                  f'{server.use().cpu:.0f} CPU seconds', flush=True)
            one = week.Week(chosen, api, server)
            before = server.use().cpu
            one.run()
            return (report.text(chosen, one.result, api.costs,
                                server.use().cpu - before),
                    not one.result.wrong)
        finally:
            api.database.engine.dispose()


def _mix(chosen: argparse.Namespace) -> mix.Mix:
    return mix.Mix(chosen.monthly, chosen.daily, chosen.hourly)


def _register(api: simulated_api.Api) -> None:
    status, _ = api.call('registration', 'POST', 'clients', {
        'client_id': fill.CLIENT, 'hostname': 'control-1',
        'is_central': True, 'claims': True,
        'supported_actions': ['backup'], 'supported_storages': [],
        'supported_modes': ['cindernative'], 'supported_engines': []})
    assert status == 201, base.SERVICE
    # Each job is new to it: there is nothing to take over.
    api.call('claim, first', 'POST', f'clients/{fill.CLIENT}/claims',
             schedulers.Scheduler('s0', schedulers.Limits()).question())


def _read() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='benchmarks/simulation/run', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
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
    parser.add_argument('--places', type=int,
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
    parser.add_argument('--output', type=pathlib.Path,
                        help='file for the report, too')
    chosen = parser.parse_args()
    chosen.projects = chosen.projects or max(1, chosen.jobs // 10)
    if chosen.places is None:
        # A backup takes 150 seconds in the mean.
        rate = _mix(chosen).a_week(
            chosen.jobs) / mix.WEEK
        chosen.places = max(10, round(2 * 150 * rate / chosen.schedulers))
    return chosen

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

"""The command line: ``benchmarks/api/run``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import tempfile

from benchmarks.api import environments
from benchmarks.api import load
from benchmarks.api import measure
from benchmarks.api import operations
from benchmarks.api import report
from benchmarks.api import sides
from benchmarks.api import world
from benchmarks import machine
from tools.cloud import cloud
from tools.cloud import config
from tools.cloud import environments as cloud_environments
from tools.cloud import errors
from tools.cloud import progress
from tools.cloud import secrets

MYSQL = 'mysql+pymysql://root@127.0.0.1:3306/'
PROJECTS = 10

#: The largest list that upstream is asked for, and each of our own.
_SIZES = (100, 1_000, 10_000)
_OWN_SIZES = (100_000,)
#: With so many jobs single items are asked for, too.
_SINGLE = (1_000, 10_000)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is measured in one database.

    :ivar database: ``SQLite`` or ``MariaDB``
    :ivar sizes: numbers of jobs at both sides
    :ivar own_sizes: numbers of jobs at ours alone, after them
    :ivar single: numbers of jobs with which single items are asked for
    """

    database: str
    sizes: Sequence[int]
    own_sizes: Sequence[int]
    single: Sequence[int]


class Bench:
    """One whole measurement in a directory of its own.

    :param home: the directory
    :param envs: where the sides are served from
    :param names: of the sides
    :param effort: how long is measured
    :param mysql: URL of the server of MariaDB
    :param tell: where progress is shown
    """

    def __init__(self, home: pathlib.Path, envs: environments.Environments,
                 names: Sequence[str], effort: measure.Effort, mysql: str,
                 tell: progress.Progress) -> None:
        self._home = home
        self._envs = envs
        self._names = names
        self._effort = effort
        self._mysql = mysql
        self._tell = tell
        self._cloud = cloud.Cloud(home / 'cloud', home=envs.home)

    def run(self, plans: Sequence[Plan],
            keep: Callable[[report.Report], None]) -> report.Report:
        """Measure all there is in the plans.

        :param keep: is given what there is so far after each stage
        :raises tools.cloud.errors.QuickstartError: something does not start
        :raises benchmarks.api.load.Refused: an API answered with an error
        """
        for name in self._names:
            environments.make(getattr(self._envs, name), self._tell)
        stages: list[report.Stage] = []
        with self._tell.step('starting Keystone'):
            self._cloud.up(cloud.Options.on_free_ports(
                projects=PROJECTS, volumes=0), names=('keystone',))
        try:
            people = world.People.of(self._cloud)
            for plan in plans:
                for stage in self._plan(plan, people):
                    stages.append(stage)
                    # It takes long, and may be cut off.
                    keep(report.Report(_machine(), stages,
                                       self._tell.seconds))
        finally:
            self._cloud.down(purge=True, keep_logs=True)
        return report.Report(_machine(), stages, self._tell.seconds)

    def _plan(self, plan: Plan,
              people: world.People) -> Iterator[report.Stage]:
        with contextlib.ExitStack() as stack:
            asked = [self._world(plan, name, people, stack)
                     for name in self._names]
            for jobs in (*plan.sizes, *plan.own_sizes):
                if jobs in plan.own_sizes:
                    asked = [one for one in asked
                             if one.side.name == report.OURS]
                yield self._stage(plan, jobs, asked)

    def _world(self, plan: Plan, name: str, people: world.People,
               stack: contextlib.ExitStack) -> world.World:
        home = self._home / f'{plan.database}-{name}'
        url = (f'sqlite:///{home}/freezer.db' if plan.database == 'SQLite'
               else f'{self._mysql}freezer_bench_{os.getpid()}_{name}'
                    '?charset=utf8mb4')
        side = sides.Side(name, getattr(self._envs, name), home, url,
                          self._options())
        stack.callback(side.drop)
        with self._tell.step(f'{plan.database}: starting {name}'):
            side.create()
            stack.callback(side.stop)
            side.start()
            made = world.World(side, people)
            made.register()
        return made

    def _options(self) -> config.Options:
        where, settings = self._cloud.layout, self._cloud.settings
        options = config.freezer_api(where, settings, secrets.load(where))
        # As operators run it: a token that was asked about is known for the
        # usual five minutes, in each process. No memcached at either side.
        del options['keystone_authtoken']['token_cache_time']
        return {name: options[name]
                for name in ('keystone_authtoken', 'user_credentials')}

    def _stage(self, plan: Plan, jobs: int,
               asked: Sequence[world.World]) -> report.Stage:
        stage = report.Stage(plan.database, jobs, {}, {}, {},
                             [measure.busy()])
        with self._tell.step(f'{plan.database}: filling up to {jobs} jobs'):
            for one in asked:
                one.grow(jobs)
            self._compare(asked)
        with self._tell.step(f'{plan.database}, {jobs} jobs: lists'):
            self._lists(stage, asked)
        if jobs in plan.single:
            for what in operations.SINGLE:
                with self._tell.step(
                        f'{plan.database}, {jobs} jobs: {what.name}'):
                    stage.results[what.name] = measure.in_turn(
                        asked, what, self._effort)
        for one in asked:
            stage.memory[one.side.name] = one.side.memory()
        stage.load.append(measure.busy())
        return stage

    def _lists(self, stage: report.Stage,
               asked: Sequence[world.World]) -> None:
        stage.results[operations.LIST.name] = measure.in_turn(
            asked, operations.LIST, self._effort)
        for one in asked:
            name = one.side.name
            found = stage.sweeps[name] = [measure.sweep(one, self._effort)]
            if name == report.OURS:
                found += [
                    measure.sweep_by_marker(one, limit, self._effort)
                    for limit in (operations.PAGE, 1000)]
                measure.claim_all(one)
                result = measure.in_turn([one], operations.IDLE,
                                         self._effort)
                stage.results[operations.IDLE.name] = result
                found.append(measure.Sweep(
                    'claim instead, nothing due',
                    result[name].p50 / 1000, 1, 1))

    def _compare(self, asked: Sequence[world.World]) -> None:
        """Make sure that both sides answer with the same jobs."""
        samples = [one.sample() for one in asked]
        if any(sample != samples[0] for sample in samples):
            raise load.Refused('the sides show different documents')


def _machine() -> dict[str, str]:
    return {
        **machine.described(),
        'Server': f'uWSGI, {sides.PROCESSES} processes of {sides.THREADS} '
                  'threads, http-socket, a connection for each request',
    }


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='benchmarks/api/run',
        description='Measure this API and that of Freezer 19.0.0 side by '
                    'side, on a real Keystone.')
    parser.add_argument('--quick', action='store_true',
                        help='100 jobs in SQLite, few requests: to see that '
                             'it works')
    parser.add_argument('--ours-only', action='store_true',
                        help='leave 19.0.0 out')
    parser.add_argument('--database', action='append',
                        choices=('SQLite', 'MariaDB'),
                        help='leave the other one out')
    parser.add_argument('--most', type=int, metavar='JOBS',
                        help='leave out larger numbers of jobs')
    parser.add_argument('--mysql', default=MYSQL, metavar='URL',
                        help='server of MariaDB (%(default)s)')
    parser.add_argument('--home', type=pathlib.Path,
                        default=cloud_environments.default_home(),
                        help='folder of the environments (%(default)s)')
    parser.add_argument('--state', type=pathlib.Path,
                        help='directory to work in, kept for its logs')
    parser.add_argument('--output', type=pathlib.Path,
                        help='file to write to, without .json and .txt')
    return parser.parse_args(given)


def _plans(arguments: argparse.Namespace) -> list[Plan]:
    if arguments.quick:
        return [Plan('SQLite', (100,), (), (100,))]
    plans = [Plan('SQLite', (1_000,), (), (1_000,)),
             Plan('MariaDB', _SIZES, _OWN_SIZES, (*_SINGLE, *_OWN_SIZES))]
    most = arguments.most or max(_OWN_SIZES)
    return [dataclasses.replace(
        plan, sizes=[jobs for jobs in plan.sizes if jobs <= most],
        own_sizes=[jobs for jobs in plan.own_sizes if jobs <= most])
        for plan in plans
        if plan.database in (arguments.database or (plan.database,))]


def main(given: Sequence[str] | None = None) -> int:
    """Measure, write down, and print.

    :returns: the exit status, 0 also where an aim is missed
    """
    arguments = _arguments(given)
    effort = (measure.Effort(1, 0.2, 5) if arguments.quick
              else measure.Effort())
    names = ((report.OURS,) if arguments.ours_only
             else (report.OURS, report.UPSTREAM))
    home = (arguments.state or pathlib.Path(tempfile.mkdtemp(
        prefix='freezer-bench-'))).resolve()

    def keep(found: report.Report) -> None:
        if arguments.output:
            arguments.output.with_suffix('.json').write_text(
                json.dumps(dataclasses.asdict(found), indent=1) + '\n')
            arguments.output.with_suffix('.txt').write_text(
                report.render(found) + '\n')

    try:
        found = Bench(home, environments.Environments(arguments.home), names,
                      effort, arguments.mysql, progress.Progress()
                      ).run(_plans(arguments), keep)
    except (errors.QuickstartError, load.Refused, OSError) as error:
        print(f'benchmarks/api/run: {error}\nlogs are in {home}')
        return 1
    if arguments.state is None:
        shutil.rmtree(home)
    print(report.render(found))
    return 0

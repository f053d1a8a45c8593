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

"""Both products side by side, with one Keystone, Cinder and database server.

The stages that measure figures by number of jobs use this environment.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import functools
import inspect
import itertools
import pathlib

from benchmarks.environment import api_server
from benchmarks.environment import database
from benchmarks.environment import deployment
from benchmarks.environment import keystone
from benchmarks.environment import legacy_scheduler
from benchmarks.environment import scheduler
from benchmarks.environment import virtualenvs
from benchmarks.load import documents
from benchmarks import report
from tools.cloud import cloud
from tools.cloud import environments
from tools.cloud import progress

ENGINES = ('sqlite', *database.SERVERS)

_PROJECTS = 10


class Stage:
    """A stage that measures figures by the number of jobs.

    :param measure: its docstring is the help of the stage
    :param jobs: numbers of jobs, ascending
    :param ours_only: 19.0.0 is no part of it
    """

    def __init__(self, measure: Callable[
            [Environment, int], Iterator[report.Figure]], *jobs: int,
            ours_only: bool = False) -> None:
        self.__doc__ = inspect.getdoc(measure)
        self._measure, self._jobs, self._ours_only = measure, jobs, ours_only

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        add_options(parser, *self._jobs)
        parser.set_defaults(ours_only=self._ours_only)

    def run(self, chosen: argparse.Namespace, home: pathlib.Path,
            tell: progress.Progress) -> Iterator[report.Figure]:
        with running(chosen, home, tell) as environment:
            for jobs in environment.sizes():
                yield from self._measure(environment, jobs)


def add_options(parser: argparse.ArgumentParser, *jobs: int) -> None:
    """
    :param jobs: numbers of jobs, ascending
    """
    parser.add_argument('--jobs', type=int, nargs='+', default=jobs,
                        help='numbers of jobs (%(default)s)')
    parser.add_argument('--engine', choices=ENGINES,
                        help='database (mariadb, with --quick sqlite)')
    parser.add_argument('--server', metavar='URL',
                        help='database server, if not that of this machine')
    parser.add_argument('--projects', type=int, default=_PROJECTS,
                        help='number of projects with a user and a trust; '
                             'jobs of others are copies (%(default)s)')
    parser.add_argument('--ours-only', action='store_true',
                        help='leave 19.0.0 out')
    parser.add_argument('--upstream-most', type=int, default=10_000,
                        metavar='JOBS',
                        help='leave 19.0.0 out beyond (%(default)s)')
    parser.add_argument('--window', type=float, default=60,
                        metavar='SECONDS', help='to measure for')
    parser.add_argument('--patience', type=float, default=600,
                        metavar='SECONDS',
                        help='after which 19.0.0 is given up, and its time '
                             'extrapolated')
    parser.add_argument('--workers', type=int, default=2,
                        help='processes of each API')


@dataclasses.dataclass(frozen=True)
class Environment:
    """What a stage measures.

    :ivar upstream: None where it is left out; it may have fewer jobs
    :ivar further: starts one more deployment of a side, with no more jobs
        than projects
    """

    chosen: argparse.Namespace
    tell: progress.Progress
    cloud: cloud.Cloud
    ours: deployment.Deployment
    upstream: deployment.Deployment | None
    further: Callable[
        [str], contextlib.AbstractContextManager[deployment.Deployment]]

    @property
    def deployments(self) -> list[deployment.Deployment]:
        """Those that have as many jobs as ours."""
        return [one for one in (self.ours, self.upstream)
                if one is not None and one.jobs == self.ours.jobs]

    def sizes(self) -> Iterator[int]:
        """Yield the numbers of jobs, once there are so many."""
        for jobs in self.chosen.jobs:
            with self.tell.step(f'filling up to {jobs:,} jobs'):
                self.ours.grow(jobs)
                if (self.upstream is not None
                        and jobs <= self.chosen.upstream_most):
                    self.upstream.grow(jobs)
            yield jobs
            for one in (self.ours, self.upstream):
                if one is not None:
                    one.stop()

    def figure(self, name: str, value: float, unit: str = '',
               side: str = report.OURS, aim: report.Aim | None = None,
               note: str = '') -> report.Figure:
        """Return a figure with the present number of jobs."""
        return report.Figure(name, value, unit, side, self.ours.jobs, aim,
                             note)


@contextlib.contextmanager
def running(chosen: argparse.Namespace, home: pathlib.Path,
            tell: progress.Progress, shipped: bool = False,
            per_project: int = 10) -> Iterator[Environment]:
    """Everything started, and ended in the end.

    19.0.0 is left out on PostgreSQL, which its migrations do not support.

    :param per_project: jobs of a project, see ``Database.copy_jobs``
    :param shipped: serve our API by its own command, see ``ApiServer``
    :raises tools.cloud.errors.QuickstartError: something does not start
    """
    if chosen.quick:
        chosen.jobs, chosen.window = [100], min(10, chosen.window)
        chosen.patience = min(60, chosen.patience)
    engine = chosen.engine = chosen.engine or (
        'sqlite' if chosen.quick else 'mariadb')
    numbers = itertools.count()
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(keystone.running(
            home / 'cloud', chosen.projects, tell))
        users = keystone.Users.of(made)

        @contextlib.contextmanager
        def deployed(side: str) -> Iterator[deployment.Deployment]:
            folder = home / f'{side}-{next(numbers)}'
            folder.mkdir()
            base = (database.Database(f'sqlite:///{folder}/freezer.db')
                    if engine == 'sqlite' else database.Database.on_server(
                        chosen.server or database.SERVERS[engine]))
            with contextlib.ExitStack() as unless_gone:
                with tell.step(f'{engine}: starting {side}'):
                    env = _api_environment(side)
                    api = api_server.ApiServer(
                        side, env, folder / 'api', base,
                        keystone.api_options(made), chosen.workers,
                        shipped=shipped and side == report.OURS)
                    base.create()
                    unless_gone.callback(base.drop)
                    api.create_tables()
                    unless_gone.callback(api.stop)
                    api.start()
                    if side == report.OURS:
                        creator = functools.partial(_ours, made, env)
                    else:
                        legacy_scheduler.use_recording_agent(folder)
                        creator = functools.partial(
                            _upstream, made, virtualenvs.create(
                                virtualenvs.upstream(), tell))
                    one = deployment.Deployment(
                        api, users, made.settings.keystone_port, folder,
                        per_project, creator)
                    unless_gone.callback(one.close)
                    one.register()
                yield one

        yield Environment(
            chosen, tell, made,
            stack.enter_context(deployed(report.OURS)),
            None if chosen.ours_only or engine == 'postgresql'
            else stack.enter_context(deployed(report.UPSTREAM)), deployed)


@functools.cache
def _api_environment(side: str) -> environments.Environment:
    # Once: what is measured must not change meanwhile.
    return virtualenvs.create(
        virtualenvs.ours() if side == report.OURS
        else virtualenvs.upstream_api(), progress.Progress(None))


def _ours(made: cloud.Cloud, env: environments.Environment,
          one: deployment.Deployment) -> deployment.CreateScheduler:
    def create(name: str, home: pathlib.Path,
               configured: dict[str, object]) -> scheduler.Scheduler:
        options = keystone.scheduler_options(made, documents.CENTRAL,
                                             **configured)
        options['service_auth'] |= _through_proxies(one)
        return scheduler.Scheduler(name, home, env, options)

    return create


def _upstream(made: cloud.Cloud, env: environments.Environment,
              one: deployment.Deployment) -> deployment.CreateScheduler:
    def create(name: str, home: pathlib.Path,
               configured: dict[str, object]) -> scheduler.Scheduler:
        options = legacy_scheduler.options(made, documents.CENTRAL, None)
        # As by default.
        del options['scheduler']['interval']
        options['scheduler'] |= configured
        options['service_auth'] |= _through_proxies(one)
        return legacy_scheduler.LegacyScheduler(name, home, env, options)

    return create


def _through_proxies(one: deployment.Deployment) -> dict[str, object]:
    return {'os_auth_url': f'{one.keystone.url}/v3',
            'os_backup_url': one.proxy.url}

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

"""Both products side by side, with one Keystone, Cinder, database server."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import functools
import itertools
import os
import pathlib

from benchmarks.api import environments
from benchmarks.api import sides
from benchmarks.api import world
from benchmarks.cinder import process
from benchmarks.fire import scheduler
from benchmarks.fire import upstream
from benchmarks.scale import deployment
from benchmarks.scale import figure
from benchmarks.scale import known
from benchmarks.scale import options
from tools.cloud import cloud
from tools.cloud import config
from tools.cloud import environments as cloud_environments
from tools.cloud import progress
from tools.cloud import secrets

PER_PROJECT = 10

_TOKEN_SECONDS = 4 * 3600
_VOLUMES = 100


class PlainScheduler(scheduler.Scheduler):
    """One of this project, as it is installed."""

    @property
    def _program(self) -> list[str]:
        return [self._env.script('freezer-scheduler')]


@dataclasses.dataclass(frozen=True)
class Scene:
    """What a stage works with.

    :ivar engine: of the databases
    :ivar cinder: the fake one, which the catalogue names. It finishes
        backups when it is told to, see ``process.FakeCinder.finish``.
    :ivar upstream: None where it is left out, or cannot be; it may have
        fewer jobs
    :ivar further: makes one more deployment by its product, with no more
        jobs than projects
    :ivar found: what has been found on this engine so far
    """

    engine: str
    cloud: cloud.Cloud
    cinder: process.FakeCinder
    ours: deployment.Deployment
    upstream: deployment.Deployment | None
    further: Callable[
        [str], contextlib.AbstractContextManager[deployment.Deployment]]
    found: list[figure.Figure] = dataclasses.field(default_factory=list)

    @property
    def deployments(self) -> list[deployment.Deployment]:
        """Those that have as many jobs as ours."""
        return [one for one in (self.ours, self.upstream)
                if one is not None and one.jobs == self.ours.jobs]

    def known(self, *names: str) -> Iterator[figure.Figure]:
        """Yield what was found before of figures with these jobs."""
        for name in names:
            unit, values = known.FIGURES[name]
            if self.ours.jobs in values:
                yield self.figure(name, figure.KNOWN, values[self.ours.jobs],
                                  unit)

    def figure(self, name: str, side: str, value: float, unit: str,
               aim: figure.Aim | None = None, note: str = '',
               ) -> figure.Figure:
        """Return a figure with these jobs and this engine."""
        return figure.Figure(name, side, self.ours.jobs, self.engine, value,
                             unit, aim, note)


@contextlib.contextmanager
def keystone(home: pathlib.Path, chosen: options.Options,
             tell: progress.Progress) -> Iterator[cloud.Cloud]:
    """A real Keystone with its projects and users for a while."""
    made = cloud.Cloud(home, home=chosen.home)
    with tell.step('starting Keystone'):
        made.up(dataclasses.replace(
            cloud.Options.on_free_ports(projects=chosen.projects, volumes=0),
            token_seconds=_TOKEN_SECONDS), names=('keystone',))
    try:
        yield made
    finally:
        made.down(purge=True, keep_logs=True)


@contextlib.contextmanager
def scene(made: cloud.Cloud, engine: str, chosen: options.Options,
          home: pathlib.Path, tell: progress.Progress,
          own: type[sides.Side] = sides.Side) -> Iterator[Scene]:
    """Everything up on one engine, and gone in the end.

    Upstream's migrations need a type that PostgreSQL does not have.

    :param home: an empty folder
    :param own: what serves our API
    """
    people = world.People.of(made)
    both = environments.Environments(chosen.home)
    numbers = itertools.count()

    @functools.cache
    def env(name: str) -> cloud_environments.Environment:
        # Once: nobody is to change what is measured meanwhile.
        return environments.make(getattr(both, name), tell)

    @contextlib.contextmanager
    def side(name: str) -> Iterator[deployment.Deployment]:
        with contextlib.ExitStack() as stack:
            with tell.step(f'{engine}: starting {name}'):
                deployed = _deploy(
                    made, engine, chosen, home / f'{name}-{next(numbers)}',
                    people, name, env(name), stack,
                    own if name == figure.OURS else sides.Side)
            yield deployed

    with contextlib.ExitStack() as stack:
        cinder = stack.enter_context(process.served(_VOLUMES))
        process.stand_in(made, cinder.url)
        ours = stack.enter_context(side(figure.OURS))
        theirs = (None if chosen.ours_only or engine == 'postgresql'
                  else stack.enter_context(side(figure.UPSTREAM)))
        yield Scene(engine, made, cinder, ours, theirs, side)


def _deploy(made: cloud.Cloud, engine: str, chosen: options.Options,
            home: pathlib.Path, people: world.People, name: str,
            env: cloud_environments.Environment,
            stack: contextlib.ExitStack,
            serve: type[sides.Side]) -> deployment.Deployment:
    api = serve(name, env, home / 'api', _url(engine, chosen, home),
                _api_options(made), workers=chosen.workers)
    stack.callback(api.drop)
    api.create()
    stack.callback(api.stop)
    api.start()
    asked = world.World(api, people, PER_PROJECT)
    asked.register()
    if name == figure.OURS:
        hire = functools.partial(_own, made, env)
    else:
        hire = functools.partial(_stock, made, environments.make(
            upstream.environment(chosen.home), progress.Progress(None)))
        upstream.agent(home)
    deployed = deployment.Deployment(
        asked, made.settings.keystone_port, home, hire)
    stack.callback(deployed.close)
    return deployed


def _url(engine: str, chosen: options.Options, home: pathlib.Path) -> str:
    if engine == 'sqlite':
        return f'sqlite:///{home}/freezer.db'
    server, mark, query = chosen.servers[engine].partition('?')
    name = f'freezer_scale_{os.getpid()}_{home.name.replace("-", "_")}'
    return f'{server.rpartition("/")[0]}/{name}{mark}{query}'


def _own(made: cloud.Cloud, env: cloud_environments.Environment,
         one: deployment.Deployment) -> deployment.Hire:
    def hire(name: str, home: pathlib.Path,
             configured: dict[str, object]) -> scheduler.Scheduler:
        options = config.scheduler(made.layout, made.settings,
                                   secrets.load(made.layout))
        options['scheduler'] = {'client_id': world.CENTRAL,
                                'service_mode': True, **configured}
        options['service_auth'] |= _through(one)
        return PlainScheduler(name, home, env, options)

    return hire


def _stock(made: cloud.Cloud, env: cloud_environments.Environment,
           one: deployment.Deployment) -> deployment.Hire:
    def hire(name: str, home: pathlib.Path,
             configured: dict[str, object]) -> scheduler.Scheduler:
        options = upstream.options(made, world.CENTRAL, None)
        # As by default.
        del options['scheduler']['interval']
        options['scheduler'] |= configured
        options['service_auth'] |= _through(one)
        return upstream.StockScheduler(name, home, env, options)

    return hire


def _through(one: deployment.Deployment) -> dict[str, object]:
    """What leads a scheduler through the proxies."""
    return {'os_auth_url': f'{one.keystone.url}/v3',
            'os_backup_url': one.api.url}


def _api_options(made: cloud.Cloud) -> config.Options:
    options = config.freezer_api(made.layout, made.settings,
                                 secrets.load(made.layout))
    # As operators run it: a token that was asked about is known for a while.
    del options['keystone_authtoken']['token_cache_time']
    return {name: options[name]
            for name in ('keystone_authtoken', 'user_credentials')}

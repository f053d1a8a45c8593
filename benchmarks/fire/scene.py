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

"""Everything that is set on fire: Keystone, Cinder, the API, schedulers."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import concurrent.futures
import contextlib
import dataclasses
import pathlib
import random
import time
from typing import Any

from benchmarks.api import sides
from benchmarks import catalogue
from benchmarks.cinder import process
from benchmarks.fire import database
from benchmarks.fire import scheduler
from benchmarks.fire import servers
from benchmarks.fire import upstream
from tools.cloud import cloud
from tools.cloud import config
from tools.cloud import environments
from tools.cloud import errors
from tools.cloud import progress
from tools.cloud import rest
from tools.cloud import secrets

_SERVED = pathlib.Path(__file__).resolve().parent / 'inside' / 'served.py'
_PATIENCE = 60
CLIENT = 'central'

#: What the schedulers are configured with, in seconds. The lease is the
#: shortest that fits the others.
TUNED = {'claim_interval': 1, 'poll_interval': 1, 'request_timeout': 4,
         'lease_seconds': 12, 'heartbeat_interval': 20,
         'maintenance_interval': 20}

#: What they have by default.
SHIPPED = {'claim_interval': 5, 'poll_interval': 10, 'request_timeout': 30,
           'lease_seconds': 60}


#: Makes a scheduler by its name.
Team = Callable[[str], scheduler.Scheduler]


@dataclasses.dataclass(frozen=True)
class Size:
    """How much there is of everything.

    :ivar interval: seconds between two firings of a job, in the mean
    :ivar busy: seconds between the moments at which Cinder finishes backups
    :ivar prunes: which part of the jobs remove old backups
    :ivar keep_days: after which a backup is old
    """

    jobs: int
    projects: int
    schedulers: int
    interval: int
    busy: float
    prunes: float = 0.3
    # A wrong clock must not make backups old.
    keep_days: float = 30


@dataclasses.dataclass
class Scene:
    """What a trial works with.

    :ivar guest: the scheduler that only joins and leaves
    :ivar jobs: their ids by their volumes
    :ivar server: that of the database, where it is the trial's own
    """

    cloud: cloud.Cloud
    cinder: process.FakeCinder
    database: database.Database
    api: sides.Side
    schedulers: dict[str, scheduler.Scheduler]
    guest: str
    home: pathlib.Path
    jobs: dict[str, str] = dataclasses.field(default_factory=dict)
    server: servers.Server | None = None

    @property
    def requests(self) -> pathlib.Path:
        """What the API wrote down."""
        return self.home / 'api' / 'requests.jsonl'

    def make_jobs(self, size: Size, seed: int, seconds: float) -> float:
        """Make the jobs; return when the first can fire, in epoch seconds.

        Their firings end by themselves.
        """
        chance = random.Random(seed)  # noqa: S311
        sessions = [self.cloud.session(f'project-{number + 1}')
                    for number in range(size.projects)]
        self._await_client(sessions[0])
        begin = time.time() + 3 + 0.12 * size.jobs
        documents = [_document(volume, size, chance, begin, begin + seconds)
                     for volume in self.cinder.state()['volumes']]

        def make(number: int) -> str:
            session = sessions[number % size.projects]
            made = session.call(
                'POST', f'{self._url}/v2/{session.project_id}/jobs',
                documents[number])
            job_id: str = made['job_id']
            return job_id

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for volume, job_id in zip(
                    self.cinder.state()['volumes'],
                    pool.map(make, range(size.jobs)), strict=True):
                self.jobs[volume] = job_id
        return begin

    @property
    def _url(self) -> str:
        return f'http://127.0.0.1:{self.api.port}'

    def _await_client(self, session: rest.Session) -> None:
        end = time.monotonic() + _PATIENCE
        url = f'{self._url}/v2/{session.project_id}/clients'
        while not session.call('GET', url)['clients']:
            if time.monotonic() > end:
                raise errors.QuickstartError('no scheduler has registered')
            time.sleep(0.2)


def _document(volume: str, size: Size, chance: random.Random, begin: float,
              end: float) -> dict[str, Any]:
    """A job, of which every fourth fires at the same seconds as others."""
    schedule: dict[str, Any] = {
        'schedule_start_date': _date(begin), 'schedule_end_date': _date(end)}
    if chance.random() < 0.25:
        schedule['schedule_second'] = f'*/{min(30, size.interval)}'
    else:
        seconds = chance.uniform(0.5, 1.5) * size.interval
        schedule['schedule_interval'] = f'{seconds:.0f} seconds'
        schedule['schedule_start_date'] = _date(
            begin + chance.uniform(0, size.interval))
    return {
        'client_id': CLIENT, 'job_schedule': schedule, 'job_actions': [{
            'freezer_action': {
                'action': 'backup', 'mode': 'cindernative',
                'cindernative_vol_id': volume,
                **({'remove_older_than': size.keep_days}
                   if chance.random() < size.prunes else {})},
            'max_retries': 2, 'max_retries_interval': 1}]}


def _date(epoch: float) -> str:
    return time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(epoch))


@contextlib.contextmanager
def keystone(home: pathlib.Path, projects: int, envs: pathlib.Path,
             tell: progress.Progress) -> Iterator[cloud.Cloud]:
    """A cloud of which nothing but Keystone goes on."""
    made = cloud.Cloud(home, home=envs)
    with tell.step('starting Keystone'):
        made.up(cloud.Options.on_free_ports(projects=projects, volumes=0))
    try:
        for name in ('freezer-scheduler', 'freezer-api', 'cinder'):
            made.processes[name].stop()
        yield made
    finally:
        made.down(purge=True)


@contextlib.contextmanager
def scene(made: cloud.Cloud, engine: str, server: str, home: pathlib.Path,
          size: Size, env: environments.Environment, team: Team,
          scheduling: Mapping[str, object] | None = None) -> Iterator[Scene]:
    """Everything up on one database, and gone in the end.

    :param scheduling: options of the API's group of that name
    """
    options = _api_options(made)
    options['scheduling'].update(scheduling or {})
    with contextlib.ExitStack() as stack:
        sided: list[sides.Side] = []

        def create(url: str) -> None:
            sided.append(sides.Side('api', env, home / 'api', url, options,
                                    served=_SERVED))
            sided[0].sync()

        base = stack.enter_context(database.made(engine, server, create))
        [api] = sided
        stack.callback(api.stop)
        api.start()
        catalogue.point(made, 'backup', f'http://127.0.0.1:{api.port}')
        cinder = stack.enter_context(process.served(size.jobs, size.busy))
        process.stand_in(made, cinder.url)
        hired = {name: team(name) for name in (
            f's{number + 1}' for number in range(size.schedulers + 1))}
        guest = f's{size.schedulers + 1}'
        for name, one in hired.items():
            stack.callback(one.end, scheduler.KILL)
            if name != guest:
                one.start()
        yield Scene(made, cinder, base, api, hired, guest, home)


@contextlib.contextmanager
def own_team(made: cloud.Cloud, home: pathlib.Path,
             env: environments.Environment,
             timings: Mapping[str, int]) -> Iterator[Team]:
    """Schedulers of this project.

    :param timings: options of theirs, in seconds
    """
    options = config.scheduler(made.layout, made.settings,
                               secrets.load(made.layout))
    options['scheduler'] |= {'client_id': CLIENT, **timings}
    yield lambda name: scheduler.Scheduler(name, home / name, env, options)


@contextlib.contextmanager
def stock_team(made: cloud.Cloud, home: pathlib.Path,
               env: environments.Environment) -> Iterator[Team]:
    """Schedulers of 19.0.0."""
    with upstream.redis(home) as redis:
        upstream.agent(home)
        options = upstream.options(made, CLIENT, redis)
        yield lambda name: upstream.StockScheduler(
            name, home / name, env, options)


def _api_options(made: cloud.Cloud) -> config.Options:
    options = config.freezer_api(made.layout, made.settings,
                                 secrets.load(made.layout))
    # As operators run it: a token that was asked about is known for a while.
    del options['keystone_authtoken']['token_cache_time']
    return {**{name: options[name]
               for name in ('keystone_authtoken', 'user_credentials')},
            'scheduling': {'autostart_delay': 0, 'minimum_interval': 0}}

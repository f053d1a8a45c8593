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

"""What a trial works on: Keystone, Cinder, the API, its database, schedulers.

The API runs in two processes and records its requests; the database records
each change of a run.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import concurrent.futures
import contextlib
import dataclasses
import pathlib
import random
import signal
import time
from typing import Any

from benchmarks.environment import api_server
from benchmarks.environment import cinder as cinders
from benchmarks.environment import database
from benchmarks.environment import database_server
from benchmarks.environment import keystone
from benchmarks.environment import legacy_scheduler
from benchmarks.environment import scheduler
from benchmarks.environment import virtualenvs
from benchmarks.load import documents
from benchmarks.stages.chaos import observations
from tools.cloud import cloud
from tools.cloud import errors
from tools.cloud import progress
from tools.cloud import rest

_PATIENCE = 60

#: Options of the schedulers, in seconds. The lease is the shortest that fits
#: the others.
TUNED = {'claim_interval': 1, 'poll_interval': 1, 'request_timeout': 4,
         'lease_seconds': 12, 'heartbeat_interval': 20,
         'maintenance_interval': 20}

#: Their defaults.
SHIPPED = {'claim_interval': 5, 'poll_interval': 10, 'request_timeout': 30,
           'lease_seconds': 60}

CreateScheduler = Callable[[str], scheduler.Scheduler]


@dataclasses.dataclass(frozen=True)
class Size:
    """How much there is of everything.

    :ivar interval: seconds between two firings of a job, in the mean
    :ivar prunes: share of the jobs that remove old backups
    :ivar keep_days: after which a backup is old
    """

    jobs: int
    projects: int
    schedulers: int
    interval: int
    prunes: float = 0.3
    # A wrong clock must not make backups old.
    keep_days: float = 30


@dataclasses.dataclass
class Environment:
    """Everything, started.

    :ivar guest: the scheduler that only joins and leaves
    :ivar jobs: their ids by their volumes
    :ivar server: the database server, if it is the trial's own
    """

    cloud: cloud.Cloud
    cinder: cinders.FakeCinder
    api: api_server.ApiServer
    schedulers: dict[str, scheduler.Scheduler]
    guest: str
    jobs: dict[str, str] = dataclasses.field(default_factory=dict)
    server: database_server.DatabaseServer | None = None

    @property
    def database(self) -> database.Database:
        return self.api.database

    @property
    def names(self) -> list[str]:
        """The schedulers that are there all the time."""
        return [name for name in self.schedulers if name != self.guest]

    def create_jobs(self, size: Size, seed: int, seconds: float) -> float:
        """Create the jobs, whose firings end after some seconds.

        :returns: when the first can fire, in epoch seconds
        """
        chance = random.Random(seed)  # noqa: S311
        sessions = [self.cloud.session(f'project-{number + 1}')
                    for number in range(size.projects)]
        self._await_client(sessions[0])
        begin = time.time() + 3 + 0.12 * size.jobs
        volumes = self.cinder.state()['volumes']
        bodies = [_document(volume, size, chance, begin, begin + seconds)
                  for volume in volumes]

        def create(number: int) -> str:
            session = sessions[number % size.projects]
            made = session.call(
                'POST', f'{self.api.url}/v2/{session.project_id}/jobs',
                bodies[number])
            job_id: str = made['job_id']
            return job_id

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            self.jobs.update(zip(volumes, pool.map(create, range(size.jobs)),
                                 strict=True))
        return begin

    def _await_client(self, session: rest.Session) -> None:
        end = time.monotonic() + _PATIENCE
        url = f'{self.api.url}/v2/{session.project_id}/clients'
        while not session.call('GET', url)['clients']:
            if time.monotonic() > end:
                raise errors.QuickstartError('no scheduler has registered')
            time.sleep(0.2)


def _document(volume: str, size: Size, chance: random.Random, begin: float,
              end: float) -> dict[str, Any]:
    """Return a job; every fourth fires at the same seconds as others."""
    schedule: dict[str, Any] = {
        'schedule_start_date': documents.utc(begin),
        'schedule_end_date': documents.utc(end)}
    if chance.random() < 0.25:
        schedule['schedule_second'] = f'*/{min(30, size.interval)}'
    else:
        seconds = chance.uniform(0.5, 1.5) * size.interval
        schedule['schedule_interval'] = f'{seconds:.0f} seconds'
        schedule['schedule_start_date'] = documents.utc(
            begin + chance.uniform(0, size.interval))
    return {
        'client_id': documents.CENTRAL, 'job_schedule': schedule,
        'job_actions': [{
            'freezer_action': {
                'action': 'backup', 'mode': 'cindernative',
                'cindernative_vol_id': volume,
                **({'remove_older_than': size.keep_days}
                   if chance.random() < size.prunes else {})},
            'max_retries': 2, 'max_retries_interval': 1}]}


@contextlib.contextmanager
def running(made: cloud.Cloud, engine: str, server: str | None,
            home: pathlib.Path, size: Size, tell: progress.Progress,
            timings: Mapping[str, int] = TUNED, upstream: bool = False,
            own_server: bool = False,
            scheduling: Mapping[str, object] | None = None,
            ) -> Iterator[Environment]:
    """Everything started on one database, and ended in the end.

    :param made: a cloud whose Keystone runs
    :param server: URL of the database server, None for that of this machine
    :param timings: options of the schedulers
    :param upstream: use schedulers of 19.0.0
    :param own_server: start a database server, which can be killed
    :param scheduling: options of the API's group of that name
    """
    env = virtualenvs.create(virtualenvs.ours(), tell)
    with contextlib.ExitStack() as stack:
        started = (stack.enter_context(database_server.running(engine))
                   if own_server else None)
        base = database.Database.on_server(
            started.url if started is not None
            else server or database.SERVERS[engine])
        api = api_server.ApiServer(
            'api', env, home / 'api', base, {
                **keystone.api_options(made), 'scheduling': {
                    'autostart_delay': 0, 'minimum_interval': 0,
                    **(scheduling or {})}}, recorded=True)
        base.create()
        stack.callback(base.drop)
        api.create_tables()
        observations.record_changes(base)
        stack.callback(api.stop)
        api.start()
        cinders.set_endpoint(made, 'backup', api.url)
        cinder = stack.enter_context(cinders.running(made, size.jobs, 1))
        create: CreateScheduler
        if upstream:
            legacy_env = virtualenvs.create(virtualenvs.upstream(), tell)
            legacy_scheduler.use_recording_agent(home)
            legacy = legacy_scheduler.options(
                made, documents.CENTRAL,
                stack.enter_context(legacy_scheduler.redis(home)))

            def create(name: str) -> scheduler.Scheduler:
                return legacy_scheduler.LegacyScheduler(
                    name, home / name, legacy_env, legacy)
        else:
            options = keystone.scheduler_options(made, documents.CENTRAL,
                                                 **timings)

            def create(name: str) -> scheduler.Scheduler:
                return scheduler.Scheduler(name, home / name, env, options,
                                           instrumented=True)
        guest = f's{size.schedulers + 1}'
        schedulers = {name: create(name) for name in (
            f's{number + 1}' for number in range(size.schedulers + 1))}
        for name, one in schedulers.items():
            stack.callback(one.end, signal.SIGKILL)
            if name != guest:
                one.start()
        yield Environment(made, cinder, api, schedulers, guest,
                          server=started)

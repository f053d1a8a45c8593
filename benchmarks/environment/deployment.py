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

"""One product on one database: its API, its jobs, and its schedulers."""

from __future__ import annotations

import collections
from collections.abc import Callable
import dataclasses
import pathlib
import signal
import time
from typing import Any

from benchmarks.environment import api_server
from benchmarks.environment import keystone
from benchmarks.environment import scheduler
from benchmarks.load import documents
from benchmarks.load import requests
from benchmarks.observation import processes
from benchmarks.observation import proxy
from benchmarks import report

CLAIM = 'POST /v2/*/clients/central/claims'
PAGE = 'GET /v2/*/jobs'
CHANGE = 'PATCH /v2/*/jobs/*'
LOGIN = 'POST /v3/auth/tokens'

#: How many jobs a scheduler of 19.0.0 asks for at a time.
PAGE_SIZE = 10

#: Creates a scheduler in a folder, by its name, with options of
#: ``[scheduler]`` beside the defaults.
CreateScheduler = Callable[[str, pathlib.Path, dict[str, object]],
                           scheduler.Scheduler]


@dataclasses.dataclass(frozen=True)
class Reading:
    """What has been used and asked for until a moment, or between two.

    :ivar seconds: monotonic
    :ivar api: usage of all processes of the API
    :ivar schedulers: usage of all schedulers
    :ivar statements: number of SQL statements of the API
    :ivar asked: requests of the schedulers to the API, by kind
    :ivar logins: requests of the schedulers to Keystone, by kind
    """

    seconds: float
    api: processes.Usage
    schedulers: processes.Usage
    statements: int
    asked: collections.Counter[str]
    logins: collections.Counter[str]

    def since(self, earlier: Reading) -> Reading:
        return Reading(
            self.seconds - earlier.seconds, self.api - earlier.api,
            self.schedulers - earlier.schedulers,
            self.statements - earlier.statements, self.asked - earlier.asked,
            self.logins - earlier.logins)


@dataclasses.dataclass(frozen=True)
class Started:
    """How a scheduler came to where it can run what is due.

    :ivar seconds: from the start of its process, or until it was given up
    :ivar listing: of these, until the list was read or given up
    :ivar spent: meanwhile
    :ivar resident: KiB of the scheduler then
    :ivar whole: it was not given up
    """

    seconds: float
    listing: float
    spent: Reading
    resident: int
    whole: bool


class Deployment:
    """One product on one database.

    :param users: of the cloud
    :param keystone_port: of Keystone
    :param home: where each scheduler gets a folder
    :param per_project: how many jobs a project has, see
        ``Database.copy_jobs``
    :param creator: returns what creates schedulers of this deployment
    :ivar name: ``ours`` or ``upstream``
    :ivar proxy: in front of the API, for the schedulers alone
    :ivar keystone: in front of Keystone, likewise
    :ivar schedulers: those that run
    :ivar started: they can run due jobs
    :ivar job_ids: copied central jobs in the project of the first member
    """

    def __init__(self, api: api_server.ApiServer, users: keystone.Users,
                 keystone_port: int, home: pathlib.Path,
                 per_project: int,
                 creator: Callable[[Deployment], CreateScheduler]) -> None:
        self.name = api.name
        self.api = api
        self.users = users
        self.home = home
        self.proxy = proxy.CountingProxy(api.port)
        self.keystone = proxy.CountingProxy(keystone_port)
        self.schedulers: list[scheduler.Scheduler] = []
        self.started = False
        self.jobs = 0
        self.job_ids: list[str] = []
        self._per_project = per_project
        self._templates: list[str] = []
        self._create = creator(self)
        self._created = 0
        self.proxy.start()
        self.keystone.start()

    def close(self) -> None:
        self.stop(signal.SIGKILL)
        self.proxy.stop()
        self.keystone.stop()

    # -- the API --

    @property
    def member(self) -> keystone.User:
        """The user whose jobs are worked on."""
        return self.users.members[0]

    def send(self, request: requests.Request) -> requests.Answer:
        return requests.send(self.api.port, request)

    def register(self) -> None:
        """Register the clients, and create a job of each member.

        All of that goes through the API: these jobs have real trusts.
        """
        document = documents.client(documents.CENTRAL, True)
        if self.name == report.OURS:
            # The service's own account claims for it.
            owner, document['claims'] = self.users.service, True
        else:
            # 19.0.0 lets only an administrator register a central client.
            owner = self.users.admin
        self.send(owner.request('POST', 'clients', document))
        self.send(self.member.request(
            'POST', 'clients', documents.client(documents.PLAIN, False)))
        self._templates = [
            self.send(member.request('POST', 'jobs', documents.job(
                documents.CENTRAL))).document['job_id']
            for member in self.users.members]
        self.jobs = len(self._templates)

    def grow(self, jobs: int) -> None:
        """Copy jobs until there are so many."""
        if jobs > self.jobs:
            own = self.api.database.copy_jobs(
                self._templates, self.jobs, jobs, self._per_project)
            self.job_ids += own[self._templates[0]]
            self.jobs = jobs

    def comparable_jobs(self) -> list[dict[str, Any]]:
        """Return documents of jobs, without what differs between the sides.

        That is ids, times, and what only one side shows.
        """
        found = []
        # The last ones: others may have been worked on.
        for job_id in self.job_ids[-20:]:
            job = self.send(self.member.request(
                'GET', f'jobs/{job_id}')).document
            assert job.pop('job_id') == job_id
            credentials = job.pop('user_credentials')
            assert credentials.pop('trust_id')
            for name in ('trust_id', 'trustor_user_id', 'next_run_at'):
                job.pop(name, None)
            job['trustor'] = credentials
            for action in job['job_actions']:
                assert action.pop('action_id')
                action.pop('mandatory', None)
                action['freezer_action'] = {
                    key: value
                    for key, value in action['freezer_action'].items()
                    if value is not None}
            for name in ('time_created', 'status', 'event', 'result'):
                job['job_schedule'].pop(name, None)
            found.append(job)
        return found

    # -- the schedulers --

    def start(self, count: int = 1, **configured: object) -> float:
        """Start schedulers; return when the first was, in monotonic seconds.

        :param configured: options of ``[scheduler]`` beside the defaults
        """
        began = time.monotonic()
        for number in range(count):
            self._created += 1
            name = f's{self._created}'
            one = self._create(name, self.home / name, configured)
            if not number:
                began = time.monotonic()
            one.start()
            self.schedulers.append(one)
        return began

    def start_and_wait(self, patience: float,
                       **configured: object) -> Started:
        """Restart the scheduler; wait until it can run due jobs.

        Ours can when its first claim is answered. That of 19.0.0 reads the
        whole list, and then changes one job after the other: it can when all
        are changed.

        :param patience: seconds
        """
        self.stop()
        self.reset()
        before = self.read()
        began = self.start(1, **configured)
        kind, wanted = ((CLAIM, 1) if self.name == report.OURS
                        else (CHANGE, self.jobs))
        while (self.proxy.seen()[kind] < wanted
               and time.monotonic() - began <= patience):
            time.sleep(0.02)
        after = self.read()
        self.started = whole = self.proxy.seen()[kind] >= wanted
        ended = (self.proxy.first(kind) if self.name == report.OURS
                 else self.proxy.last(kind)) if whole else None
        listed = self.proxy.last(PAGE) if self.proxy.seen()[CHANGE] else None
        return Started((ended or after.seconds) - began,
                       (listed or after.seconds) - began, after.since(before),
                       after.schedulers.resident, whole)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End all schedulers."""
        for one in self.schedulers:
            one.end(number)
        self.schedulers.clear()
        self.started = False

    def reset(self) -> None:
        """Count requests of the schedulers from zero."""
        self.proxy.reset()
        self.keystone.reset()

    def read(self) -> Reading:
        return Reading(
            seconds=time.monotonic(),
            api=processes.Usage.of_all(self.api.pids),
            schedulers=processes.Usage.of_all(
                one.pid for one in self.schedulers),
            statements=self.api.statements,
            asked=self.proxy.seen(), logins=self.keystone.seen())


def pages(jobs: int) -> int:
    """Return how many pages a scheduler of 19.0.0 reads of so many jobs."""
    return jobs // PAGE_SIZE + 1

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

"""Who asks the two APIs, and what stands in them before they are measured."""

from __future__ import annotations

import dataclasses
from typing import Any

from benchmarks.api import load
from benchmarks.api import sides
from tools.cloud import cloud
from tools.cloud import rest

CENTRAL = 'central'
PLAIN = 'node-1'

_CAPABILITIES = {
    'supported_actions': ['backup', 'restore'],
    'supported_modes': ['cindernative'],
    'supported_storages': ['swift'],
    'supported_engines': ['tar'],
}


@dataclasses.dataclass(frozen=True)
class User:
    """Somebody with a token."""

    project_id: str
    token: str = dataclasses.field(repr=False)

    def request(self, method: str, path: str,
                body: Any = None) -> load.Request:
        """A request below the user's own project."""
        return load.Request(
            method, f'/v2/{self.project_id}/{path}', self.token, body)


def log_in(made: cloud.Cloud, name: str) -> User:
    """Log in with a name of clouds.yaml."""
    account = made.account(name)
    domain = {'id': 'default'}
    answer, headers = rest.request(
        'POST', f'{made.settings.auth_url}/auth/tokens', {'auth': {
            'identity': {'methods': ['password'], 'password': {'user': {
                'name': account.user, 'domain': domain,
                'password': account.password}}},
            'scope': {'project': {
                'name': account.project, 'domain': domain}}}})
    return User(answer['token']['project']['id'],
                headers['X-Subject-Token'])


@dataclasses.dataclass(frozen=True)
class People:
    """The accounts of a cloud that ask."""

    admin: User
    service: User
    members: list[User]

    @classmethod
    def of(cls, made: cloud.Cloud) -> People:
        return cls(log_in(made, 'admin'), log_in(made, 'service'), [
            log_in(made, f'project-{number}')
            for number in range(1, made.settings.projects + 1)])


def client_document(client_id: str, central: bool) -> dict[str, Any]:
    """A scheduler as it registers."""
    return {'client_id': client_id, 'hostname': 'host-1',
            'description': 'benchmark', 'is_central': central,
            **_CAPABILITIES}


def job_document(client_id: str) -> dict[str, Any]:
    """A job that is not due while it is measured."""
    return {
        'description': 'template', 'client_id': client_id,
        'job_schedule': {'schedule_interval': '30 days'},
        'job_actions': [{
            'freezer_action': {
                'action': 'backup', 'mode': 'cindernative',
                'backup_name': 'nightly', 'container': 'backups',
                'storage': 'swift', 'engine_name': 'tar',
                'cindernative_vol_id': '4d9d40a4-50b3-4f5f-8f0f-d3d7c5bb1d0e'},
            'max_retries': 2, 'max_retries_interval': 60}],
    }


class World:
    """One API with its data.

    :param side: the API, served
    :param people: who asks it
    :param per_project: how many jobs a project gets, see ``sides.Side.fill``
    """

    def __init__(self, side: sides.Side, people: People,
                 per_project: int | None = None) -> None:
        self.side = side
        self.people = people
        self.jobs = 0
        self._per_project = per_project
        self._templates: list[str] = []
        #: Ids of central jobs in the project of the first member, all copies.
        self.job_ids: list[str] = []

    @property
    def member(self) -> User:
        """The user whose jobs are worked on."""
        return self.people.members[0]

    def send(self, request: load.Request) -> load.Answer:
        return load.send(self.side.port, request)

    def register(self) -> None:
        """Register the clients, and make one job of each member.

        All of that through the API: these jobs have real trusts.
        """
        # Whoever may register a central one: upstream wants an
        # administrator, here the service's own account claims for it.
        owner = (self.people.service if self.side.name == 'ours'
                 else self.people.admin)
        document = client_document(CENTRAL, True)
        if self.side.name == 'ours':
            document['claims'] = True
        self.send(owner.request('POST', 'clients', document))
        self.send(self.member.request(
            'POST', 'clients', client_document(PLAIN, False)))
        for member in self.people.members:
            answer = self.send(member.request(
                'POST', 'jobs', job_document(CENTRAL)))
            self._templates.append(answer.document['job_id'])
        self.jobs = len(self._templates)
        self.job_ids = []

    def grow(self, jobs: int) -> None:
        """Copy jobs until there are so many."""
        if jobs > self.jobs:
            made = self.side.fill(self._templates, self.jobs, jobs,
                                  self._per_project)
            self.job_ids += made[self._templates[0]]
            self.jobs = jobs

    def sample(self) -> list[dict[str, Any]]:
        """Documents of jobs, without what differs from API to API.

        That is ids, times, and what the one shows and the other does not.
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

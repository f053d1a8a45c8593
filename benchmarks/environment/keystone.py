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

"""A real Keystone, its users, and what services are configured with."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import dataclasses
import pathlib
from typing import Any

from benchmarks.load import requests
from tools.cloud import cloud
from tools.cloud import config
from tools.cloud import progress
from tools.cloud import rest
from tools.cloud import secrets

_TOKEN_SECONDS = 4 * 3600


@contextlib.contextmanager
def running(home: pathlib.Path, projects: int,
            tell: progress.Progress) -> Iterator[cloud.Cloud]:
    """A cloud of which only Keystone runs, with projects and users."""
    made = cloud.Cloud(home)
    with tell.step('starting Keystone'):
        made.up(dataclasses.replace(
            cloud.Options.on_free_ports(projects=projects, volumes=0),
            token_seconds=_TOKEN_SECONDS), names=('keystone',))
    try:
        yield made
    finally:
        made.down(purge=True, keep_logs=True)


@dataclasses.dataclass(frozen=True)
class User:
    """A user with a token."""

    project_id: str
    token: str = dataclasses.field(repr=False)

    def request(self, method: str, path: str,
                body: Any = None) -> requests.Request:
        """Return a request below the user's own project."""
        return requests.Request(
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
class Users:
    """The accounts of a cloud.

    :ivar members: one of each project
    """

    admin: User
    service: User
    members: list[User]

    @classmethod
    def of(cls, made: cloud.Cloud) -> Users:
        return cls(log_in(made, 'admin'), log_in(made, 'service'), [
            log_in(made, f'project-{number}')
            for number in range(1, made.settings.projects + 1)])


def api_options(made: cloud.Cloud) -> config.Options:
    """Return what the API of either side is configured with."""
    options = config.freezer_api(made.layout, made.settings,
                                 secrets.load(made.layout))
    # As operators run it: each process caches a token for five minutes.
    del options['keystone_authtoken']['token_cache_time']
    return {name: options[name]
            for name in ('keystone_authtoken', 'user_credentials')}


def scheduler_options(made: cloud.Cloud, client_id: str,
                      **configured: object) -> config.Options:
    """Return what a scheduler of this project is configured with.

    :param configured: options of ``[scheduler]`` beside the defaults
    """
    options = config.scheduler(made.layout, made.settings,
                               secrets.load(made.layout))
    options['scheduler'] = {'client_id': client_id, 'service_mode': True,
                            **configured}
    return options

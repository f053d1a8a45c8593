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

"""The files for users of a cloud: clouds.yaml, openrc files, commands."""

import collections.abc
import dataclasses
import json
import shlex
import typing

from tools.cloud import config
from tools.cloud import environments
from tools.cloud import layout
from tools.cloud import secrets

Mapping = collections.abc.Mapping[str, typing.Any]


@dataclasses.dataclass(frozen=True)
class Account:
    """A user in a project, with its name in clouds.yaml."""

    cloud: str
    user: str
    password: str = dataclasses.field(repr=False)
    project: str


def accounts(settings: layout.Settings,
             keep: secrets.Secrets) -> list[Account]:
    """Return all accounts of a cloud."""
    return [
        Account('admin', 'admin', keep.admin, 'admin'),
        Account('service', config.SERVICE_USER, keep.freezer, 'service'),
        *(project_account(number)
          for number in range(1, settings.projects + 1)),
    ]


def project_account(number: int) -> Account:
    """Return the member of a project, whose password is not secret."""
    user = f'user-{number}'
    return Account(f'project-{number}', user, user, f'project-{number}')


def variables(account: Account, auth_url: str) -> dict[str, str]:
    """Return the environment variables for an account."""
    return {
        'OS_AUTH_URL': auth_url,
        'OS_IDENTITY_API_VERSION': '3',
        'OS_USERNAME': account.user,
        'OS_PASSWORD': account.password,
        'OS_PROJECT_NAME': account.project,
        'OS_USER_DOMAIN_NAME': 'Default',
        'OS_PROJECT_DOMAIN_NAME': 'Default',
        'OS_REGION_NAME': config.REGION,
    }


def write(where: layout.Layout, settings: layout.Settings,
          keep: secrets.Secrets, envs: environments.Environments) -> None:
    """Write clouds.yaml, the openrc files and the commands in bin/."""
    everybody = accounts(settings, keep)
    clouds = {}
    for account in everybody:
        clouds[account.cloud] = {
            'region_name': config.REGION,
            'identity_api_version': 3,
            'auth': {
                'auth_url': settings.auth_url,
                'username': account.user,
                'password': account.password,
                'project_name': account.project,
                'user_domain_name': 'Default',
                'project_domain_name': 'Default',
            },
        }
        values = variables(account, settings.auth_url)
        layout.write_private(
            where.openrc(account.cloud),
            ''.join(f'export {name}={shlex.quote(value)}\n'
                    for name, value in values.items()))
    layout.write_private(where.clouds_yaml, _yaml({'clouds': clouds}))
    _write_commands(where, envs)


def _yaml(document: Mapping, indent: str = '') -> str:
    """Return nested mappings as YAML; a JSON string is a YAML string."""
    lines = []
    for name, value in document.items():
        if isinstance(value, str | int):
            lines.append(f'{indent}{name}: {json.dumps(value)}\n')
        else:
            lines.append(f"{indent}{name}:\n{_yaml(value, indent + '  ')}")
    return ''.join(lines)


def _write_commands(where: layout.Layout,
                    envs: environments.Environments) -> None:
    state = shlex.quote(str(where.state))
    # The freezer command does not support OS_CLOUD, so the script sets the
    # variables of that cloud.
    choose = ('if [ -n "$OS_CLOUD" ] && [ -z "$OS_AUTH_URL" ]; then\n'
              f'    . {state}/openrc-"$OS_CLOUD" || exit 1\n'
              'fi\n')
    configured = f'export OS_CLIENT_CONFIG_FILE={state}/clouds.yaml\n'
    api_conf = ('--config-file', str(where.etc / 'freezer-api.conf'))
    scheduler_conf = ('--config-file', str(where.etc / 'scheduler.conf'))
    for name, env, before, options in (
            ('freezer', envs.cli, choose, ()),
            ('openstack', envs.cli, configured, ()),
            ('freezer-manage', envs.service, '', api_conf),
            ('freezer-status', envs.service, '', api_conf),
            ('freezer-scheduler', envs.service, '', scheduler_conf)):
        command = shlex.join([env.script(name), *options])
        layout.write_private(
            where.bin / name,
            '#!/bin/sh\n'
            'export no_proxy="127.0.0.1${no_proxy:+,$no_proxy}"\n'
            f'{before}exec {command} "$@"\n',
            mode=0o700)

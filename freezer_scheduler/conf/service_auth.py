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

"""[service_auth]: the scheduler's own account in Keystone.

Each value can be given as ``os_X`` or ``X`` in the file, as ``--os-X``,
``--os_X`` or ``--service_auth-X`` on the command line, and as ``OS_X`` in the
environment. The environment is not the default of an option, so that it never
appears in samples, help or logs.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses

from oslo_config import cfg

GROUP = cfg.OptGroup('service_auth', title="The scheduler's own account")

_ENDPOINT_TYPES = ('public', 'publicURL', 'internal', 'internalURL', 'admin',
                   'adminURL')
_HELP = {
    'username': 'User name.',
    'password': 'Password.',
    'project-id': 'Project id.',
    'project-name': 'Project name.',
    'project-domain-id': "Id of the project's domain.",
    'project-domain-name': "Name of the project's domain.",
    'user-domain-id': "Id of the user's domain.",
    'user-domain-name': "Name of the user's domain.",
    'auth-url': 'URL of Keystone.',
    'backup-url': 'URL of the Freezer API, instead of the catalogue.',
    'region-name': 'Region to look for endpoints in. Needed where the '
                   'catalogue of Keystone has several.',
    'application-credential-id': 'Application credential, in place of user '
                                 'and project. Not usable in service mode.',
    'application-credential-secret': "The application credential's secret.",
    'token': 'A token. Not usable in service mode, which outlives it.',
    'endpoint-type': 'Interface of the endpoints in the catalogue; "public" '
                     'where none is given.',
    'cert': 'Client certificate with its key, in one PEM file.',
    'cacert': 'Certificates of the authorities to trust.',
}
_SECRET = ('password', 'token', 'application-credential-secret')


def _opt(name: str) -> cfg.Opt:
    under = name.replace('-', '_')
    choices = _ENDPOINT_TYPES if name == 'endpoint-type' else None
    return cfg.StrOpt(
        name, dest='os_' + under, secret=name in _SECRET, choices=choices,
        deprecated_opts=[
            cfg.DeprecatedOpt('os-' + name, group='DEFAULT'),
            cfg.DeprecatedOpt('os_' + under, group='DEFAULT')],
        help=f'{_HELP[name]} Environment: OS_{under.upper()}.')


OPTS = [_opt(name) for name in _HELP]


def plain_opts() -> list[cfg.Opt]:
    """Return the same options, spelled without ``os_`` as in files."""
    return [cfg.StrOpt(name.replace('-', '_'), secret=name in _SECRET,
                       choices=_ENDPOINT_TYPES
                       if name == 'endpoint-type' else None)
            for name in _HELP]


@dataclasses.dataclass(frozen=True)
class ServiceAuth:
    """The account; values that are not set are None."""

    auth_url: str | None
    username: str | None
    project_id: str | None
    project_name: str | None
    project_domain_id: str | None
    project_domain_name: str | None
    user_domain_id: str | None
    user_domain_name: str | None
    backup_url: str | None
    region_name: str | None
    cert: str | None
    cacert: str | None
    application_credential_id: str | None = None
    endpoint_type: str = 'public'
    password: str | None = dataclasses.field(default=None, repr=False)
    token: str | None = dataclasses.field(default=None, repr=False)
    application_credential_secret: str | None = dataclasses.field(
        default=None, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that no log or report may contain."""
        return tuple(filter(None, (
            self.password, self.token, self.application_credential_secret)))


def read(conf: cfg.ConfigOpts, environ: Mapping[str, str]) -> ServiceAuth:
    """Read the account: options first, then the environment.

    :raises ValueError: for an unknown endpoint type in the environment
    """
    group = conf.service_auth
    values: dict[str, str | None] = {}
    for name in _HELP:
        under = name.replace('-', '_')
        values[under] = (group['os_' + under] or group[under]
                         or environ.get('OS_' + under.upper()) or None)
    interface = values.pop('endpoint_type') or 'public'
    if interface not in _ENDPOINT_TYPES:
        raise ValueError('OS_ENDPOINT_TYPE: must be one of '
                         + ', '.join(_ENDPOINT_TYPES))
    return ServiceAuth(endpoint_type=interface.removesuffix('URL'), **values)


def variables(auth: ServiceAuth) -> dict[str, str]:
    """Return the account as the OS_* variables of agents.

    Agents cannot log in with an application credential, so it is left out.
    """
    return {f'OS_{field.name.upper()}': value
            for field in dataclasses.fields(auth)
            if not field.name.startswith('application_credential')
            and (value := getattr(auth, field.name))}

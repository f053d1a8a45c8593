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

"""The content of Keystone: roles, accounts, projects, catalogue."""

import functools
import typing

from tools.cloud import config
from tools.cloud import layout
from tools.cloud import rest
from tools.cloud import secrets

#: Service type, name, base URL and path of the endpoint.
_CATALOGUE = (
    ('block-storage', 'cinder', 'cinder_url', '/v3/%(project_id)s'),
    ('volumev3', 'cinderv3', 'cinder_url', '/v3/%(project_id)s'),
    ('backup', 'freezer', 'api_url', ''),
)
_OBJECT_STORE = ('object-store', 'swift', 'swift_url',
                 '/v1/AUTH_%(project_id)s')


class Identity:
    """Creates missing objects in Keystone.

    :param settings: of the cloud
    :param keep: its passwords
    """

    def __init__(self, settings: layout.Settings,
                 keep: secrets.Secrets) -> None:
        self._settings = settings
        self._keep = keep
        self._url = settings.auth_url
        self._session = rest.Session(
            self._url, 'admin', keep.admin, 'admin')

    def services(self) -> None:
        """Create the service accounts and the catalogue."""
        project = self._project('service')
        self._grant(project, self._user('cinder', self._keep.cinder),
                    'admin', 'service')
        self._grant(project,
                    self._user(config.SERVICE_USER, self._keep.freezer),
                    'service')
        catalogue = [*_CATALOGUE]
        if self._settings.swift_ports:
            self._grant(project, self._user('swift', self._keep.swift),
                        'service')
            catalogue.append(_OBJECT_STORE)
        for kind, name, base, path in catalogue:
            service = self._ensure('service', {'type': kind}, name=name)
            for interface in ('public', 'internal', 'admin'):
                self._ensure(
                    'endpoint',
                    {'service_id': service, 'interface': interface,
                     'region_id': config.REGION},
                    url=getattr(self._settings, base) + path)

    def project(self, number: int) -> None:
        """Create a project with a member."""
        name = f'user-{number}'
        self._grant(self._project(f'project-{number}'),
                    self._user(name, name), 'member')

    def _project(self, name: str) -> str:
        return self._ensure('project', {'name': name},
                            domain_id='default')

    def _user(self, name: str, password: str) -> str:
        return self._ensure('user', {'name': name}, password=password,
                            domain_id='default')

    @functools.cached_property
    def _roles(self) -> dict[str, str]:
        found = self._call('GET', '/roles')['roles']
        return {role['name']: role['id'] for role in found}

    def _grant(self, project: str, user: str, *roles: str) -> None:
        for role in roles:
            self._call('PUT', f'/projects/{project}/users/{user}'
                              f'/roles/{self._roles[role]}')

    def _ensure(self, noun: str, key: dict[str, str],
                **values: str) -> str:
        """Create an object, or correct its URL; return its ID."""
        query = '&'.join(f'{name}={value}' for name, value in key.items())
        found = self._call('GET', f'/{noun}s?{query}')[f'{noun}s']
        if not found:
            made = self._call('POST', f'/{noun}s', {noun: key | values})
            return str(made[noun]['id'])
        row = found[0]
        url = values.get('url', row.get('url'))
        if url != row.get('url'):
            self._call('PATCH', f"/{noun}s/{row['id']}",
                       {noun: {'url': url}})
        return str(row['id'])

    def _call(self, method: str, path: str,
              body: dict[str, typing.Any] | None = None) -> rest.Document:
        return self._session.call(method, self._url + path, body)

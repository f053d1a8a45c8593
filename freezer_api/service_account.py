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

"""The account of the service in Keystone: the trustee of all trusts."""

from __future__ import annotations

from keystoneauth1 import exceptions as ks_exceptions
from keystoneauth1 import identity
from keystoneauth1.identity import v3
from keystoneauth1 import loading
from keystoneauth1 import plugin
from keystoneauth1 import session as ks_session
from keystonemiddleware import opts as authtoken_opts
from oslo_config import cfg
import requests

from freezer_api.domain import regions
from freezer_http import adapter
from freezer_http import answers

_AUTHTOKEN = 'keystone_authtoken'
_TIMEOUT = 30
_CONNECTIONS = 8
_PASSWORD = ('password', 'v3password')
# Sent with a role that may not be known, lest a trust be made of it.
_LONG_AGO = '2000-01-01T00:00:00.000000Z'


# Those that a section besides [keystone_authtoken] does not have already.
_INTERFACE = 'internal'
_ENDPOINT_OPTS = (cfg.StrOpt('region_name'),
                  cfg.StrOpt('interface', default=_INTERFACE))


class ServiceAccount:
    """Logs in with the credentials of a section of the configuration.

    Nothing is asked of Keystone before it is needed. The methods raise
    keystoneauth1.exceptions.ClientException when Keystone refuses or cannot
    be reached.

    :param timeout: seconds for a request to Keystone
    """

    def __init__(self, conf: cfg.ConfigOpts, section: str,
                 timeout: int = _TIMEOUT) -> None:
        if section == _AUTHTOKEN:
            for group, options in authtoken_opts.list_auth_token_opts():
                conf.register_opts(options, group)
        else:
            loading.register_session_conf_options(conf, section)
            conf.register_opts(_ENDPOINT_OPTS, section)
        loading.register_auth_conf_options(conf, section)
        self._conf = conf
        self._section = section
        self._timeout = timeout
        self._group = conf[section]
        # Where the section says that another one has the login.
        self._login_section = self._group.auth_section or section
        self._login = conf[self._login_section]
        self._http = adapter.mount(requests.Session(), _CONNECTIONS)
        self._plugin: plugin.BaseAuthPlugin | None = None
        self._session: ks_session.Session | None = None

    def session(self, auth: plugin.BaseAuthPlugin | None = None,
                ) -> ks_session.Session:
        """Return a session, of the account itself or of another plugin."""
        group = self._group
        cert = group.certfile
        if cert and group.keyfile:
            cert = (group.certfile, group.keyfile)
        return ks_session.Session(
            auth=auth or self._auth(), cert=cert, timeout=self._timeout,
            # A redirect would carry the password to another server.
            session=self._http, redirect=False,
            verify=False if group.insecure else (group.cafile or True))

    def problems(self) -> list[str]:
        """Name the options that no trust can be used with.

        Nothing is asked of Keystone for it.
        """
        section = f'[{self._login_section}]'
        if not self._login.auth_type:
            return [f'{section} auth_type is not set']
        if self._login.auth_type not in _PASSWORD:
            return [f'{section} auth_type must be password: a trust is used '
                    'by logging in with user name and password']
        self._conf.register_opts(loading.get_auth_plugin_conf_options(
            self._login.auth_type), self._login_section)
        given = self._login
        needed = {'auth_url': given.auth_url,
                  'username': given.username or given.user_id,
                  'password': given.password,
                  'project_name': given.project_name or given.project_id}
        if not given.user_id:
            needed['user_domain_name'] = any(self._domain('user'))
        if not given.project_id:
            needed['project_domain_name'] = any(self._domain('project'))
        return [f'{section} {name} is not set'
                for name, value in needed.items() if not value]

    def _domain(self, of: str) -> tuple[str | None, str | None]:
        """Return id and name of the domain of the user or the project."""
        def given(name: str) -> str | None:
            # Only the one plugin knows a default.
            return (self._login[f'{of}_domain_{name}'] or getattr(
                self._login, f'default_domain_{name}', None))

        return given('id'), given('name')

    @property
    def region_name(self) -> str | None:
        """The region that the section names, None where it names none."""
        return self._group.region_name or None

    @property
    def interface(self) -> str:
        """The interface that endpoints of Keystone are looked for at."""
        return str(self._group.interface or _INTERFACE).removesuffix('URL')

    @answers.answered('Keystone')
    def user_id(self) -> str:
        """Return the id of the account's user."""
        return str(self._own_session().get_user_id())

    @answers.answered('Keystone')
    def check(self) -> None:
        """Log in, or find the login still good."""
        self._own_session().get_token()

    @answers.answered('Keystone')
    def roles(self) -> list[str]:
        """Return the names of the account's own roles in its project."""
        session, auth = self._own_session(), self._auth()
        assert isinstance(auth, identity.BaseIdentityPlugin)
        return list(auth.get_access(session).role_names or ())

    @answers.answered('Keystone')
    def endpoints(self, *service_types: str) -> list[regions.Endpoint]:
        """Return the catalogue: the regions, and services by these types.

        Endpoints of other services are there with the type that they have.
        """
        session, auth = self._own_session(), self._auth()
        assert isinstance(auth, identity.BaseIdentityPlugin)
        catalogue = auth.get_access(session).service_catalog
        found = []
        for kind in (None, *service_types):
            data = catalogue.get_endpoints_data(service_type=kind)
            found += [regions.Endpoint(
                kind or own_kind, str(one.interface), one.region_name)
                for own_kind, listed in data.items() for one in listed]
        return found

    @answers.answered('Keystone')
    def endpoint(self, service_type: str) -> str | None:
        """Return a service's URL in the catalogue, None if it has none."""
        try:
            url = self._own_session().get_endpoint(
                service_type=service_type, interface=['public', 'internal'],
                region_name=self.region_name,
                skip_discovery=True)
        except ks_exceptions.EndpointNotFound:
            return None
        return str(url) if url else None

    @answers.answered('Keystone')
    def may_be_trustee(self) -> bool:
        """Return whether the account can look at the trusts given to it."""
        try:
            answer = self._own_session().get(
                f'{self.identity_url()}/OS-TRUST/trusts',
                params={'trustee_user_id': self.user_id()}, log=False)
        except ks_exceptions.HTTPClientError as error:
            if error.response is None or answers.fault(error.response):
                return False
            raise
        return isinstance(answers.document(answer)['trusts'], list)

    @answers.answered('Keystone')
    def has_role(self, name: str) -> bool | None:
        """Return whether Keystone knows a role, None where it will not say.
        """
        session, url = self._own_session(), self.identity_url()
        answer = session.get(f'{url}/roles', params={'name': name},
                             raise_exc=False)
        if answer.ok:
            return bool(answers.document(answer)['roles'])
        # Most do not let a service look. But they tell an unknown role from
        # one that it does not have when it wants to delegate it to itself;
        # one that it has they refuse for a trust that ended long ago.
        user_id = self.user_id()
        answer = session.post(f'{url}/OS-TRUST/trusts', json={'trust': {
            'trustor_user_id': user_id, 'trustee_user_id': user_id,
            'project_id': session.get_project_id(), 'impersonation': True,
            'expires_at': _LONG_AGO, 'roles': [{'name': name}]}},
            raise_exc=False)
        said = answers.fault(answer)
        if said is not None and answer.status_code == 400:
            return True
        if said is not None and answer.status_code == 404:
            return 'not defined' not in said
        return None

    @answers.answered('Keystone')
    def identity_url(self) -> str:
        """Return Keystone's v3 endpoint, as the catalogue has it."""
        url = self._own_session().get_endpoint(
            service_type='identity', min_version=(3, 0),
            max_version=(3, 'latest'),
            interface=self.interface, region_name=self.region_name)
        return url or self._group.auth_url

    def by_trust(self, trust_id: str) -> ks_session.Session:
        """Return a session that acts with a trust to this account.

        :raises oslo_config.cfg.Error: when the account does not log in with
            user and password, the only way to a trust-scoped token
        """
        if problems := self.problems():
            raise cfg.ConfigFileValueError(problems[0])
        login = self._login
        domain_id, domain_name = self._domain('user')
        return self.session(v3.Password(
            self.identity_url(), trust_id=trust_id,
            username=login.username, user_id=login.user_id,
            password=login.password, user_domain_id=domain_id,
            user_domain_name=domain_name))

    def _auth(self) -> plugin.BaseAuthPlugin:
        if self._plugin is None:
            self._plugin = loading.load_auth_from_conf_options(
                self._conf, self._section)
        if self._plugin is None:
            raise cfg.ConfigFileValueError(
                f'[{self._section}] auth_type is not set')
        return self._plugin

    def _own_session(self) -> ks_session.Session:
        if self._session is None:
            self._session = self.session()
        return self._session

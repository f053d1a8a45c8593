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

"""The service account in Keystone: the trustee of all trusts."""

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
from freezer_config import errors
from freezer_http import adapter
from freezer_http import responses

_AUTHTOKEN = 'keystone_authtoken'
_TIMEOUT = 30
_CONNECTIONS = 8
_PASSWORD = ('password', 'v3password')
# Sent with a role that may be unknown, so that no trust can be created.
_LONG_AGO = '2000-01-01T00:00:00.000000Z'

# Options that sections other than [keystone_authtoken] do not have already.
_INTERFACE = 'internal'
_ENDPOINT_OPTS = (cfg.StrOpt('region_name'),
                  cfg.StrOpt('interface', default=_INTERFACE))


class ServiceAccount:
    """Logs in with the credentials of [service_mode] auth_section.

    The first use sends the first request. The methods raise
    keystoneauth1.exceptions.ClientException if Keystone refuses a request or
    cannot be reached.

    :param timeout: seconds for a request to Keystone
    :ivar login_section: the section that contains user name and password
    """

    def __init__(self, conf: cfg.ConfigOpts, timeout: int = _TIMEOUT) -> None:
        section = conf.service_mode.auth_section
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
        # The option auth_section refers to another section with the login.
        self.login_section = self._group.auth_section or section
        self._login = conf[self.login_section]
        self._http = adapter.mount(requests.Session(), _CONNECTIONS)
        self._plugin: plugin.BaseAuthPlugin | None = None
        self._session: ks_session.Session | None = None

    def session(self, auth: plugin.BaseAuthPlugin | None = None,
                ) -> ks_session.Session:
        """Return a session of the account, or of another plugin."""
        group = self._group
        cert = group.certfile
        if cert and group.keyfile:
            cert = (group.certfile, group.keyfile)
        return ks_session.Session(
            auth=auth or self._auth(), cert=cert, timeout=self._timeout,
            # A redirect would send the password to another server.
            session=self._http, redirect=False,
            verify=False if group.insecure else (group.cafile or True))

    def problems(self) -> list[str]:
        """Return a line for each option that prevents the use of trusts.

        This sends no request to Keystone.
        """
        section = f'[{self.login_section}]'
        if not self._login.auth_type:
            return [f'{section} auth_type is not set: set it to password']
        if self._login.auth_type not in _PASSWORD:
            return [f'{section} auth_type must be password: the use of a '
                    'trust requires a login with user name and password']
        options = loading.get_auth_plugin_conf_options(self._login.auth_type)
        self._conf.register_opts(options, self.login_section)
        if unreadable := errors.unreadable(
                self._conf, [(self.login_section, options)]):
            return unreadable
        given = self._login
        needed = {'auth_url': given.auth_url,
                  'username': given.username or given.user_id,
                  'password': given.password,
                  'project_name': given.project_name or given.project_id}
        if not given.user_id:
            needed['user_domain_name'] = any(self._domain('user'))
        if not given.project_id:
            needed['project_domain_name'] = any(self._domain('project'))
        return [f'{section} {name} is not set: the service account needs it'
                for name, value in needed.items() if not value]

    @responses.answered('Keystone')
    def is_known(self) -> bool:
        """Return whether Keystone accepts the user without the project."""
        url = self._login.auth_url.rstrip('/')
        session = self._as_user(
            url if url.endswith('/v3') else f'{url}/v3', unscoped=True)
        return bool(session.get_token())

    def _as_user(self, url: str, *, unscoped: bool = False,
                 trust_id: str | None = None) -> ks_session.Session:
        """Return a session with user name and password, in another scope."""
        login = self._login
        domain_id, domain_name = self._domain('user')
        return self.session(v3.Password(
            url, username=login.username, user_id=login.user_id,
            password=login.password, user_domain_id=domain_id,
            user_domain_name=domain_name, unscoped=unscoped,
            trust_id=trust_id))

    def _domain(self, of: str) -> tuple[str | None, str | None]:
        """Return id and name of the domain of the user or the project."""
        def given(name: str) -> str | None:
            # Only one of the two plugins has options for the default domain.
            return (self._login[f'{of}_domain_{name}'] or getattr(
                self._login, f'default_domain_{name}', None))

        return given('id'), given('name')

    @property
    def region_name(self) -> str | None:
        """The region that the section sets, or None."""
        return self._group.region_name or None

    @property
    def interface(self) -> str:
        """The interface of Keystone's endpoint."""
        return str(self._group.interface or _INTERFACE).removesuffix('URL')

    @responses.answered('Keystone')
    def user_id(self) -> str:
        """Return the ID of the account's user."""
        return str(self._own_session().get_user_id())

    @responses.answered('Keystone')
    def check(self) -> None:
        """Log in, unless there is a valid token."""
        self._own_session().get_token()

    @responses.answered('Keystone')
    def roles(self) -> list[str]:
        """Return the names of the account's own roles in its project."""
        session, auth = self._own_session(), self._auth()
        assert isinstance(auth, identity.BaseIdentityPlugin)
        return list(auth.get_access(session).role_names or ())

    @responses.answered('Keystone')
    def endpoints(self, *service_types: str) -> list[regions.Endpoint]:
        """Return the endpoints of the catalogue.

        :param service_types: types under which services are also listed;
            without one an endpoint has the type of the catalogue
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

    @responses.answered('Keystone')
    def endpoint(self, service_type: str) -> str | None:
        """Return a service's URL in the catalogue, or None."""
        try:
            url = self._own_session().get_endpoint(
                service_type=service_type, interface=['public', 'internal'],
                region_name=self.region_name,
                skip_discovery=True)
        except ks_exceptions.EndpointNotFound:
            return None
        return str(url) if url else None

    @responses.answered('Keystone')
    def may_be_trustee(self) -> bool:
        """Return whether the account can list the trusts it is trustee of."""
        try:
            answer = self._own_session().get(
                f'{self.identity_url()}/OS-TRUST/trusts',
                params={'trustee_user_id': self.user_id()}, log=False)
        except ks_exceptions.HTTPClientError as error:
            if error.response is None or responses.fault(error.response):
                return False
            raise
        return isinstance(responses.json_object(answer)['trusts'], list)

    @responses.answered('Keystone')
    def has_role(self, name: str) -> bool | None:
        """Return whether a role exists, None if Keystone does not show it."""
        session, url = self._own_session(), self.identity_url()
        answer = session.get(f'{url}/roles', params={'name': name},
                             raise_exc=False)
        if answer.ok:
            return bool(responses.json_object(answer)['roles'])
        # Most policies do not let a service list roles. But a POST of a trust
        # to itself shows whether the role exists: Keystone answers 404 with
        # different texts for an unknown role and a role that the account does
        # not have. For a role that it has, Keystone answers 400, because the
        # trust would already have expired.
        user_id = self.user_id()
        answer = session.post(f'{url}/OS-TRUST/trusts', json={'trust': {
            'trustor_user_id': user_id, 'trustee_user_id': user_id,
            'project_id': session.get_project_id(), 'impersonation': True,
            'expires_at': _LONG_AGO, 'roles': [{'name': name}]}},
            raise_exc=False)
        said = responses.fault(answer)
        if said is not None and answer.status_code == 400:
            return True
        if said is not None and answer.status_code == 404:
            return 'not defined' not in said
        return None

    @responses.answered('Keystone')
    def identity_url(self) -> str:
        """Return Keystone's v3 endpoint in the catalogue."""
        url = self._own_session().get_endpoint(
            service_type='identity', min_version=(3, 0),
            max_version=(3, 'latest'),
            interface=self.interface, region_name=self.region_name)
        return url or self._group.auth_url

    def by_trust(self, trust_id: str) -> ks_session.Session:
        """Return a session that acts with a trust to this account.

        :raises oslo_config.cfg.Error: if the account does not log in with
            user name and password, which trust-scoped tokens require
        """
        if problems := self.problems():
            raise cfg.ConfigFileValueError(problems[0])
        return self._as_user(self.identity_url(), trust_id=trust_id)

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

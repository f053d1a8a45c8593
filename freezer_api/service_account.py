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

from keystoneauth1.identity import v3
from keystoneauth1 import loading
from keystoneauth1 import plugin
from keystoneauth1 import session as ks_session
from keystonemiddleware import opts as authtoken_opts
from oslo_config import cfg

_AUTHTOKEN = 'keystone_authtoken'
_TIMEOUT = 30


class ServiceAccount:
    """Logs in with the credentials of a section of the configuration.

    Nothing is asked of Keystone before it is needed. The methods raise
    keystoneauth1.exceptions.ClientException when Keystone refuses or cannot
    be reached.
    """

    def __init__(self, conf: cfg.ConfigOpts, section: str) -> None:
        if section == _AUTHTOKEN:
            for group, options in authtoken_opts.list_auth_token_opts():
                conf.register_opts(options, group)
        else:
            loading.register_session_conf_options(conf, section)
        loading.register_auth_conf_options(conf, section)
        self._conf = conf
        self._section = section
        self._group = conf[section]
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
            auth=auth or self._auth(), cert=cert, timeout=_TIMEOUT,
            verify=False if group.insecure else (group.cafile or True))

    def user_id(self) -> str:
        """Return the id of the account's user."""
        return str(self._own_session().get_user_id())

    def check(self) -> None:
        """Log in, or find the login still good."""
        self._own_session().get_token()

    def has_role(self, name: str) -> bool | None:
        """Return whether Keystone knows a role, None where it will not say.

        Most do not let a service look.
        """
        answer = self._own_session().get(
            f'{self.identity_url()}/roles', params={'name': name},
            raise_exc=False)
        return bool(answer.json()['roles']) if answer.ok else None

    def identity_url(self) -> str:
        """Return Keystone's v3 endpoint, as the catalogue has it."""
        url = self._own_session().get_endpoint(
            service_type='identity', min_version=(3, 0),
            max_version=(3, 'latest'),
            interface=getattr(self._group, 'interface', None) or 'internal',
            region_name=getattr(self._group, 'region_name', None))
        return url or self._group.auth_url

    def by_trust(self, trust_id: str) -> ks_session.Session:
        """Return a session that acts with a trust to this account.

        :raises oslo_config.cfg.Error: when the account does not log in with
            user and password, the only way to a trust-scoped token
        """
        group = self._group
        if group.auth_type not in ('password', 'v3password'):
            raise cfg.ConfigFileValueError(
                f'[{self._section}] auth_type must be password: a trust is '
                'used by logging in')
        return self.session(v3.Password(
            self.identity_url(), trust_id=trust_id,
            username=group.username, user_id=group.user_id,
            password=group.password, user_domain_id=group.user_domain_id,
            user_domain_name=group.user_domain_name))

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

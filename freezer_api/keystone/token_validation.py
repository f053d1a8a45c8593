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

"""Keystone's middleware, which validates the tokens of callers.

Its public hooks change two things:

* Its session follows redirects, which would send the service's own token to
  another server. The login that it receives bounds the session: no redirects,
  one deadline, one maximum size.
* It answers 500 if it cannot read an answer of Keystone. Here that is 503, as
  for a Keystone that cannot be reached.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from wsgiref import types

from keystoneauth1 import exceptions as ks_exceptions
from keystoneauth1 import loading
from keystoneauth1 import plugin
from keystoneauth1 import session as ks_session
from keystonemiddleware import auth_token
from oslo_config import cfg
from oslo_log import log
import webob
import webob.exc

from freezer_api import errors
from freezer_http import adapter
from freezer_http import responses

LOG = log.getLogger(__name__)

# The name of the loader in the entry points.
LOADER = 'freezer_bounded'

_CONNECTIONS = 8
_DESCRIPTION = ('Keystone did not validate the token: it cannot be reached, '
                'or its answer cannot be read. Try again later.')


def _bounded(name: str) -> Callable[..., Any]:
    """Return a method that calls the inner login with a bounded session."""
    def method(login: BoundedLogin, session: ks_session.Session,
               **options: Any) -> Any:
        if session.redirect is not False:
            for scheme in ('http://', 'https://'):
                session.mount(scheme, adapter.Adapter(
                    pool_maxsize=_CONNECTIONS))
            session.redirect = False
        return getattr(login.inner, name)(session, **options)

    return method


class BoundedLogin(plugin.BaseAuthPlugin):
    """A login that bounds each session that uses it.

    :param bounded_login: the login that gets the tokens
    """

    def __init__(self, bounded_login: plugin.BaseAuthPlugin) -> None:
        super().__init__()
        self.inner = bounded_login

    # Each of them may be the first that sends a request.
    get_token = _bounded('get_token')
    get_headers = _bounded('get_headers')
    get_endpoint = _bounded('get_endpoint')
    get_endpoint_data = _bounded('get_endpoint_data')
    get_connection_params = _bounded('get_connection_params')
    get_user_id = _bounded('get_user_id')
    get_project_id = _bounded('get_project_id')

    def invalidate(self) -> bool:
        """Discard the token; return whether there was one."""
        return self.inner.invalidate()


class Loader(loading.BaseLoader[BoundedLogin]):
    """Hands an existing login to keystonemiddleware.

    The middleware accepts a login only as the name of an entry point with
    options.
    """

    @property
    def plugin_class(self) -> type[BoundedLogin]:
        return BoundedLogin

    def get_options(self) -> list[loading.Opt]:
        return [loading.Opt('bounded-login', type=BoundedLogin, secret=True)]


class TokenValidation(auth_token.AuthProtocol):
    """Keystone's middleware, which answers 503 if Keystone is unavailable."""

    def process_request(self, request: Any) -> Any:
        """Validate the tokens of a request.

        :returns: an answer that ends the request, or None
        """
        try:
            with responses.readable('Keystone'):
                return super().process_request(request)
        except (ks_exceptions.ClientException,
                webob.exc.HTTPServiceUnavailable) as error:
            LOG.error('Cannot validate a token: %s: %s',
                      type(error).__name__, error)
        return webob.Response(
            status=503, content_type='application/json',
            json_body=errors.document('keystone_unavailable', _DESCRIPTION))


def protect(app: types.WSGIApplication,
            conf: cfg.ConfigOpts) -> types.WSGIApplication:
    """Put the middleware in front of an application.

    :param conf: with the options of keystonemiddleware registered
    :returns: the protected application
    """
    section = conf.keystone_authtoken.auth_section or 'keystone_authtoken'
    loading.register_auth_conf_options(conf, section)
    settings: dict[str, object] = {'oslo_config_config': conf}
    if conf[section].auth_type:
        inner = loading.load_auth_from_conf_options(conf, section)
        conf.register_opts(
            loading.get_auth_plugin_conf_options(LOADER), section)
        conf.set_default('bounded_login', inner, section)
        settings['auth_type'] = LOADER
    protected: types.WSGIApplication = TokenValidation(app, settings)
    return protected

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

"""Tokens that Keystone's middleware has vouched for within this second.

What it makes of a token that it knows takes as long as many a request itself.
A client that sends one request after another, as schedulers and scripts do,
is spared that for the rest of the second, which is shorter than any time for
which the middleware keeps what Keystone said.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

Environ = dict[str, Any]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

_TOKEN = 'HTTP_X_AUTH_TOKEN'  # noqa: S105  # nosec B105
_ASKED = 'freezer_api.asked'

# The middleware reads or takes away what else begins so. What has any of it
# is left to the middleware.
_ITS_OWN = ('HTTP_X_', 'HTTP_OPENSTACK_')
_NOT_ITS_OWN = frozenset((
    _TOKEN, 'HTTP_X_OPENSTACK_REQUEST_ID', 'HTTP_X_FORWARDED_FOR',
    'HTTP_X_FORWARDED_HOST', 'HTTP_X_FORWARDED_PORT',
    'HTTP_X_FORWARDED_PREFIX', 'HTTP_X_FORWARDED_PROTO', 'HTTP_X_REAL_IP'))
# What it says begins so.
_SAID = (*_ITS_OWN, 'keystone.')


def _may_be_known(environ: Environ) -> bool:
    return (_TOKEN in environ and environ['REQUEST_METHOD'] != 'HEAD'
            and not any(name.startswith(_ITS_OWN)
                        and name not in _NOT_ITS_OWN for name in environ))


def _holds_for_each_request(environ: Environ) -> bool:
    """Whether a token is as good for any other request."""
    if environ.get('HTTP_X_IDENTITY_STATUS') != 'Confirmed':
        return False
    token = environ['keystone.token_info']['token']
    application = token.get('application_credential') or {}
    return 'bind' not in token and application.get('access_rules') is None


class KnownTokens:
    """Stands before Keystone's middleware.

    :param middleware: puts the middleware before an application
    :param app: the application
    :param clock: returns now, in epoch seconds
    """

    def __init__(self, middleware: Callable[[Wsgi], Wsgi], app: Wsgi,
                 clock: Callable[[], int]) -> None:
        self._app = app
        self._asking = middleware(self._learn)
        self._clock = clock
        # A second, and what is known in it of which tokens. Threads see it
        # whole, since it is never changed to another second.
        self._known: tuple[int, dict[str, Environ]] = (0, {})

    def __call__(self, environ: Environ,
                 start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not _may_be_known(environ):
            return self._asking(environ, start_response)
        now = self._clock()
        second, known = self._known
        said = known.get(environ[_TOKEN]) if second == now else None
        if said is None:
            environ[_ASKED] = now
            return self._asking(environ, start_response)
        environ.update(said)
        return self._app(environ, start_response)

    def _learn(self, environ: Environ,
               start_response: Callable[..., Any]) -> Iterable[bytes]:
        now = environ.pop(_ASKED, None)
        if now is not None and _holds_for_each_request(environ):
            if self._known[0] != now:
                self._known = (now, {})
            second, known = self._known
            if second == now:
                known[environ[_TOKEN]] = {
                    name: value for name, value in environ.items()
                    if name.startswith(_SAID) and name not in _NOT_ITS_OWN}
        return self._app(environ, start_response)

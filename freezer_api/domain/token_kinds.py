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

"""Distinguish tokens of a user's own login from tokens of other origins."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Mapping
import datetime
from typing import Any

# The methods of a user's own login: keystone.api._shared.delegation.
_PRIMARY_METHODS = frozenset((
    'external', 'kerberos', 'mapped', 'openid', 'password', 'saml2', 'token',
    'totp', 'x509'))


def delegated_how(token: Mapping[str, Any], more_methods: Collection[str],
                  now: int) -> str | None:
    """Return the origin of a token, None for a login of the user.

    As in Keystone, an unknown method does not count as a login, and neither
    does none. Keystone's own check does not suffice: if the user already has a
    trust, no request is sent to it.

    :param token: the ``token`` object of Keystone's validation answer
    :param more_methods: additional methods of users' own logins
    :param now: epoch seconds. A service can send a user's expired token with
        its own token; such a token cannot create a trust.
    """
    methods = token.get('methods') or ()
    if ('application_credential' in token
            or 'application_credential' in methods):
        return 'an application credential'
    if 'OS-TRUST:trust' in token:
        return 'a trust'
    if 'OS-OAUTH1' in token or 'oauth1' in methods:
        return 'an OAuth1 access token'
    if 'ec2credential' in methods:
        return 'an EC2 credential'
    if 'oauth2_credential' in token:
        return 'an OAuth2 credential'
    for method in methods:
        if method not in _PRIMARY_METHODS and method not in more_methods:
            return f'the authentication method "{method}"'
    if not methods:
        return 'an authentication method that it does not name'
    return 'a login that has expired' if _expired(token, now) else None


def _expired(token: Mapping[str, Any], now: int) -> bool:
    expires = token.get('expires_at')
    return expires is not None and (
        datetime.datetime.fromisoformat(expires).timestamp() <= now)

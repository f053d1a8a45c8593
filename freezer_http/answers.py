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

"""Reading answers that need not be what was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import re
from typing import Any
import urllib.parse

from keystoneauth1 import access as ks_access
from keystoneauth1 import exceptions as ks_exceptions
from keystoneauth1.identity import v3
from keystoneauth1 import session as ks_session
import requests

_TOKEN = re.compile('[!-~]+')

# What keystoneauth and keystoneclient raise about JSON of another form. A
# document that is nested too deeply raises RecursionError.
_STUMBLES = (AttributeError, IndexError, KeyError, TypeError, ValueError,
             RecursionError)


class Unreadable(ks_exceptions.ClientException):
    """The answer of a service is not what it documents."""


# How a login fails whose answer is of no use.
UNREADABLE = (Unreadable, ks_exceptions.InvalidResponse)


@contextlib.contextmanager
def readable(service: str) -> Iterator[None]:
    """Raise Unreadable where a library stumbles over an answer.

    :param service: who gave it
    """
    try:
        yield
    except _STUMBLES as error:
        raise Unreadable(f'{service} gave an answer that cannot be read '
                         f'({type(error).__name__})') from error


@contextlib.contextmanager
def answered(service: str) -> Iterator[None]:
    """Raise Unreadable for what the service itself has not answered.

    What else is raised, such as NotFound, is the service's own word.
    """
    with readable(service):
        try:
            yield
        except ks_exceptions.HttpError as error:
            if error.response is None or fault(error.response) is not None:
                raise
            raise Unreadable(
                f'{service} answered {error.http_status} without a reason'
                ) from error


def document(answer: requests.Response) -> Any:
    """Return an answer's JSON.

    :raises ValueError: when it has none
    """
    try:
        return answer.json()
    except RecursionError:
        raise ValueError('nested too deeply') from None


def is_url(text: str) -> bool:
    """Return whether a text is a URL that a request can be sent to."""
    try:
        url = urllib.parse.urlsplit(text)
        return (url.scheme in ('http', 'https') and bool(url.hostname)
                and (url.port is None or url.port > 0))
    except ValueError:
        return False


def fault(answer: requests.Response | None) -> str | None:
    """Return the message of an OpenStack service's own error document.

    That is one object within another, of whichever name, which repeats the
    status and holds a message. A proxy's page of the same status is none.
    """
    if answer is None:
        return None
    try:
        found = document(answer)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    for part in found.values():
        if (isinstance(part, dict) and isinstance(part.get('message'), str)
                and part.get('code') == answer.status_code):
            return str(part['message'])
    return None


def token_refused(answer: requests.Response) -> bool:
    """Return whether it is Keystone's middleware that answers 401."""
    return (fault(answer) is not None or answer.headers.get(
        'WWW-Authenticate', '').startswith('Keystone'))


def login_refused(error: ks_exceptions.HttpError) -> bool:
    """Return whether Keystone itself says no, and no proxy before it."""
    return fault(error.response) is not None


class _CheckedLogin(v3.Auth):
    """Has a login fail whose answer cannot be used later."""

    def get_auth_ref(self, session: ks_session.Session,
                     ) -> ks_access.AccessInfoV3:
        with readable('Keystone'):
            access = super().get_auth_ref(session)
            _check(access)
        return access


class Password(_CheckedLogin, v3.Password):
    """The library's login, with its answer checked."""


class ApplicationCredential(_CheckedLogin, v3.ApplicationCredential):
    """The library's login, with its answer checked."""


def _check(access: ks_access.AccessInfo) -> None:
    """Read all of a token that is read later.

    :raises ValueError: or another of :data:`_STUMBLES`
    """
    token = access.auth_token
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise ValueError('no token')
    access.will_expire_soon()
    for value in (access.user_id, access.project_id):
        if value is not None and not isinstance(value, str):
            raise TypeError('an id is not a text')
    for name in access.role_names or ():
        if not isinstance(name, str):
            raise TypeError('a role is not a text')
    if not access.has_service_catalog():
        return
    endpoints: Mapping[str, Any] = (
        access.service_catalog.get_endpoints_data())
    for found in endpoints.values():
        for endpoint in found:
            if not isinstance(endpoint.url, str):
                raise TypeError('a URL is not a text')

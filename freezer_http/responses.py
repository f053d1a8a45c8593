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

"""Read answers that may have an unexpected form."""

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

# Errors of keystoneauth and keystoneclient for JSON of another form.
# RecursionError: the document is nested too deeply.
_STUMBLES = (AttributeError, IndexError, KeyError, TypeError, ValueError,
             NotImplementedError, RecursionError)


class Unreadable(ks_exceptions.ClientException):
    """The answer of a service is not what it documents."""


# Errors of a login whose answer is not usable.
UNREADABLE = (Unreadable, ks_exceptions.InvalidResponse)


@contextlib.contextmanager
def readable(service: str) -> Iterator[None]:
    """Raise Unreadable if a library fails on the form of an answer.

    :param service: name of the service, for the text of the error
    :raises Unreadable: if the answer does not have the documented form
    """
    try:
        yield
    except _STUMBLES as error:
        raise Unreadable(f'{service} gave an answer that cannot be read '
                         f'({type(error).__name__})') from error


@contextlib.contextmanager
def answered(service: str) -> Iterator[None]:
    """Raise Unreadable for an answer that is not from the service itself.

    Other errors, such as NotFound, are answers of the service and pass.

    :param service: name of the service, for the text of the error
    :raises Unreadable: if the answer does not have the documented form, or is
        an HTTP error without the error document of an OpenStack service
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


def document(answer: requests.Response) -> object:
    """Return the JSON document of an answer.

    :raises ValueError: if the body is not JSON, or is nested too deeply
    """
    try:
        return answer.json()
    except RecursionError:
        raise ValueError('nested too deeply') from None


def json_object(answer: requests.Response) -> Mapping[str, object]:
    """Return the JSON object of an answer; an empty one without such."""
    try:
        found = document(answer)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def is_url(text: str) -> bool:
    """Return whether a request can be sent to a text as its URL."""
    try:
        url = urllib.parse.urlsplit(text)
        return (url.scheme in ('http', 'https') and bool(url.hostname)
                and (url.port is None or url.port > 0))
    except ValueError:
        return False


def fault(answer: requests.Response | None) -> str | None:
    """Return the message in the error document of an OpenStack service.

    The document has one object, of any name, with the HTTP status as ``code``
    and a ``message``. The error page of a proxy has neither.

    :returns: the message, None if the answer has no such document
    """
    if answer is None:
        return None
    for part in json_object(answer).values():
        if (isinstance(part, dict) and isinstance(part.get('message'), str)
                and part.get('code') == answer.status_code):
            return str(part['message'])
    return None


def token_refused(answer: requests.Response) -> bool:
    """Return whether keystonemiddleware or the service refused the token."""
    return (fault(answer) is not None or answer.headers.get(
        'WWW-Authenticate', '').startswith('Keystone'))


def login_refused(error: ks_exceptions.HttpError) -> bool:
    """Return whether Keystone itself, not a proxy, refused the login."""
    return fault(error.response) is not None


class _CheckedLogin(v3.Auth):
    """Make a login fail if its answer cannot be used later."""

    def get_auth_ref(self, session: ks_session.Session,
                     ) -> ks_access.AccessInfoV3:
        with readable('Keystone'):
            access = super().get_auth_ref(session)
            _check(access)
        return access


class Password(_CheckedLogin, v3.Password):
    """The login of keystoneauth, with its answer checked."""


class ApplicationCredential(_CheckedLogin, v3.ApplicationCredential):
    """The login of keystoneauth, with its answer checked."""


def _check(access: ks_access.AccessInfo) -> None:
    """Read the parts of a token that are read later.

    :raises ValueError: or another error of :data:`_STUMBLES`
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

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

"""A minimal OpenStack client without dependencies.

It creates the content of the cloud, and checks the results of the command line
clients.
"""

import http.client
import json
import typing
import urllib.error
import urllib.request

from tools.cloud import errors

#: Without a proxy, because all servers are on this machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))

Document = dict[str, typing.Any]


class HttpError(errors.QuickstartError):
    """A service answered with an error.

    :ivar status: the HTTP status
    :ivar body: the body of the answer
    """

    def __init__(self, method: str, url: str, status: int,
                 body: str) -> None:
        super().__init__(f'{method} {url}: {status} {body[:500]}')
        self.status = status
        self.body = body


def request(method: str, url: str, body: Document | None = None,
            headers: dict[str, str] | None = None,
            ) -> tuple[Document, http.client.HTTPMessage]:
    """Send a request; return the document and the headers.

    :raises HttpError: if the status is 400 or more
    :raises errors.QuickstartError: if there is no answer
    """
    data = None if body is None else json.dumps(body).encode()
    text, received = send(method, url, data, {
        'Content-Type': 'application/json',
        'Accept': 'application/json'} | (headers or {}))
    return json.loads(text) if text else {}, received


def send(method: str, url: str, data: bytes | None,
         headers: dict[str, str],
         ) -> tuple[bytes, http.client.HTTPMessage]:
    """Send a request; return the body and the headers.

    :raises HttpError: if the status is 400 or more
    :raises errors.QuickstartError: if there is no answer
    """
    message = urllib.request.Request(url, data, headers, method=method)
    try:
        with _OPENER.open(message, timeout=60) as answer:
            return answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            text = error.read().decode(errors='replace')
        raise HttpError(method, url, error.code, text) from None
    except (OSError, http.client.HTTPException) as error:
        raise errors.QuickstartError(
            f'{method} {url}: no answer ({error})') from None


def answers(url: str) -> bool:
    """Return whether a server answers at the URL, with any status."""
    try:
        with _OPENER.open(url, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except (OSError, http.client.HTTPException):
        return False


class Session:
    """A session of a user in one project.

    :ivar project_id: ID of the project in Keystone
    """

    def __init__(self, auth_url: str, user: str, password: str,
                 project: str) -> None:
        """Log in.

        :raises HttpError: if Keystone refuses the login
        """
        domain = {'id': 'default'}
        answer, headers = request('POST', f'{auth_url}/auth/tokens', {
            'auth': {
                'identity': {
                    'methods': ['password'],
                    'password': {'user': {
                        'name': user, 'domain': domain,
                        'password': password}}},
                'scope': {'project': {'name': project, 'domain': domain}},
            }})
        self._token = headers['X-Subject-Token']
        self.project_id: str = answer['token']['project']['id']

    @property
    def token(self) -> str:
        """The token, for other clients."""
        return self._token

    def call(self, method: str, url: str, body: Document | None = None,
             **headers: str) -> Document:
        """Send a request with the token.

        :raises HttpError: if the status is 400 or more
        """
        extra = {name.replace('_', '-'): value
                 for name, value in headers.items()}
        return request(method, url, body,
                       {'X-Auth-Token': self._token} | extra)[0]

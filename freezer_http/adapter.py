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

"""The transport of every HTTP client: one deadline, one size, no redirects.

``requests`` applies a timeout to each read, so an answer that arrives two
bytes at a time holds a thread for hours. It also reads a body of any size.
Mount :class:`Adapter` on a ``requests.Session`` to bound both.
"""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import http.client
from http import cookiejar
import io
import socket
import time
from typing import Any
import urllib.parse

from keystoneauth1 import session as ks_session
import requests
import urllib3
from urllib3 import connection

# The largest sane answer is a page of Cinder's volumes or backups that use all
# of their metadata. Tenants choose how large these are.
MAX_BODY = 16 * 1024 * 1024

_CHUNK = 64 * 1024

# The body is stored decoded and whole, which these headers contradict.
_OF_THE_TRANSFER = ('Content-Encoding', 'Content-Length', 'Transfer-Encoding')


class Redirected(requests.exceptions.RequestException):
    """The answer is a redirect, which is never followed.

    Following one would send passwords and tokens to whichever server the
    answer names, and could send a POST a second time.
    """

    def __init__(self, response: requests.Response) -> None:
        super().__init__(
            f'answered {response.status_code}, a redirect to '
            f'{_shown(response.headers.get("Location", ""))}',
            request=response.request, response=response)


class TooLarge(requests.exceptions.RequestException):
    """The body of the answer exceeds the limit."""

    def __init__(self, response: requests.Response, limit: int) -> None:
        super().__init__(
            f'answered {response.status_code} with a body of more than '
            f'{limit} bytes', request=response.request, response=response)


class _Reader(io.RawIOBase):
    """Reads a socket until a deadline.

    :param raw: the unbuffered file of the socket; it keeps the socket open
    :param deadline: in seconds of the monotonic clock
    """

    def __init__(self, sock: socket.socket, raw: io.RawIOBase,
                 deadline: float) -> None:
        super().__init__()
        self._sock = sock
        self._raw = raw
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError('the whole answer did not arrive in time')
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer whose head and body must arrive before one deadline.

    urllib3 sets the socket's timeout to the remaining time just before it
    creates the response.
    """

    def __init__(self, sock: socket.socket, *args: Any,
                 **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        timeout = sock.gettimeout()
        if timeout is not None:
            # Open this file first: closing the other may close the socket.
            raw = sock.makefile('rb', buffering=0)
            self.fp.close()
            self.fp = io.BufferedReader(
                _Reader(sock, raw, time.monotonic() + timeout))


class _HTTPConnection(connection.HTTPConnection):
    response_class = _Response


class _HTTPSConnection(connection.HTTPSConnection):
    response_class = _Response


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class Adapter(ks_session.TCPKeepAliveAdapter):
    """Send requests; each answer is complete, bounded and no redirect.

    The timeout of a request covers all of it: connection, head and body. It
    does not cover the name resolution of the server.

    :param max_body: maximum size of a body after decompression, in bytes
    """

    def __init__(self, *args: Any, max_body: int = MAX_BODY,
                 **kwargs: Any) -> None:
        self._max_body = max_body
        super().__init__(*args, **kwargs)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _bound(self.poolmanager)

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        # A SOCKS proxy has pools of its own kind.
        if isinstance(manager, urllib3.ProxyManager):
            _bound(manager)
        return manager

    def send(self, request: requests.PreparedRequest, stream: bool = False,
             timeout: Any = None, verify: Any = True, cert: Any = None,
             proxies: Mapping[str, str] | None = None) -> requests.Response:
        """Send a request and read its answer.

        :param timeout: seconds for the whole exchange
        :returns: the response, with its body already read
        :raises Redirected: if the answer is a redirect
        :raises TooLarge: if the body exceeds the limit
        :raises requests.exceptions.RequestException: as the base class does,
            and if reading the body fails
        """
        if isinstance(timeout, int | float):
            timeout = urllib3.Timeout(total=timeout)
        response = super().send(request, True, timeout, verify, cert, proxies)
        with contextlib.closing(response):
            if response.is_redirect:
                raise Redirected(response)
            body = self._read(response)
        return self.build_response(request, _whole(response, body))

    def _read(self, response: requests.Response) -> bytes:
        body = bytearray()
        for chunk in response.iter_content(_CHUNK):
            body += chunk
            if len(body) > self._max_body:
                raise TooLarge(response, self._max_body)
        return bytes(body)


def mount(session: requests.Session, connections: int) -> requests.Session:
    """Make a session send everything through one bounded adapter.

    The session stores no cookies, because many users share it.

    :param connections: maximum number of connections to one server that stay
        open for later requests
    :returns: the same session
    """
    session.cookies.set_policy(
        cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ('http://', 'https://'):
        session.mount(scheme, Adapter(
            pool_connections=16, pool_maxsize=connections))
    return session


def _bound(manager: urllib3.PoolManager) -> None:
    manager.pool_classes_by_scheme = {'http': _HTTPPool, 'https': _HTTPSPool}


def _whole(response: requests.Response, body: bytes) -> urllib3.HTTPResponse:
    """Return an answer with its body already read."""
    raw = response.raw
    headers = urllib3.HTTPHeaderDict(raw.headers)
    for name in _OF_THE_TRANSFER:
        headers.discard(name)
    return urllib3.HTTPResponse(
        io.BytesIO(body), headers=headers, status=raw.status,
        version=raw.version, reason=raw.reason, preload_content=False,
        decode_content=False)


def _shown(location: str) -> str:
    """Return a URL without the parts that may contain a secret."""
    try:
        url = urllib.parse.urlsplit(location)
        server = url.hostname or ''
        port = f':{url.port}' if url.port else ''
    except ValueError:
        return '(no URL)'
    text = f'{url.scheme}://{server}{port}' if server else '(the same server)'
    return ''.join(letter if letter.isprintable() else '?'
                   for letter in f'{text}{url.path}'[:200])

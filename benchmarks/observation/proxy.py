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

"""A proxy in front of a server of this machine, which counts requests."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import http.client
from http import server
import re
import threading
import time

_PATIENCE = 900
# Each of the two connections has its own.
_OF_THE_CONNECTION = frozenset((
    'connection', 'keep-alive', 'transfer-encoding', 'content-length'))
_ID = re.compile(r'/([0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})'
                 r'(?=/|$)')

Answer = tuple[int, list[tuple[str, str]], bytes]


@dataclasses.dataclass(frozen=True)
class Request:
    """A request as the server gets it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Proxy:
    """The proxy, from :meth:`start` to :meth:`stop`.

    :param target: port on 127.0.0.1 of the server
    :ivar port: where it listens, on 127.0.0.1
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._server = _Server(('127.0.0.1', 0),
                               type('Handler', (Client,), {'proxy': self}))
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.5,), daemon=True)

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self.port}'

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def serve(self, request: Request, client: Client) -> None:
        """Answer a client's request."""
        client.answer(*self.forward(request))

    def forward(self, request: Request) -> Answer:
        """Ask the server; 502 where it does not answer."""
        connection = http.client.HTTPConnection('127.0.0.1', self._target,
                                                timeout=_PATIENCE)
        try:
            with contextlib.closing(connection):
                connection.request(request.method, request.path,
                                   request.body or None, request.headers)
                answer = connection.getresponse()
                found = answer.status, answer.getheaders(), answer.read()
        except (OSError, http.client.HTTPException):
            return 502, [], b'{}'
        self.answered(request)
        return found

    def answered(self, request: Request) -> None:
        """Take note of a request that the server has answered."""


class CountingProxy(Proxy):
    """A proxy that counts requests by kind, once they are answered."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self._seen: collections.Counter[str] = collections.Counter()
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()

    def reset(self) -> None:
        with self._lock:
            self._seen.clear()
            self._first.clear()
            self._last.clear()

    def seen(self) -> collections.Counter[str]:
        """Return how many requests were answered, by kind."""
        with self._lock:
            return self._seen.copy()

    def first(self, name: str) -> float | None:
        """Return when the first of a kind was answered, monotonic."""
        with self._lock:
            return self._first.get(name)

    def last(self, name: str) -> float | None:
        """Return when the last of a kind was answered, monotonic."""
        with self._lock:
            return self._last.get(name)

    def answered(self, request: Request) -> None:
        name, now = kind(request.method, request.path), time.monotonic()
        with self._lock:
            self._seen[name] += 1
            self._first.setdefault(name, now)
            self._last[name] = now


def kind(method: str, path: str) -> str:
    """Return a request without ids and search, such as ``GET /v2/*/jobs``."""
    path = _ID.sub('/*', path.partition('?')[0]).rstrip('/')
    return f'{method} {path}'


class _Server(server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 500

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone away, as killed schedulers do."""


class Client(server.BaseHTTPRequestHandler):
    """A client of the proxy."""

    protocol_version = 'HTTP/1.1'
    # Head and body are two writes, and Nagle would wait between them.
    disable_nagle_algorithm = True
    proxy: Proxy

    def log_message(self, format: str,  # noqa: A002
                    *args: object) -> None:
        pass

    def _handle(self) -> None:
        length = int(self.headers.get('Content-Length') or 0)
        self.proxy.serve(Request(
            self.command, self.path,
            {name: value for name, value in self.headers.items()
             if name.lower() not in _OF_THE_CONNECTION}
            | {'Connection': 'close'}, self.rfile.read(length)), self)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

    def answer(self, status: int, headers: list[tuple[str, str]],
               body: bytes, cut: int | None = None) -> None:
        """Send an answer.

        :param cut: of the body, only so many bytes
        """
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in _OF_THE_CONNECTION:
                self.send_header(name, value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body[:cut])

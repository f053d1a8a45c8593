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

"""A proxy before a server, which counts what it is asked."""

from __future__ import annotations

import collections
import contextlib
import http.client
from http import server
import re
import threading
import time

_PATIENCE = 900
_ID = re.compile(r'/([0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})'
                 r'(?=/|$)')
# Not handed on: each of the two connections has its own.
_OF_THE_CONNECTION = frozenset((
    'connection', 'keep-alive', 'transfer-encoding', 'content-length'))


class Counting:
    """The proxy, from :meth:`start` to :meth:`stop`.

    :param target: port on 127.0.0.1 of the server
    :ivar port: where it listens, on 127.0.0.1
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._seen: collections.Counter[str] = collections.Counter()
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()
        self._server = _Server(('127.0.0.1', 0),
                               type('Handler', (_Handler,), {'proxy': self}))
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

    def forget(self) -> None:
        """Count anew."""
        with self._lock:
            self._seen.clear()
            self._first.clear()
            self._last.clear()

    def seen(self) -> collections.Counter[str]:
        """Return how many requests were answered, by their kinds."""
        with self._lock:
            return self._seen.copy()

    def first(self, name: str) -> float | None:
        """Return when the first of a kind was answered, monotonic."""
        with self._lock:
            return self._first.get(name)

    def last(self, name: str) -> float | None:
        """Return when the last one was answered, monotonic."""
        with self._lock:
            return self._last.get(name)

    def forward(self, method: str, path: str, body: bytes,
                headers: dict[str, str],
                ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Ask the server; 502 where it does not answer."""
        connection = http.client.HTTPConnection('127.0.0.1', self._target,
                                                timeout=_PATIENCE)
        try:
            with contextlib.closing(connection):
                connection.request(method, path, body or None, headers)
                answer = connection.getresponse()
                found = answer.status, answer.getheaders(), answer.read()
        except (OSError, http.client.HTTPException):
            return 502, [], b'{}'
        name, now = kind(method, path), time.monotonic()
        with self._lock:
            self._seen[name] += 1
            self._first.setdefault(name, now)
            self._last[name] = now
        return found


def kind(method: str, path: str) -> str:
    """Return a request without ids and search, such as ``GET /v2/*/jobs``."""
    path = _ID.sub('/*', path.partition('?')[0]).rstrip('/')
    return f'{method} {path}'


class _Server(server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 100

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone away, as killed schedulers do."""


class _Handler(server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    # Head and body are two writes, and Nagle would wait between them.
    disable_nagle_algorithm = True
    proxy: Counting

    def log_message(self, format: str,  # noqa: A002
                    *args: object) -> None:
        pass

    def _handle(self) -> None:
        length = int(self.headers.get('Content-Length') or 0)
        status, headers, body = self.proxy.forward(
            self.command, self.path, self.rfile.read(length),
            {name: value for name, value in self.headers.items()
             if name.lower() not in _OF_THE_CONNECTION}
            | {'Connection': 'close'})
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in _OF_THE_CONNECTION:
                self.send_header(name, value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

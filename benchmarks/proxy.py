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

"""A proxy before a server of this machine; others do more with requests."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
from http import server
import threading

_PATIENCE = 900
# Not handed on: each of the two connections has its own.
_OF_THE_CONNECTION = frozenset((
    'connection', 'keep-alive', 'transfer-encoding', 'content-length'))

Answer = tuple[int, list[tuple[str, str]], bytes]


@dataclasses.dataclass(frozen=True)
class Request:
    """What the server is sent."""

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
        """Take note of what the server has answered."""


class _Server(server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 100

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone away, as killed schedulers do."""


class Client(server.BaseHTTPRequestHandler):
    """One that asks the proxy."""

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

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

"""The HTTP endpoint of the metrics.

Each connection has a thread, and the number of threads is small. When all are
in use, the oldest connection is closed. So a slow client cannot block the
others. The server of prometheus_client limits neither the threads nor the time
of a request, so that test_exporter fails with it.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from typing import Any
from wsgiref import simple_server

import prometheus_client

from freezer_scheduler import settings as scheduler_settings

_AT_ONCE = 8
# Seconds in which a thread ends after its connection was closed.
_MOMENT = 1
# Seconds: for which nothing is said, and for a whole request.
_PATIENCE = 10
_LONGEST = 60


def listen(address: tuple[str, int]) -> socket.socket:
    """Bind the port before the scheduler starts, so that an error is shown.

    :raises freezer_scheduler.settings.Refused: naming the option
    """
    host, port = address
    try:
        [(family, kind, protocol, _name, where), *_others] = (
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM,
                               flags=socket.AI_PASSIVE))
    except (socket.gaierror, UnicodeError) as error:
        raise scheduler_settings.Refused(
            [f'[metrics] bind_host: {host}: {error}']) from None
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(where)
        made.listen()
    except OSError as error:
        made.close()
        raise scheduler_settings.Refused(
            [f'[metrics] bind_host, port: cannot listen at {host}, port '
             f'{port}: {error.strerror}']) from None
    return made


def serve(listening: socket.socket,
          registry: prometheus_client.CollectorRegistry) -> None:
    """Answer requests for the metrics in threads, until the process ends."""
    server = _Server(listening)
    server.set_app(prometheus_client.make_wsgi_app(registry))
    threading.Thread(target=server.serve_forever, name='metrics',
                     # Sleep until a request arrives.
                     kwargs={'poll_interval': None}, daemon=True).start()


class _Quiet(simple_server.WSGIRequestHandler):

    timeout = _PATIENCE

    def handle(self) -> None:
        """Answer a request, or close it when it takes too long."""
        limit = threading.Timer(_LONGEST, self._end)
        limit.daemon = True
        limit.start()
        try:
            super().handle()
        finally:
            limit.cancel()

    def _end(self) -> None:
        # The connection may have ended already.
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *args: object) -> None:
        """Log nothing: a scrape comes every few seconds."""

    def address_string(self) -> str:
        """Return the address; a DNS lookup would take time."""
        return str(self.client_address[0])


class _Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):

    daemon_threads = True

    def __init__(self, listening: socket.socket) -> None:
        host, port = listening.getsockname()[:2]
        super().__init__((host, port), _Quiet, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.server_name, self.server_port = str(host), int(port)
        self.setup_environ()
        # By ID, in the order of their arrival.
        self._connections: dict[int, socket.socket] = {}
        self._changed = threading.Condition()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changed:
            if len(self._connections) >= _AT_ONCE:
                # The oldest connection may have ended already.
                with contextlib.suppress(OSError):
                    next(iter(self._connections.values())).shutdown(
                        socket.SHUT_RDWR)
            if not self._changed.wait_for(
                    lambda: len(self._connections) < _AT_ONCE, _MOMENT):
                self.shutdown_request(request)
                return
            self._connections[id(request)] = request
        try:
            super().process_request(request, client_address)
        except RuntimeError:
            # No thread can be started.
            self._release(request)
            raise

    def process_request_thread(self, request: Any,
                               client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._release(request)

    def _release(self, request: socket.socket) -> None:
        with self._changed:
            del self._connections[id(request)]
            self._changed.notify()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: the client has gone."""

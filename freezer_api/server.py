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

"""The HTTP server of ``freezer-api``: waitress, with limits for clients.

waitress reads requests and sends answers in one loop that never blocks; a
thread works on a request after its complete arrival. Each connection adds the
limits that waitress lacks:

* A client can send one byte at a time without an end. So a whole request and
  a whole answer have a time limit.
* waitress accepts no connection while there are too many. Instead, the one
  that has waited longest for its client is closed.
* If a client sends several requests at once and reads no answer, a thread
  waits for it. So the first request is answered, and the connection is closed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import socket
import time
from typing import Any
from typing import ClassVar
from wsgiref import types

import waitress
from waitress import channel
from waitress import task

from freezer_api import errors

# Bytes. A token has several hundred.
_MAX_HEADERS = 32 * 1024
# Maximum size in bytes of an answer in memory; a larger one is in a file.
_ANSWER_IN_MEMORY = 256 * 1024
# Bytes. No answer is so large, so no thread waits while one is sent.
_MAX_ANSWER = 256 * 1024 * 1024
# Seconds between two checks for idle connections.
_CLEANUP = 5


@dataclasses.dataclass(frozen=True)
class Limits:
    """The limits of clients for one process.

    :ivar body: maximum size of a request's body, in bytes
    :ivar connections: maximum number of open connections
    :ivar threads: number of requests that are handled at a time
    :ivar request: seconds to send a request, or to receive an answer
    :ivar idle: seconds after which a connection without data is closed
    """

    body: int
    connections: int
    threads: int
    request: int
    idle: int


class _ErrorTask(task.ErrorTask):
    """Answers invalid HTTP requests, in the form of the API's errors."""

    def execute(self) -> None:
        """Write the answer, and close the connection afterwards."""
        error = self.request.error
        body = json.dumps({
            'title': error.reason, 'description': error.body,
            'code': errors.code_of_status(error.code)}).encode()
        self.status = f'{error.code} {error.reason}'
        self.response_headers = [('Content-Type', 'application/json')]
        self.content_length = len(body)
        self.set_close_on_finish()
        self.write(body)


class _Channel(channel.HTTPChannel):
    """A connection. The loop calls all methods but ``service``.

    :ivar since: the start of the wait for its client, in monotonic seconds
    """

    limits: ClassVar[Limits]
    error_task_class = _ErrorTask

    def __init__(self, server: Any, sock: socket.socket, addr: Any, adj: Any,
                 map: Any = None) -> None:  # noqa: A002
        self._working = False
        self._shut = False
        self.since = time.monotonic()
        if len(server.active_channels) >= self.limits.connections:
            _close_longest(server.active_channels.values())
        super().__init__(server, sock, addr, adj, map=map)

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for its client and is not being closed."""
        return not (self.requests or self._working or self.will_close)

    def readable(self) -> bool:
        """Check the time limit; the loop calls this at least each second."""
        if (self.is_waiting
                and time.monotonic() - self.since > self.limits.request):
            self.will_close = True
        if self.will_close and not self._shut:
            # waitress closes a connection only when it can write to it. A
            # client that reads nothing would keep it, and the answer, forever.
            self._shut = True
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
        return bool(super().readable())

    def received(self, data: bytes) -> bool:
        if self.request is None:
            # These are the first bytes of a request.
            self.since = time.monotonic()
        return bool(super().received(data))

    def service(self) -> None:
        """Handle a request in a thread."""
        self._working = True
        with self.requests_lock:
            if len(self.requests) > 1:
                self.requests[0].headers['CONNECTION'] = 'close'
        super().service()
        self.since = time.monotonic()
        self._working = False


def _close_longest(channels: Any) -> None:
    waiting = [one for one in channels if one.is_waiting]
    if waiting:
        # The loop closes it. If this thread did, another connection could get
        # its file descriptor.
        min(waiting, key=lambda one: one.since).will_close = True


def make_server(application: types.WSGIApplication,
                listening: socket.socket, limits: Limits) -> Any:
    """Return a waitress server for a socket that already listens.

    :param application: the WSGI application
    """
    server = waitress.create_server(
        application, sockets=[listening], threads=limits.threads,
        ident='freezer', backlog=1024, asyncore_use_poll=True,
        max_request_header_size=_MAX_HEADERS,
        # A request of this size is refused.
        max_request_body_size=limits.body + 1,
        inbuf_overflow=max(limits.body, 512 * 1024),
        outbuf_overflow=_ANSWER_IN_MEMORY, outbuf_high_watermark=_MAX_ANSWER,
        # Never reached, because a connection is closed before.
        connection_limit=2 * limits.connections + 16,
        channel_timeout=limits.idle, cleanup_interval=_CLEANUP,
        # A client that disconnects is normal.
        log_socket_errors=False,
        # oslo.middleware reads them if it is configured to.
        clear_untrusted_proxy_headers=False)
    # A client that waits for a thread is normal.
    logging.getLogger('waitress.queue').setLevel(logging.ERROR)
    server.channel_class = type(
        'Channel', (_Channel,), {'limits': limits})
    return server


def drain(server: Any, seconds: float) -> None:
    """Accept no more connections, and finish the current requests.

    :param seconds: maximum duration
    """
    server.accepting = False
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(
            not one.is_waiting or one.total_outbufs_len
            for one in list(server.active_channels.values())):
        time.sleep(0.02)

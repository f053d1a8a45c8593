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

"""The HTTP server of ``freezer-api``: waitress, with bounds on clients.

waitress reads requests and sends answers in one loop that waits for nobody; a
thread works on a request only when all of it is there. What it does not bound
by itself, each connection bounds here:

* A client may send a byte now and then, for good: a whole request and a whole
  answer have a time limit.
* waitress stops to accept connections when there are too many: instead, the
  one that has waited longest for its client is closed.
* A thread waits for a client that sends several requests at once and reads no
  answer: of several requests the first one is answered, and the connection is
  closed.
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

import waitress
from waitress import channel
from waitress import task

from freezer_api import errors

# Bytes. A token takes some hundred of them.
_MAX_HEADERS = 32 * 1024
# Bytes of one answer that are kept in memory, not in a file.
_ANSWER_IN_MEMORY = 256 * 1024
# More than any answer has: no thread waits until one has been sent.
_MAX_ANSWER = 256 * 1024 * 1024
# Seconds between two looks for idle connections.
_CLEANUP = 5


@dataclasses.dataclass(frozen=True)
class Limits:
    """What clients may take of a process.

    :ivar body: bytes of a request's body
    :ivar connections: open connections
    :ivar threads: requests that are worked on at a time
    :ivar request: seconds to send a request, or to receive an answer
    :ivar idle: seconds without any data
    """

    body: int
    connections: int
    threads: int
    request: int
    idle: int


class _ErrorTask(task.ErrorTask):
    """Answers what is no request, in the form of all errors of the API."""

    def execute(self) -> None:
        """Write the answer; the connection is closed after it."""
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
    """A connection. The loop calls all methods but ``service``."""

    limits: ClassVar[Limits]
    error_task_class = _ErrorTask

    def __init__(self, server: Any, sock: socket.socket, addr: Any, adj: Any,
                 map: Any = None) -> None:  # noqa: A002
        self._working = False
        self._shut = False
        self._since = time.monotonic()
        if len(server.active_channels) >= self.limits.connections:
            _close_longest(server.active_channels.values())
        super().__init__(server, sock, addr, adj, map=map)

    @property
    def since(self) -> float:
        """When it began to wait for its client, in monotonic seconds."""
        return self._since

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for its client, and is not being closed yet."""
        return not (self.requests or self._working or self.will_close)

    def readable(self) -> bool:
        """Look at the time: the loop calls this at least each second."""
        if (self.is_waiting
                and time.monotonic() - self._since > self.limits.request):
            self.will_close = True
        if self.will_close and not self._shut:
            # waitress closes what can be written to. A client that reads
            # nothing would keep its connection, and the answer, for good.
            self._shut = True
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
        return bool(super().readable())

    def received(self, data: bytes) -> bool:
        if self.request is None:
            # The first bytes of a request.
            self._since = time.monotonic()
        return bool(super().received(data))

    def service(self) -> None:
        """Work on a request, in a thread."""
        self._working = True
        with self.requests_lock:
            if len(self.requests) > 1:
                self.requests[0].headers['CONNECTION'] = 'close'
        super().service()
        self._since = time.monotonic()
        self._working = False


def _close_longest(channels: Any) -> None:
    waiting = [one for one in channels if one.is_waiting]
    if waiting:
        # The loop closes it. Here, its number could become another's.
        min(waiting, key=lambda one: one.since).will_close = True


def make_server(application: Any, listening: socket.socket, limits: Limits,
                ) -> Any:
    """Return a waitress server at a socket that is bound already.

    :param application: the WSGI application
    """
    server = waitress.create_server(
        application, sockets=[listening], threads=limits.threads,
        ident='freezer', backlog=1024, asyncore_use_poll=True,
        max_request_header_size=_MAX_HEADERS,
        # From this size on a request is refused.
        max_request_body_size=limits.body + 1,
        inbuf_overflow=max(limits.body, 512 * 1024),
        outbuf_overflow=_ANSWER_IN_MEMORY, outbuf_high_watermark=_MAX_ANSWER,
        # Here a connection is closed, so that this is never reached.
        connection_limit=2 * limits.connections + 16,
        channel_timeout=limits.idle, cleanup_interval=_CLEANUP,
        # Clients that go away are no news.
        log_socket_errors=False,
        # oslo.middleware reads them, where that is configured.
        clear_untrusted_proxy_headers=False)
    # Clients that wait for a thread are no news.
    logging.getLogger('waitress.queue').setLevel(logging.ERROR)
    server.channel_class = type(
        'Channel', (_Channel,), {'limits': limits})
    return server


def drain(server: Any, seconds: float) -> None:
    """Accept no more connections, and let what was begun end.

    :param seconds: after which it returns in any case
    """
    server.accepting = False
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(
            not one.is_waiting or one.total_outbufs_len
            for one in list(server.active_channels.values())):
        time.sleep(0.02)

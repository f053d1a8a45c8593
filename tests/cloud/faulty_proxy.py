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

"""An HTTP proxy that does to chosen requests what networks do.

It stands between a client and one server, passes on what no rule names, and
knows afterwards what it was sent and what the server answered.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
from http import server
import re
import threading
import time

# Not handed on: each of the two connections has its own.
_PATIENCE = 120
_OF_THE_CONNECTION = frozenset((
    'connection', 'keep-alive', 'transfer-encoding', 'content-length'))


@dataclasses.dataclass(frozen=True)
class Fault:
    """What is done to a request.

    :ivar hold: seconds before the server gets it
    :ivar held: the server gets it only when the rule is let go
    :ivar sends: how often the server gets it; 0 for never
    :ivar linger: seconds before the client gets the answer
    :ivar status: answered instead of what the server said
    :ivar body: of that answer
    :ivar cut: the connection ends after so many bytes of the answer's body;
        -1 for before its first byte
    """

    hold: float = 0
    held: bool = False
    sends: int = 1
    linger: float = 0
    status: int | None = None
    body: bytes | None = None
    cut: int | None = None


NO_ANSWER = Fault(cut=-1)
NEVER_ARRIVES = Fault(sends=0, cut=-1)
CUT_ANSWER = Fault(cut=10)
TWICE = Fault(sends=2)
FAILS_LATE = Fault(status=500)
HELD = Fault(held=True)
GARBAGE = Fault(body=b'<html>all is well</html>')


def refused(status: int) -> Fault:
    """The server, or what is before it, says no and does nothing."""
    return Fault(sends=0, status=status)


@dataclasses.dataclass
class Rule:
    """Which requests a fault is for.

    :ivar text: is in the path or in the body
    :ivar times: requests that it is still for
    :ivar met: is set once there was one
    :ivar let_go: sends on what is held
    :ivar request: the last one
    :ivar statuses: what the server answered
    """

    method: str
    path: str
    text: str
    fault: Fault
    times: int
    met: threading.Event = dataclasses.field(default_factory=threading.Event)
    let_go: threading.Event = dataclasses.field(
        default_factory=threading.Event)
    request: Request | None = None
    statuses: list[int] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Request:
    """What the server is sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


_Answer = tuple[int, list[tuple[str, str]], bytes]


class FaultyProxy:
    """The proxy, from :meth:`start` to :meth:`stop`.

    :param target: port on 127.0.0.1 of the server
    :ivar port: where it listens, on 127.0.0.1
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        handler = type('Handler', (_Handler,), {'proxy': self})
        self._server = _Server(('127.0.0.1', 0), handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fail(self, method: str, path: str, text: str, fault: Fault,
             times: int = 1) -> Rule:
        """Have a fault befall the next requests of a kind.

        :param path: a regular expression for the end of the path
        """
        rule = Rule(method, path + r'(\?|$)', text, fault, times)
        with self._lock:
            self._rules.append(rule)
        return rule

    def rule(self, request: Request) -> Rule | None:
        with self._lock:
            for rule in self._rules:
                if (rule.times and rule.method == request.method
                        and re.search(rule.path, request.path)
                        and (rule.text in request.path
                             or rule.text.encode() in request.body)):
                    rule.times -= 1
                    rule.request = request
                    return rule
        return None

    def forward(self, request: Request) -> _Answer:
        """Send the server a request, or send it again."""
        connection = http.client.HTTPConnection('127.0.0.1', self._target,
                                                timeout=_PATIENCE)
        try:
            with contextlib.closing(connection):
                connection.request(request.method, request.path,
                                   request.body or None, request.headers)
                answer = connection.getresponse()
                return answer.status, answer.getheaders(), answer.read()
        except (OSError, http.client.HTTPException):
            return 502, [], b'{}'


class _Server(server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone away is what this is for."""


class _Handler(server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    proxy: FaultyProxy

    def log_message(self, format: str,  # noqa: A002
                    *args: object) -> None:
        pass

    def _handle(self) -> None:
        request = Request(
            self.command, self.path,
            {name: value for name, value in self.headers.items()
             if name.lower() not in _OF_THE_CONNECTION},
            self.rfile.read(int(self.headers.get('Content-Length') or 0)))
        rule = self.proxy.rule(request)
        if rule is None:
            self._answer(*self.proxy.forward(request))
        else:
            self._fail(request, rule)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

    def _fail(self, request: Request, rule: Rule) -> None:
        fault = rule.fault
        rule.met.set()
        time.sleep(fault.hold)
        if fault.held:
            rule.let_go.wait(_PATIENCE)
        answers = [self.proxy.forward(request) for _ in range(fault.sends)]
        rule.statuses += [status for status, _headers, _body in answers]
        status, headers, body = (answers or [(502, [], b'{}')])[0]
        time.sleep(fault.linger)
        self.close_connection = fault.cut is not None
        if fault.cut != -1:
            self._answer(fault.status or status, headers,
                         body if fault.body is None else fault.body,
                         fault.cut)

    def _answer(self, status: int, headers: list[tuple[str, str]],
                body: bytes, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in _OF_THE_CONNECTION:
                self.send_header(name, value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body[:cut])

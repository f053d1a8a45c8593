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
import re
import threading
import time

from benchmarks.observation import proxy

# Seconds after which what is held goes on by itself: later than any test.
_PATIENCE = 600


@dataclasses.dataclass(frozen=True)
class Fault:
    """What is done to a request.

    :ivar hold: seconds before the server gets it
    :ivar held: the server gets it only when the rule is let go
    :ivar sends: how often the server gets it; 0 for never
    :ivar linger: seconds before the client gets the answer
    :ivar status: answered instead of what the server said
    :ivar body: of that answer
    :ivar headers: more of them
    :ivar drips: a byte of the body comes each half second
    :ivar cut: the connection ends after so many bytes of the answer's body;
        -1 for before its first byte
    """

    hold: float = 0
    held: bool = False
    sends: int = 1
    linger: float = 0
    status: int | None = None
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    drips: bool = False
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
    request: proxy.Request | None = None
    statuses: list[int] = dataclasses.field(default_factory=list)


class FaultyProxy(proxy.Proxy):
    """One that has faults befall requests."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self._rules: list[Rule] = []
        self._lock = threading.Lock()

    def fail(self, method: str, path: str, text: str, fault: Fault,
             times: int = 1) -> Rule:
        """Have a fault befall the next requests of a kind.

        :param path: a regular expression for the end of the path
        """
        rule = Rule(method, path + r'(\?|$)', text, fault, times)
        with self._lock:
            self._rules.append(rule)
        return rule

    def rule(self, request: proxy.Request) -> Rule | None:
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

    def serve(self, request: proxy.Request, client: proxy.Client) -> None:
        rule = self.rule(request)
        if rule is None:
            super().serve(request, client)
        else:
            self._fail(request, client, rule)

    def _fail(self, request: proxy.Request, client: proxy.Client,
              rule: Rule) -> None:
        fault = rule.fault
        rule.met.set()
        time.sleep(fault.hold)
        if fault.held:
            rule.let_go.wait(_PATIENCE)
        answers = [self.forward(request) for _ in range(fault.sends)]
        rule.statuses += [status for status, _headers, _body in answers]
        status, headers, body = (answers or [(502, [], b'{}')])[0]
        time.sleep(fault.linger)
        client.close_connection = fault.cut is not None or fault.drips
        if fault.cut == -1:
            return
        body = body if fault.body is None else fault.body
        client.answer(fault.status or status, [*headers, *fault.headers],
                      body, 0 if fault.drips else fault.cut)
        if fault.drips:
            # The client has gone away before the end.
            with contextlib.suppress(OSError):
                for byte in body:
                    client.wfile.write(bytes([byte]))
                    time.sleep(0.5)

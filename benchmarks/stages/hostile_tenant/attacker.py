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

"""The process that attacks an API; it reads its orders as JSON.

Each of its clients sends one request after the other. In the end it prints how
often each status was answered, and how long that took.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator
import contextlib
import json
import socket
import sys
import threading
import time

from benchmarks.environment import keystone
from benchmarks.load import requests as load
from benchmarks.stages.hostile_tenant import attack

_PAUSE = 0.02
_PATIENCE = 5
_STRANGER_PAUSE = 1

_SLOW_HEADER = b'GET / HTTP/1.1\r\nHost: x\r\nX-Slow: '
_SLOW_BODY = (b'POST /v2/x/jobs HTTP/1.1\r\nHost: x\r\n'
              b'Content-Type: application/json\r\n'
              b'Content-Length: 60000\r\n\r\n')
_KEPT = b'GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n'
_OPENINGS = (b'', _SLOW_HEADER, _SLOW_BODY, _KEPT)


class Tally:
    """What was answered, by kind of request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._statuses: dict[str, collections.Counter[str]] = (
            collections.defaultdict(collections.Counter))
        self._longest: dict[str, float] = collections.defaultdict(float)

    def add(self, name: str, status: str, seconds: float) -> None:
        with self._lock:
            self._statuses[name][status] += 1
            self._longest[name] = max(self._longest[name], seconds)

    def document(self) -> dict[str, object]:
        with self._lock:
            return {name: {'statuses': dict(statuses),
                           'longest': self._longest[name]}
                    for name, statuses in sorted(self._statuses.items())}


def _send(port: int, request: load.Request) -> str:
    message = request.encoded()
    with socket.create_connection(('127.0.0.1', port), 60) as line:
        line.sendall(message)
        line.shutdown(socket.SHUT_WR)
        head = line.recv(65536)
        while line.recv(65536):
            pass
    return head[9:12].decode('ascii', 'replace') or 'closed'


def _attack(port: int, requests: Iterator[tuple[str, load.Request]],
            lock: threading.Lock, until: float, tally: Tally) -> None:
    while (began := time.monotonic()) < until:
        with lock:
            name, request = next(requests)
        try:
            status = _send(port, request)
        except OSError as error:
            status = type(error).__name__
        tally.add(name, status, time.monotonic() - began)
        time.sleep(_PAUSE)


class Strangers:
    """A number of slow connections without a token.

    Some send nothing, some send a header or a body byte by byte, and some do
    not read the answer. Each connects again as soon as it is closed.

    :param port: of the server
    :param count: of connections, each kept by a thread
    """

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._stay, daemon=True,
                             args=(_OPENINGS[number % len(_OPENINGS)],))
            for number in range(count)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _stay(self, opening: bytes) -> None:
        while not self._over.is_set():
            with (contextlib.suppress(OSError),
                  socket.create_connection(('127.0.0.1', self._port),
                                           _PATIENCE) as line):
                line.sendall(opening)
                while not self._over.wait(_STRANGER_PAUSE):
                    if opening in (_SLOW_HEADER, _SLOW_BODY):
                        line.sendall(b'x')
                    if _is_closed(line):
                        break


def _is_closed(line: socket.socket) -> bool:
    line.setblocking(False)
    try:
        return not line.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    finally:
        line.setblocking(True)


def main() -> int:
    wanted = json.load(sys.stdin)
    caller = keystone.User(wanted['project_id'], wanted['token'])
    until = time.monotonic() + wanted['seconds']
    tally = Tally()
    requests = attack.HostileTenant(
        caller, wanted['client_id'], wanted['seed']).requests()
    lock = threading.Lock()
    threads = [threading.Thread(target=_attack, args=(
        wanted['port'], requests, lock, until, tally))
        for _ in range(wanted['clients'])]
    idle = Strangers(wanted['port'], wanted['strangers'])
    idle.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    idle.stop()
    json.dump(tally.document(), sys.stdout)
    return 0


if __name__ == '__main__':
    sys.exit(main())

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

"""The process that attacks an API; it reads what to do as JSON.

It keeps a number of clients busy, each with one request after the other, and
prints at the end what was answered how often, and how long that took.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator
import json
import socket
import sys
import threading
import time

from benchmarks.api import load
from benchmarks.api import world
from benchmarks.hostile_tenant import documents
from benchmarks.hostile_tenant import strangers

_PAUSE = 0.02


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


def main() -> int:
    wanted = json.load(sys.stdin)
    caller = world.User(wanted['project_id'], wanted['token'])
    until = time.monotonic() + wanted['seconds']
    tally = Tally()
    requests = documents.HostileTenant(
        caller, wanted['client_id'], wanted['seed']).requests()
    lock = threading.Lock()
    threads = [threading.Thread(target=_attack, args=(
        wanted['port'], requests, lock, until, tally))
        for _ in range(wanted['clients'])]
    idle = strangers.Strangers(wanted['port'], wanted['strangers'])
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

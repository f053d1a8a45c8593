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

"""Requests as a client sends them, and what they take.

A connection for each request, as uWSGI's ``--http-socket`` wants it; the same
for whoever is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import itertools
import json
import socket
import threading
import time
from typing import Any

#: Seconds that an answer may take: the longest list takes minutes.
_PATIENCE = 900


class Refused(Exception):
    """A request was answered with an error."""


class Broken(Refused):
    """A server answered that it is its own fault."""


@dataclasses.dataclass(frozen=True)
class Request:
    """One request.

    :ivar path: begins with ``/``
    """

    method: str
    path: str
    token: str = dataclasses.field(repr=False)
    body: Any = None

    def encoded(self) -> bytes:
        data = b'' if self.body is None else json.dumps(self.body).encode()
        head = (f'{self.method} {self.path} HTTP/1.1\r\n'
                'Host: 127.0.0.1\r\nConnection: close\r\n'
                'Accept: application/json\r\n'
                'Content-Type: application/json\r\n'
                f'X-Auth-Token: {self.token}\r\n'
                f'Content-Length: {len(data)}\r\n\r\n')
        return head.encode() + data


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came back.

    :ivar seconds: from before the connection until the last byte
    :ivar statements: SQL statements that it took
    """

    status: int
    text: bytes
    seconds: float
    statements: int

    @property
    def document(self) -> Any:
        return json.loads(self.text)


def send(port: int, request: Request) -> Answer:
    """Send a request to a server on this machine.

    :raises Refused: the status is 400 or more
    :raises OSError: there is no answer
    """
    message = request.encoded()
    began = time.perf_counter()
    with socket.create_connection(('127.0.0.1', port), _PATIENCE) as line:
        line.sendall(message)
        parts = []
        while part := line.recv(65536):
            parts.append(part)
    seconds = time.perf_counter() - began
    head, _, text = b''.join(parts).partition(b'\r\n\r\n')
    first, *headers = head.decode('latin-1').split('\r\n')
    if not first:
        raise ConnectionError(f'{request.method} {request.path}: no answer')
    status = int(first.split()[1])
    if status >= 400:
        kind = Broken if status >= 500 else Refused
        raise kind(f'{request.method} {request.path}: {status} '
                   f'{text[:500]!r}')
    statements = [int(line.partition(':')[2]) for line in headers
                  if line.lower().startswith('x-sql-statements:')]
    return Answer(status, text, seconds, sum(statements))


@dataclasses.dataclass
class Sample:
    """What a number of requests took.

    :ivar seconds: of each of them
    :ivar elapsed: from the first to the end of the last
    :ivar failed: how many more were answered with an error of the server
    """

    seconds: list[float]
    elapsed: float
    statements: list[int]
    failed: int = 0

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.seconds) / self.elapsed


def run(port: int, requests: Iterator[Request], clients: int,
        seconds: float, least: int = 1) -> Sample:
    """Let clients send requests one after another for some time.

    :param requests: without an end
    :param least: requests that are sent however long they take
    :raises Refused: one was answered with an error that is the client's
    """
    sample = Sample([], 0, [])
    lock = threading.Lock()
    failed: list[Exception] = []
    began = time.perf_counter()
    numbers = itertools.count()

    def client() -> None:
        try:
            while not failed:
                with lock:
                    if (next(numbers) >= least
                            and time.perf_counter() - began > seconds):
                        return
                    request = next(requests)
                try:
                    answer = send(port, request)
                except Broken:
                    with lock:
                        sample.failed += 1
                    continue
                with lock:
                    sample.seconds.append(answer.seconds)
                    sample.statements.append(answer.statements)
        except (Refused, OSError) as error:
            failed.append(error)

    _together(client, clients)
    sample.elapsed = time.perf_counter() - began
    if failed:
        raise failed[0]
    if not sample.seconds:
        raise Refused('all requests failed')
    return sample


def _together(work: Callable[[], None], clients: int) -> None:
    if clients == 1:
        work()
        return
    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

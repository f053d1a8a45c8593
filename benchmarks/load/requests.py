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

"""Requests as a client sends them, and how long they take.

Each request has a connection of its own, as uWSGI's ``--http-socket`` wants
it; this is the same for both sides.
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

from tools.cloud import errors

#: Seconds that an answer may take: the longest list takes minutes.
_PATIENCE = 900


class Refused(errors.QuickstartError):
    """A request was answered with an error."""


class ServerError(Refused):
    """A request was answered with a status of 500 or more."""


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
    """The answer to a request.

    :ivar seconds: from before the connection until the last byte
    :ivar statements: number of SQL statements
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
        kind = ServerError if status >= 500 else Refused
        raise kind(f'{request.method} {request.path}: {status} '
                   f'{text[:500]!r}')
    statements = [int(line.partition(':')[2]) for line in headers
                  if line.lower().startswith('x-sql-statements:')]
    return Answer(status, text, seconds, sum(statements))


@dataclasses.dataclass
class Sample:
    """Times of a number of requests.

    :ivar seconds: of each request
    :ivar elapsed: from the first to the end of the last
    :ivar failed: number of further requests that ended in a server error
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

    :param requests: an endless iterator
    :param least: number of requests to send, however long they take
    :raises Refused: a request was answered with a client error
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
                except ServerError:
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

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

"""A server that answers byte for byte what a test wants, sane or not."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import dataclasses
import gzip
import json
import socket
import ssl
import threading
import time
from typing import Any

DRIP = 0.05
# A server gives up at last, where a client does not.
_PATIENCE = 20


@dataclasses.dataclass(frozen=True)
class Seen:
    """A request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Seen], Iterable[bytes]]


class ByteServer:
    """Answers on 127.0.0.1 until :meth:`close`; one answer a connection.

    :ivar seen: the requests, in order
    """

    def __init__(self, answer: Answer,
                 context: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._context = context
        self.seen: list[Seen] = []
        self._socket = socket.create_server(('127.0.0.1', 0), backlog=50)
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        scheme = 'https' if self._context else 'http'
        return f'{scheme}://127.0.0.1:{self.port}'

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _address = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(client,),
                             daemon=True).start()

    def _one(self, client: socket.socket) -> None:
        # The client gives up, or the connection is not what it expects.
        with contextlib.suppress(OSError), client:
            client.settimeout(_PATIENCE)
            if self._context is not None:
                client = self._context.wrap_socket(client, server_side=True)
            with client:
                seen = _request(client)
                if seen is None:
                    return
                self.seen.append(seen)
                for piece in self._answer(seen):
                    client.sendall(piece)


def _request(client: socket.socket) -> Seen | None:
    with client.makefile('rb') as file:
        line = file.readline().split()
        if len(line) < 2:
            return None
        headers = {}
        while header := file.readline().strip():
            name, _, value = header.decode('latin-1').partition(':')
            headers[name.lower()] = value.strip()
        body = file.read(int(headers.get('content-length', 0)))
    return Seen(line[0].decode(), line[1].decode(), headers, body)


def plain(status: int, body: bytes = b'', kind: str = 'application/json',
          length: int | None = None, **headers: str) -> bytes:
    """Return a whole answer.

    :param length: what it says of its length
    :param headers: with underscores for hyphens
    """
    lines = [f'HTTP/1.1 {status} Any', 'Connection: close',
             f'Content-Length: {len(body) if length is None else length}']
    if kind:
        lines.append(f'Content-Type: {kind}')
    lines += [f'{name.replace("_", "-")}: {value}'
              for name, value in headers.items()]
    return '\r\n'.join([*lines, '', '']).encode('latin-1') + body


def document(status: int, found: object, **headers: Any) -> bytes:
    """Return an answer with JSON."""
    return plain(status, json.dumps(found).encode(), **headers)


def zipped(status: int, body: bytes, **headers: Any) -> bytes:
    """Return an answer that is compressed."""
    return plain(status, gzip.compress(body), Content_Encoding='gzip',
                 **headers)


def chunked(status: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield an answer whose length is not told."""
    yield (f'HTTP/1.1 {status} Any\r\nContent-Type: application/json\r\n'
           'Transfer-Encoding: chunked\r\n\r\n').encode()
    for piece in pieces:
        yield b'%x\r\n%s\r\n' % (len(piece), piece)
    yield b'0\r\n\r\n'


def dripping(answer: bytes, fast: int) -> Iterator[bytes]:
    """Yield an answer two bytes at a time.

    :param fast: so many bytes arrive at once
    """
    yield answer[:fast]
    until = time.monotonic() + _PATIENCE
    for start in range(fast, len(answer), 2):
        if time.monotonic() > until:
            return
        time.sleep(DRIP)
        yield answer[start:start + 2]

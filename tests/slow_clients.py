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

"""Clients that keep a server waiting: hundreds of them in one thread."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
import time

_HEAD = b'HTTP/1.1\r\nHost: freezer\r\n'
_POST = b'POST /v2/p1/jobs ' + _HEAD
_DOCUMENT = b'GET /v2/openapi.json ' + _HEAD + b'\r\n'


@dataclasses.dataclass(frozen=True)
class Attack:
    """What each of the clients does.

    :ivar first: sent at once, as far as the server takes it
    :ivar drip: sent each second
    :ivar reads: bytes of answers that are read each second
    """

    name: str
    first: bytes = b''
    drip: bytes = b''
    reads: int = 0


ATTACKS = (
    Attack('idle'),
    Attack('half a line', b'GET /v2'),
    Attack('a line, byte by byte', b'G', b'E'),
    Attack('slow headers', b'GET / ' + _HEAD, b'X-Header: value\r\n'),
    Attack('huge headers', b'GET / ' + _HEAD + b'X: ' + b'x' * (4 << 20),
           b'x' * 65536),
    Attack('slow body', _POST + b'Content-Length: 100000\r\n\r\n', b'x'),
    Attack('slow body, large', _POST + b'Content-Length: 110000\r\n\r\n'
           + b'x' * 100_000, b'x'),
    Attack('huge length', _POST + b'Content-Length: 999999999999\r\n\r\n',
           b'x'),
    Attack('endless chunks', _POST + b'Transfer-Encoding: chunked\r\n\r\n',
           b'1\r\nx\r\n'),
    Attack('an endless size of a chunk',
           _POST + b'Transfer-Encoding: chunked\r\n\r\n', b'0'),
    Attack('never continued', _POST + b'Expect: 100-continue\r\n'
           b'Content-Length: 1000\r\n\r\n'),
    Attack('slow readers', _DOCUMENT, reads=1),
    Attack('many requests at once, none is read', _DOCUMENT * 100),
    Attack('kept alive', b'GET /healthcheck ' + _HEAD + b'\r\n',
           b'GET /healthcheck ' + _HEAD + b'\r\n', reads=65536),
    Attack('without a token', _POST + b'Content-Length: 2\r\n\r\n{}', b'x'),
)


class Clients:
    """Carries out attacks in a thread of its own, until it is closed.

    A connection that the server closes is opened again.

    :param address: of the server
    :param attacks: client N carries out attack N, modulo their number
    :param number: of clients
    """

    def __init__(self, address: tuple[str, int], attacks: tuple[Attack, ...],
                 number: int) -> None:
        self._address = address
        self._attacks = [attacks[one % len(attacks)] for one in range(number)]
        self._sockets: list[socket.socket | None] = [None] * number
        self._ended = threading.Event()
        self.attacking = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Clients:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        for one in self._sockets:
            if one is not None:
                one.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            began = time.monotonic()
            for number, attack in enumerate(self._attacks):
                if self._ended.is_set():
                    return
                self._sockets[number] = self._go_on(
                    attack, self._sockets[number])
            self.attacking.set()
            self._ended.wait(max(0.0, began + 1 - time.monotonic()))

    def _go_on(self, attack: Attack, made: socket.socket | None,
               ) -> socket.socket | None:
        try:
            if made is None:
                made = socket.socket()
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                made.settimeout(0.2)
                made.connect(self._address)
                made.setblocking(False)
                self._send(made, attack.first)
            else:
                self._send(made, attack.drip)
            if attack.reads:
                with contextlib.suppress(BlockingIOError):
                    if not made.recv(attack.reads):
                        raise ConnectionResetError
        except OSError:
            if made is not None:
                made.close()
            return None
        return made

    def _send(self, made: socket.socket, data: bytes) -> None:
        with contextlib.suppress(BlockingIOError):
            while data:
                data = data[made.send(data):]

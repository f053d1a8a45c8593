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

"""Connections of strangers, who have no token and no hurry.

Some say nothing, some send a header or a body by the byte, and some do not
read what they asked for. Each connects again as soon as it is cut off.
"""

from __future__ import annotations

import contextlib
import socket
import threading

_PATIENCE = 5
_PAUSE = 1

_SLOW_HEADER = b'GET / HTTP/1.1\r\nHost: x\r\nX-Slow: '
_SLOW_BODY = (b'POST /v2/x/jobs HTTP/1.1\r\nHost: x\r\n'
              b'Content-Type: application/json\r\n'
              b'Content-Length: 60000\r\n\r\n')
_KEPT = b'GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n'
_OPENINGS = (b'', _SLOW_HEADER, _SLOW_BODY, _KEPT)


class Strangers:
    """So many connections to a server on this machine at all times.

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
                while not self._over.wait(_PAUSE):
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

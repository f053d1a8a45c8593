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

"""Asking a running scheduler for its status.

It listens at a Unix socket beside its PID file, which only its own user can
use. So the answer is current, and no status file can be out of date.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import json
import os
import pathlib
import socket
import struct
import threading
import time
from typing import Any

_PATIENCE = 5
_MOMENT = 1
_LONGEST = 16 << 20
_CREDENTIALS = struct.Struct('3i')


class NoAnswer(Exception):
    """The process did not send its status; the text says why."""


def path_of(pid_file: pathlib.Path) -> pathlib.Path:
    """Return the path of the socket that belongs to a PID file."""
    return pid_file.with_name(pid_file.name + '.sock')


class Listener:
    """The socket of the running scheduler, which must hold its PID file."""

    def __init__(self, path: pathlib.Path,
                 document: Callable[[], dict[str, object]]) -> None:
        self._path = path
        self._document = document
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def open(self) -> None:
        """Listen, in a thread of its own.

        Call it before other threads exist: while the socket is created, the
        umask of the whole process is changed.

        :raises OSError: if the socket cannot be created
        """
        # A socket that is there belongs to no running scheduler, because this
        # process has the lock of the PID file.
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            with _short(self._path) as name:
                self._socket.bind(name)
        finally:
            os.umask(before)
        self._socket.listen()
        threading.Thread(target=self._serve, name='status',
                         daemon=True).start()

    def close(self) -> None:
        """Remove the socket."""
        self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while True:
            try:
                asking, _address = self._socket.accept()
            except OSError:
                # Too many files are open. The client waits.
                time.sleep(_MOMENT)
                continue
            with contextlib.suppress(OSError), asking:
                asking.settimeout(_PATIENCE)
                if _peer(asking)[1] in (os.geteuid(), 0):
                    asking.sendall(json.dumps(self._document()).encode())


def ask(path: pathlib.Path, pid: int) -> dict[str, Any]:
    """Return the status document of a scheduler.

    :param pid: the process that its PID file names
    :raises NoAnswer: if there is no usable answer
    """
    try:
        text = _read(path, pid)
    except FileNotFoundError:
        raise NoAnswer(f'there is no {path}: it may have just started, or be '
                       f'of an earlier release') from None
    except TimeoutError:
        raise NoAnswer(f'no answer within {_PATIENCE} seconds') from None
    except OSError as error:
        raise NoAnswer(f'{path}: {error.strerror}') from None
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise NoAnswer('the answer cannot be read')
    return document


def _read(path: pathlib.Path, pid: int) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_PATIENCE)
        with _short(path) as name:
            asking.connect(name)
        if _peer(asking)[0] != pid:
            raise NoAnswer(f'{path} is not that of process {pid}')
        text = b''
        while len(text) < _LONGEST and (part := asking.recv(1 << 16)):
            text += part
    return text


def _peer(connected: socket.socket) -> tuple[int, int]:
    """Return the process ID and the user ID of the other end."""
    pid, uid, _gid = _CREDENTIALS.unpack(connected.getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return pid, uid


@contextlib.contextmanager
def _short(path: pathlib.Path) -> Iterator[str]:
    """Yield a short name of a path: a socket address is limited."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f'/proc/self/fd/{folder}/{path.name}'
    finally:
        os.close(folder)

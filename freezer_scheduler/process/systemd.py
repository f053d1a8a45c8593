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

"""Notifications to systemd, if it started the process.

sdnotify, which is not maintained any more, blocks while nothing reads the
socket. systemd-python needs libraries of the system.
"""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import socket
import time

VARIABLE = 'NOTIFY_SOCKET'


class Notifier:
    """Sends to the socket in the environment; does nothing without one.

    :param environ: environment variables, among them NOTIFY_SOCKET
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get(VARIABLE, '')
        # An @ stands for the zero byte of an abstract name.
        self._address = '\0' + address[1:] if address[:1] == '@' else address

    def ready(self) -> None:
        """Say that the process is ready, after start or reload."""
        self._send('READY=1')

    def reloading(self) -> None:
        """Say that the process reloads its configuration."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f'RELOADING=1\nMONOTONIC_USEC={microseconds}')

    def stopping(self) -> None:
        """Say that the process is about to end."""
        self._send('STOPPING=1')

    def status(self, text: str) -> None:
        """Set the line that ``systemctl status`` shows."""
        self._send('STATUS=' + text.replace('\n', ' '))

    def _send(self, text: str) -> None:
        if not self._address:
            return
        # The scheduler must not fail because systemd does not listen.
        with contextlib.suppress(OSError), socket.socket(
                socket.AF_UNIX,
                socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.sendto(text.encode(), socket.MSG_DONTWAIT, self._address)

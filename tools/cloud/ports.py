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

"""Free TCP ports on 127.0.0.1."""

import errno
import random
import socket
import time

from tools.cloud import errors

HOST = '127.0.0.1'

# Seconds to wait for a port to become free.
_LINGER = 5

#: Below the range of the kernel for outgoing connections, so that a free port
#: stays free until its server listens.
_CANDIDATES = range(20000, 32000)


def is_free(port: int) -> bool:
    """Return whether a server can listen on the port now.

    :raises PermissionError: if the port is reserved for privileged users
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def require_free(port: int, option: str) -> None:
    """Refuse a port that is in use.

    A server that has just ended can hold its port until the last of its
    threads ends.

    :raises errors.QuickstartError: if it is in use; the text has the option
        to change it
    """
    end = time.monotonic() + _LINGER
    try:
        while not (free := is_free(port)) and time.monotonic() < end:
            time.sleep(0.1)
        if free:
            return
        reason = 'is in use by another process'
    except OSError as error:
        reason = f'cannot be used ({error.strerror})'
    raise errors.QuickstartError(
        f'port {port} {reason}: choose another with {option}')


def find_free(count: int) -> list[int]:
    """Return some different free ports."""
    found: list[int] = []
    # The choice of ports is not a secret.
    for port in random.sample(  # nosec B311
            _CANDIDATES, len(_CANDIDATES)):
        if is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise errors.QuickstartError('no free ports on ' + HOST)

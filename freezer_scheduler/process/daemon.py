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

"""Detaching from the terminal.

python-daemon ends the calling process before the new one is prepared, so that
it cannot report whether the scheduler started.
"""

from __future__ import annotations

from collections.abc import Callable
import os
import sys


def detach(prepare: Callable[[], None], inside: Callable[[], int]) -> int:
    """Run a function in a background process without a terminal.

    :param prepare: called first in the new process; the caller waits for it
    :param inside: called next; its result is the exit status of the process
    :returns: in the calling process, 0 once the new one is prepared, else 1
    """
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    if child := os.fork():
        os.close(writer)
        os.waitpid(child, 0)
        with os.fdopen(reader, 'rb') as ready:
            return 0 if ready.read() == b'ready' else 1
    os.close(reader)
    # The leader of the new session exits, so no terminal can be acquired.
    os.setsid()
    if os.fork():
        os._exit(0)
    status = 1
    try:
        # Keep the working directory: a reload reads relative paths again.
        os.umask(0o077)
        prepare()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        os.close(nothing)
        os.write(writer, b'ready')
        os.close(writer)
        status = inside()
    finally:
        os._exit(status)

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

"""Waiting for what real processes do."""

from __future__ import annotations

from collections.abc import Callable
import pathlib
import time
from typing import Any

# Enough for a lease, a claim, a backup and its polls on a busy machine.
PATIENCE = 300

_ESTABLISHED = '01'


def eventually(what: Callable[[], Any], seconds: float = PATIENCE,
               pause: float = 1) -> Any:
    """Return the first true answer of ``what``.

    What takes its time is asked less often: a question to an API keeps a
    processor busy, that of Keystone included, which others wait for.

    :param pause: the most seconds between two questions, for a state that
        passes
    """
    start = time.monotonic()
    end = start + seconds
    while True:
        began = time.monotonic()
        answer = what()
        if answer:
            return answer
        now = time.monotonic()
        if now > end:
            raise AssertionError(f'never came true: {what}')
        time.sleep(min(pause, max(0.1, 4 * (now - began), (now - start) / 5)))


def unread(port: int) -> int:
    """Return how many bytes wait for the process that serves a port.

    Those of connections that it has not accepted yet count too.
    """
    waiting = 0
    for line in pathlib.Path('/proc/net/tcp').read_text().splitlines()[1:]:
        _, local, _, state, queues, *_ = line.split()
        if state == _ESTABLISHED and int(local.split(':')[1], 16) == port:
            waiting += int(queues.split(':')[1], 16)
    return waiting

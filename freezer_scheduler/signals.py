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

"""Signals as something that is waited for."""

from __future__ import annotations

import enum
import signal
import time
from typing import Protocol

# Seconds between two looks for a signal, where it is not waited for forever.
_LOOK = 0.1


class Wish(enum.Enum):
    """What an operator wants of the process."""

    STOP = enum.auto()
    RELOAD = enum.auto()


class Wishes(Protocol):
    """Where the wishes come from."""

    def wait(self, seconds: float | None = None) -> Wish | None:
        """Return the next wish, or None when there was none in time."""


class ProcessSignals:
    """The signals of this process: SIGTERM and SIGINT stop, SIGHUP reloads.

    They are blocked and then waited for, by whoever calls ``wait``. So no
    handler ever interrupts anything, and an idle process sleeps. To be made
    before any thread is, because threads inherit the mask.
    """

    _WISHES = {signal.SIGTERM: Wish.STOP, signal.SIGINT: Wish.STOP,
               signal.SIGHUP: Wish.RELOAD}

    def __init__(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, self._WISHES)

    def wait(self, seconds: float | None = None) -> Wish | None:
        if seconds is None:
            return self._wish(signal.sigwaitinfo(self._WISHES))
        until = time.monotonic() + seconds
        # To wait inside sigtimedwait is not safe: where the process is
        # stopped for longer than that, Python hands out a signal that was
        # none, with whatever number.
        while (received := signal.sigtimedwait(self._WISHES, 0)) is None:
            left = until - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(left, _LOOK))
        return self._wish(received)

    def _wish(self, received: signal.struct_siginfo) -> Wish:
        return self._WISHES[signal.Signals(received.si_signo)]

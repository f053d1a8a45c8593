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


class Signal(enum.Enum):
    """What an operator wants of the process."""

    STOP = enum.auto()
    RELOAD = enum.auto()


class SignalSource(Protocol):
    """Gives signals."""

    def wait(self, seconds: float | None = None) -> Signal | None:
        """Return the next signal, or None if none arrives in time."""


class ProcessSignals:
    """The signals of this process: SIGTERM and SIGINT stop, SIGHUP reloads.

    The signals are blocked, and :meth:`wait` waits for them. So no handler
    interrupts other code, and an idle process sleeps. Create it before any
    thread, because threads inherit the mask.
    """

    _SIGNALS = {signal.SIGTERM: Signal.STOP, signal.SIGINT: Signal.STOP,
                signal.SIGHUP: Signal.RELOAD}

    def __init__(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, self._SIGNALS)

    def wait(self, seconds: float | None = None) -> Signal | None:
        if seconds is None:
            return self._signal_of(signal.sigwaitinfo(self._SIGNALS))
        until = time.monotonic() + seconds
        # Waiting inside sigtimedwait is not safe: if the process is stopped
        # for longer than the time-out, Python returns an invalid signal with
        # a random number.
        while (received := signal.sigtimedwait(self._SIGNALS, 0)) is None:
            left = until - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(left, _LOOK))
        return self._signal_of(received)

    def _signal_of(self, received: signal.struct_siginfo) -> Signal:
        return self._SIGNALS[signal.Signals(received.si_signo)]

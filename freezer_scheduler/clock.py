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

"""Time, as something that is handed in."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where code that needs the time gets it from."""

    def wall(self) -> float:
        """Return seconds since the epoch, for what others get to see."""

    def monotonic(self) -> float:
        """Return seconds that only ever grow, for leases and waiting."""


class SystemClock:
    """The machine's clocks."""

    def wall(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        # Unlike CLOCK_MONOTONIC this goes on while the machine sleeps, and
        # so does the lease at the API.
        return time.clock_gettime(time.CLOCK_BOOTTIME)

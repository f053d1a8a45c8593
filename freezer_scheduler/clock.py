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

"""The clock, which is passed in."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """The times that the scheduler needs."""

    def wall(self) -> float:
        """Return epoch seconds, for times that others read."""

    def monotonic(self) -> float:
        """Return seconds that never decrease, for leases and waits."""


class SystemClock:
    """The clocks of this machine."""

    def wall(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        # Unlike CLOCK_MONOTONIC it continues while the machine sleeps, as the
        # lease at the API does.
        return time.clock_gettime(time.CLOCK_BOOTTIME)

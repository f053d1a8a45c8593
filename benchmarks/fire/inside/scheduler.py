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

"""freezer-scheduler, whose wall clock can be put forward and back.

FIRE_CLOCK names a file with the seconds by which it is wrong.
"""

import os
import pathlib
import sys

from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler.cmd import scheduler


class SteppedClock(scheduler_clock.SystemClock):
    """A wall clock that somebody steps; leases go by the other one."""

    def wall(self) -> float:
        step = pathlib.Path(os.environ['FIRE_CLOCK']).read_text()
        return super().wall() + float(step)


scheduler_clock.SystemClock = SteppedClock
sys.exit(scheduler.main())

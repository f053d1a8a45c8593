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

"""freezer-scheduler with a wall clock that can be stepped.

BENCHMARK_CLOCK names a file with the seconds by which the clock is wrong;
BENCHMARK_SESSIONS one for the number of trusts that have a Keystone session.
"""

import os
import pathlib
import sys
import threading
import time

from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler.cmd import scheduler
from freezer_scheduler.keystone import sessions

_CLOCK = pathlib.Path(os.environ['BENCHMARK_CLOCK'])
_SESSIONS = pathlib.Path(os.environ['BENCHMARK_SESSIONS'])


class SteppedClock(scheduler_clock.SystemClock):
    """A wall clock that can be wrong; leases go by the monotonic clock."""

    def wall(self) -> float:
        return super().wall() + float(_CLOCK.read_text())


class CountedIdentity(sessions.Identity):
    """Writes down how many sessions there are."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        threading.Thread(target=self._tell, daemon=True).start()

    def _tell(self):
        while True:
            written = _SESSIONS.with_suffix('.new')
            written.write_text(str(len(self._trusts)))
            written.replace(_SESSIONS)
            time.sleep(2)


scheduler_clock.SystemClock = SteppedClock
sessions.Identity = CountedIdentity
sys.exit(scheduler.main())

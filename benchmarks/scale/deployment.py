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

"""One product on one database: its API, and schedulers of it."""

from __future__ import annotations

import collections
from collections.abc import Callable
import dataclasses
import pathlib
import signal
import time

from benchmarks.api import world
from benchmarks.fire import scheduler
from benchmarks import processes
from benchmarks.scale import counting

#: Makes a scheduler in a folder of its own, by its name, with what is
#: configured differently than by default.
Hire = Callable[[str, pathlib.Path, dict[str, object]], scheduler.Scheduler]


@dataclasses.dataclass(frozen=True)
class Reading:
    """What has been used and asked until a moment.

    :ivar at: monotonic seconds
    :ivar api: of all processes of the API
    :ivar schedulers: of all schedulers
    :ivar statements: that the API sent, all in all
    :ivar asked: what the schedulers asked the API for, by kind
    :ivar logins: what they asked Keystone for, by kind
    """

    at: float
    api: processes.Use
    schedulers: processes.Use
    statements: int
    asked: collections.Counter[str]
    logins: collections.Counter[str]

    def since(self, earlier: Reading) -> Spent:
        return Spent(
            seconds=self.at - earlier.at,
            api=self.api.cpu - earlier.api.cpu,
            schedulers=self.schedulers.cpu - earlier.schedulers.cpu,
            agents=self.schedulers.ended - earlier.schedulers.ended,
            statements=self.statements - earlier.statements,
            asked=self.asked - earlier.asked,
            logins=self.logins - earlier.logins)


@dataclasses.dataclass(frozen=True)
class Spent:
    """What was used between two readings.

    :ivar api: CPU seconds of the API
    :ivar schedulers: CPU seconds of the schedulers
    :ivar agents: CPU seconds of what they started and saw the end of
    """

    seconds: float
    api: float
    schedulers: float
    agents: float
    statements: int
    asked: collections.Counter[str]
    logins: collections.Counter[str]


class Deployment:
    """One product on one database.

    :ivar name: ``ours`` or ``upstream``
    :ivar world: its API with its data
    :ivar api: before the API, for the schedulers alone
    :ivar keystone: before Keystone, likewise
    :ivar schedulers: those that run
    :ivar settled: they can run whatever is due
    :ivar home: where each of them has a folder
    """

    def __init__(self, made: world.World, keystone_port: int,
                 home: pathlib.Path,
                 hire: Callable[[Deployment], Hire]) -> None:
        self.name = made.side.name
        self.world = made
        self.api = counting.Counting(made.side.port)
        self.keystone = counting.Counting(keystone_port)
        self.schedulers: list[scheduler.Scheduler] = []
        self.settled = False
        self.home = home
        self._hire = hire(self)
        self._hired = 0
        self.api.start()
        self.keystone.start()

    def close(self) -> None:
        self.stop(signal.SIGKILL)
        self.api.stop()
        self.keystone.stop()

    @property
    def jobs(self) -> int:
        return self.world.jobs

    def start(self, count: int = 1, **configured: object) -> float:
        """Start schedulers; return when the first was, in monotonic seconds.

        :param configured: options of ``[scheduler]`` beside the defaults
        """
        began = time.monotonic()
        for _ in range(count):
            self._hired += 1
            one = self._hire(f's{self._hired}',
                             self.home / f's{self._hired}', configured)
            began = min(began, time.monotonic())
            one.start()
            self.schedulers.append(one)
        return began

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End all schedulers."""
        for one in self.schedulers:
            one.end(number)
        self.schedulers.clear()
        self.settled = False

    def read(self) -> Reading:
        """Read all counters."""
        return Reading(
            at=time.monotonic(),
            api=processes.Use.of_all(self.world.side.pids),
            schedulers=processes.Use.of_all(
                one.lives[-1].pid for one in self.schedulers),
            statements=self.world.side.statements,
            asked=self.api.seen(), logins=self.keystone.seen())

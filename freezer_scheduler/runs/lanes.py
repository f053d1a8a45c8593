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

"""Which projects may hold the threads of a pool, and how many of them.

A call to a service that hangs keeps its thread for as long as a request may
take. So that the calls of one project, or of all projects of one Keystone
domain, do not keep the threads from everybody:

* A project holds a share of the threads, whatever it has to do.
* A call that takes longer than a few seconds is slow. It leaves the fast
  lane, which gets another thread instead, and its project is slow from then
  on, until a call of it ends in time and none was slow for a while. It may be
  that only some requests hang, such as those for new backups.
* A call of a project that is slow begins in the slow lane, of which all
  projects like that get a part.

Which projects hang nobody knows before they do, such as when the directory
server behind a domain has failed. Each of them costs the fast lane a thread
for the seconds that make a call slow, and once only. With H such projects
another one waits for at most ceil((H + 1) / fast) times those seconds.

That holds for every H where a call ends when its time is over, since there
are threads for all that can become slow meanwhile. Where they would be too
many, a call is slow later.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from collections.abc import Hashable
import dataclasses
import math
from typing import Generic
from typing import TypeVar

# Projects that are remembered as slow at most, and for how many times the time
# of a request: one for a backup that had no answer is not sent again before
# as long has gone by as it took, and a little more.
_MOST_REMEMBERED = 10_000
_REMEMBERED = 3

# Threads for calls that are slow for the first time; they cost little.
_MOST_SLOW = 256

# Seconds after which a call is slow, at least.
_SLOW = 2.0

Item = TypeVar('Item', bound=Hashable)
Call = TypeVar('Call', bound=Hashable)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How large the lanes are.

    :ivar fast: threads for calls that are not slow
    :ivar slow: threads more for those that are
    :ivar share: threads that one project may hold, of both
    :ivar known: those of ``slow`` that projects may have that are slow
    :ivar after: seconds after which a call is slow
    :ivar remembered: seconds for which its project is slow after it
    """

    fast: int
    slow: int
    share: int
    known: int
    after: float = _SLOW
    remembered: float = 0

    @classmethod
    def of_pool(cls, workers: int, shared: bool, timeout: float) -> Sizes:
        """Return the lanes of a pool.

        :param workers: threads that work at one time when nothing hangs
        :param shared: whether the projects are different tenants
        :param timeout: seconds after which a call ends that hangs
        """
        after = max(_SLOW, workers * timeout / max(_MOST_SLOW, 4 * workers))
        # So many begin in the fast lane before the first of them ends. One
        # time more, since to notice the end takes a moment, too.
        slow = workers * (math.ceil(timeout / after) + 1)
        threads = workers + slow
        return cls(workers, slow, max(1, workers // 4) if shared else threads,
                   workers, after, _REMEMBERED * timeout)

    @property
    def threads(self) -> int:
        return self.fast + self.slow


@dataclasses.dataclass(frozen=True)
class _Running:
    """A call under way.

    :ivar known: whether its project was slow when it began
    """

    project_id: str
    began: float
    known: bool


class Lanes(Generic[Call]):
    """The calls under way and those admitted; its owner holds a lock."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self._running: dict[Call, _Running] = {}
        # Those that are not slow yet, in the order in which they began, and
        # how many of them are in the fast lane.
        self._young: dict[Call, None] = {}
        self._fast = 0
        self._admitted: collections.Counter[str] = collections.Counter()
        self._busy: collections.Counter[str] = collections.Counter()
        # By project, when a call was slow the last time.
        self._slow: collections.OrderedDict[str, float] = (
            collections.OrderedDict())
        # Of the projects in the slow lane, all together.
        self._slow_admitted = self._slow_busy = 0

    @property
    def running(self) -> int:
        """How many calls are under way."""
        return len(self._running)

    def may_admit(self, project_id: str) -> bool:
        """Return whether another call of a project can be lined up.

        What is lined up holds a slot. So it is no more than could begin.
        """
        return (self._mine(project_id) < self.sizes.share
                and (project_id not in self._slow
                     or self._slow_busy + self._slow_admitted
                     < self.sizes.known))

    def admit(self, project_id: str) -> None:
        """Count a call that is lined up."""
        self._admitted[project_id] += 1
        self._slow_admitted += project_id in self._slow

    def withdraw(self, project_id: str) -> None:
        """Count a call no more that was lined up."""
        _less(self._admitted, project_id)
        self._slow_admitted -= project_id in self._slow

    def may_begin(self, project_id: str) -> bool:
        """Return whether the limits of a project let a call begin."""
        return (self._busy[project_id] < self.sizes.share
                and (project_id not in self._slow
                     or self._slow_busy < self.sizes.known))

    def become_slow(self, now: float) -> list[Call]:
        """Take calls out of the fast lane that are slow by now.

        To be called before the limits are asked for.

        :param now: by the monotonic clock
        :returns: those calls, and those of the slow lane that are slow
        """
        found: list[Call] = []
        while self._young:
            call = next(iter(self._young))
            if now - self._running[call].began < self.sizes.after:
                break
            found.append(call)
            self._grow_old(call)
            self._enter(self._running[call].project_id, now)
        return found

    def full(self) -> bool:
        """Return whether no call may begin, of whichever project."""
        return (self._fast >= self.sizes.fast
                or len(self._running) >= self.sizes.threads)

    def until_slow(self, now: float) -> float | None:
        """Return the seconds until a call is slow, which makes room.

        :returns: None where only an end makes some
        """
        first = next(iter(self._young), None)
        return None if first is None else max(
            0.0, self._running[first].began + self.sizes.after - now)

    def begin(self, call: Call, project_id: str, now: float) -> None:
        """A call begins."""
        known = project_id in self._slow
        self._running[call] = _Running(project_id, now, known)
        self._busy[project_id] += 1
        self._slow_busy += known
        self._young[call] = None
        self._fast += not known

    def end(self, call: Call, now: float) -> bool:
        """A call that began has ended; return whether its project is slow."""
        self._grow_old(call)
        ended = self._running.pop(call)
        _less(self._busy, ended.project_id)
        self._slow_busy -= ended.known
        if now - ended.began >= self.sizes.after:
            self._enter(ended.project_id, now)
        elif now - self._slow.get(ended.project_id, now) >= (
                self.sizes.remembered):
            self._leave(ended.project_id)
        return ended.project_id in self._slow

    def _grow_old(self, call: Call) -> None:
        if call in self._young:
            del self._young[call]
            self._fast -= not self._running[call].known

    def _enter(self, project_id: str, now: float) -> None:
        """Put a project into the slow lane."""
        self._leave(project_id)
        self._slow[project_id] = now
        self._slow_admitted += self._admitted[project_id]
        while len(self._slow) > _MOST_REMEMBERED:
            self._leave(next(iter(self._slow)))

    def _leave(self, project_id: str) -> None:
        """Take a project out of the slow lane."""
        if project_id in self._slow:
            del self._slow[project_id]
            self._slow_admitted -= self._admitted[project_id]

    def _mine(self, project_id: str) -> int:
        return self._busy[project_id] + self._admitted[project_id]


class KeptBack(Generic[Item]):
    """What could begin, but for the limits of its project."""

    def __init__(self) -> None:
        self._lines: dict[str, dict[Item, None]] = {}

    def add(self, project_id: str, item: Item) -> None:
        """Keep an item back."""
        self._lines.setdefault(project_id, {})[item] = None

    def remove(self, project_id: str, item: Item) -> None:
        """Keep an item back no more, where it is."""
        line = self._lines.get(project_id)
        if line is not None and item in line:
            del line[item]
            if not line:
                del self._lines[project_id]

    def first(self, may: Callable[[str], bool]) -> list[Item]:
        """Return the first item of each project that may begin now."""
        return [next(iter(line)) for project_id, line in self._lines.items()
                if may(project_id)]


def _less(counter: collections.Counter[str], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]

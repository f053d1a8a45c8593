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

"""Limits on the threads of a pool that a project or slow projects hold.

A call to a service that hangs holds its thread until the request times out.
The calls of one project, or of all projects of one Keystone domain, must not
hold all threads. So a pool has two partitions:

* A project holds a share of the threads, in both partitions together.
* A call that takes longer than a few seconds is slow. It moves to the slow
  partition, and the fast one gets another thread for it. Its project is slow
  from then on, until a call of it ends in time and none was slow for a while:
  perhaps only some requests hang, such as those for new backups.
* A call of a slow project begins in the slow partition, where all such
  projects share a number of threads.

Which projects hang is not known before they do, such as when the directory
server behind a domain has failed. Each of them costs the fast partition a
thread for the seconds that make a call slow, once. With H such projects
another one waits for at most ceil((H + 1) / fast) times those seconds.

That holds for every H if a call ends when its time is over, because there are
threads for all that can become slow meanwhile. Where they would be too many,
a call is slow later.
"""

from __future__ import annotations

import collections
from collections.abc import Hashable
import dataclasses
import math
from typing import Generic
from typing import TypeVar

# Maximum number of projects that are remembered as slow, and for how many
# request timeouts: a request for a backup without an answer is sent again
# after as long as it took, and a little more.
_MOST_REMEMBERED = 10_000
_REMEMBERED = 3

# Threads for calls that are slow for the first time; they cost little.
_MOST_SLOW = 256

# Seconds after which a call is slow, at least.
_SLOW = 2.0

Call = TypeVar('Call', bound=Hashable)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How large the partitions are.

    :ivar fast: threads for calls that are not slow
    :ivar slow: further threads, for those that are
    :ivar share: threads that one project may hold, in both
    :ivar known: threads of ``slow`` for calls of projects that are slow when
        the call begins
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
        """Return the partitions of a pool.

        :param workers: threads that work at one time when nothing hangs
        :param shared: whether the projects are different tenants
        :param timeout: seconds after which a call ends that hangs
        """
        after = max(_SLOW, workers * timeout / max(_MOST_SLOW, 4 * workers))
        # So many begin in the fast partition before the first of them ends,
        # and once more, because it takes a moment to notice the end.
        slow = workers * (math.ceil(timeout / after) + 1)
        threads = workers + slow
        return cls(workers, slow, max(1, workers // 4) if shared else threads,
                   workers, after, _REMEMBERED * timeout)

    @property
    def threads(self) -> int:
        return self.fast + self.slow


@dataclasses.dataclass(frozen=True)
class _Running:
    """A current call.

    :ivar known: whether its project was slow when it began
    """

    project_id: str
    began: float
    known: bool


class Bulkhead(Generic[Call]):
    """The current calls and those admitted; its owner holds a lock."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self._running: dict[Call, _Running] = {}
        # Those that are not slow yet, in the order in which they began.
        self._young: dict[Call, None] = {}
        self._admitted: collections.Counter[str] = collections.Counter()
        self._busy: collections.Counter[str] = collections.Counter()
        # By slow project, when a call was slow the last time.
        self._slow: collections.OrderedDict[str, float] = (
            collections.OrderedDict())

    @property
    def running(self) -> int:
        """The number of current calls."""
        return len(self._running)

    def may_admit(self, project_id: str) -> bool:
        """Return whether another call of a project can be admitted.

        An admitted call holds a slot. So there are no more than could begin.
        """
        return (self._busy[project_id] + self._admitted[project_id]
                < self.sizes.share
                and (project_id not in self._slow or self._slow_busy() + sum(
                    number for admitted, number in self._admitted.items()
                    if admitted in self._slow) < self.sizes.known))

    def admit(self, project_id: str) -> None:
        """Count a call as admitted."""
        self._admitted[project_id] += 1

    def withdraw(self, project_id: str) -> None:
        """Count an admitted call no longer."""
        _less(self._admitted, project_id)

    def may_begin(self, project_id: str) -> bool:
        """Return whether the limits of a project let a call begin."""
        return (self._busy[project_id] < self.sizes.share
                and (project_id not in self._slow
                     or self._slow_busy() < self.sizes.known))

    def become_slow(self, now: float) -> list[Call]:
        """Move calls to the slow partition that are slow by now.

        Call it before asking for the limits.

        :param now: by the monotonic clock
        :returns: those calls, and the calls of the slow partition that have
            become slow
        """
        found: list[Call] = []
        for call in self._young:
            if now - self._running[call].began < self.sizes.after:
                break
            found.append(call)
        for call in found:
            del self._young[call]
            self._remember(self._running[call].project_id, now)
        return found

    def full(self) -> bool:
        """Return whether no call may begin, of whichever project."""
        fast = sum(not self._running[call].known for call in self._young)
        return (fast >= self.sizes.fast
                or len(self._running) >= self.sizes.threads)

    def until_slow(self, now: float) -> float | None:
        """Return the seconds until a call is slow, which frees a thread.

        :returns: None where only the end of a call frees one
        """
        first = next(iter(self._young), None)
        return None if first is None else max(
            0.0, self._running[first].began + self.sizes.after - now)

    def begin(self, call: Call, project_id: str, now: float) -> None:
        """Note that a call begins."""
        self._running[call] = _Running(
            project_id, now, project_id in self._slow)
        self._busy[project_id] += 1
        self._young[call] = None

    def end(self, call: Call, now: float) -> bool:
        """Note that a call has ended; return whether its project is slow."""
        self._young.pop(call, None)
        ended = self._running.pop(call)
        project_id = ended.project_id
        _less(self._busy, project_id)
        if now - ended.began >= self.sizes.after:
            self._remember(project_id, now)
        elif now - self._slow.get(project_id, now) >= self.sizes.remembered:
            self._slow.pop(project_id, None)
        return project_id in self._slow

    def _remember(self, project_id: str, now: float) -> None:
        """Note that a project is slow."""
        self._slow[project_id] = now
        self._slow.move_to_end(project_id)
        if len(self._slow) > _MOST_REMEMBERED:
            self._slow.popitem(last=False)

    def _slow_busy(self) -> int:
        """Return the number of calls of projects that were slow before."""
        return sum(one.known for one in self._running.values())


def _less(counter: collections.Counter[str], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]

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

"""A virtual scheduler: what it asks, what it holds, how it lives and dies.

It asks as the real one does: it renews what it holds, and wants no more than
it has places for. Times are epoch seconds and come from outside.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a scheduler is configured with; seconds, and numbers of runs."""

    claim_interval: int = 10
    lease: int = 120
    batch: int = 50
    places: int = 50
    per_project: int = 10


@dataclasses.dataclass(frozen=True)
class Held:
    """A run that it holds.

    :ivar ends_at: when there is something to report
    """

    run_id: str
    fence: int
    project_id: str
    ends_at: int


@dataclasses.dataclass
class Scheduler:
    """One of them.

    :ivar lives: how often it was started; a dead one holds nothing
    :ivar lost: runs that were handed to others while it was well
    """

    name: str
    limits: Limits
    alive: bool = True
    lives: int = 1
    lost: int = 0
    renewed_at: int = 0
    held: dict[str, Held] = dataclasses.field(default_factory=dict)

    @property
    def id(self) -> str:
        """What it calls itself, which is new with each start."""
        return f'{self.name}:{self.lives}'

    @property
    def room(self) -> int:
        """How many runs it may claim at once."""
        return min(self.limits.batch,
                   max(0, self.limits.places - len(self.held)))

    def must_renew(self, now: int) -> bool:
        """Whether half of the lease of what it holds is over."""
        return bool(self.held) and (
            now - self.renewed_at >= self.limits.lease // 2)

    def question(self) -> dict[str, Any]:
        """Return the body of a claim."""
        return {
            'scheduler_id': self.id, 'limit': self.room,
            'lease_seconds': self.limits.lease,
            'per_project': self.limits.per_project,
            'held': [{'run_id': one.run_id, 'fence': one.fence}
                     for one in self.held.values()]}

    def answered(self, answer: Mapping[str, Any], ends: Mapping[str, int],
                 now: int) -> bool:
        """Take in the answer to a claim.

        :param ends: when each new run ends, by its id
        :returns: whether there may be more to claim at once
        """
        wanted = self.room
        self.renewed_at = now
        for run_id in answer['lost']:
            if self.held.pop(run_id, None) is not None:
                self.lost += 1
        for run in answer['runs']:
            self.held[run['run_id']] = Held(
                run['run_id'], run['fence'], run['project_id'],
                ends[run['run_id']])
        return 0 < wanted <= len(answer['runs'])

    def ended(self, now: int) -> list[Held]:
        """Return the runs that are to be reported, in the order of their end.
        """
        return sorted((one for one in self.held.values()
                       if one.ends_at <= now),
                      key=lambda one: (one.ends_at, one.run_id))

    def reported(self, run_id: str) -> None:
        self.held.pop(run_id, None)

    def die(self) -> None:
        """Be gone, without a word."""
        self.alive = False
        self.held.clear()

    def start(self) -> None:
        self.alive = True
        self.lives += 1

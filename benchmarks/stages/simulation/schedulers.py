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

"""A virtual scheduler: what it asks for, holds and reports.

It asks as the real one does: it renews its runs, and claims no more than it
has slots for. Times are epoch seconds and are arguments.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

from benchmarks.stages.simulation import api as simulated_api
from benchmarks.stages.simulation import fill
from benchmarks.stages.simulation import plan
from benchmarks.stages.simulation import result as results

# As many as real ones send together.
_MOST = 50


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a scheduler is configured with; seconds, and numbers of runs."""

    claim_interval: int = 10
    lease: int = 120
    batch: int = 50
    slots: int = 50
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
    :ivar lost: runs that others reclaimed while it was healthy
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
        """Its name, which is new with each start."""
        return f'{self.name}:{self.lives}'

    @property
    def room(self) -> int:
        """How many runs it may claim now."""
        return min(self.limits.batch,
                   max(0, self.limits.slots - len(self.held)))

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
        """Process the answer to a claim.

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
        """End without a report."""
        self.alive = False
        self.held.clear()

    def start(self) -> None:
        self.alive = True
        self.lives += 1


class Reports:
    """The reports of all schedulers.

    Each run is reported once, at its end, together with others that ended
    within one step.

    :param result: where ended runs are counted
    """

    def __init__(self, api: simulated_api.Api, cinder: plan.Cinder,
                 result: results.Result) -> None:
        self._api = api
        self._cinder = cinder
        self._result = result

    def send(self, one: Scheduler, now: int) -> None:
        """Report the runs that have ended, unless the API is unavailable."""
        if not self._api.unavailable:
            for batch in _batches(one.ended(now)):
                self._send(one, batch)

    def release(self, one: Scheduler) -> None:
        """Release all runs of a scheduler, as it stops."""
        if not self._api.unavailable:
            for batch in _batches(list(one.held.values())):
                self._call('release', one, [{
                    'run_id': held.run_id, 'fence': held.fence,
                    'state': 'running', 'release': True}
                    for held in batch])
        one.die()

    def _send(self, one: Scheduler,
              batch: Sequence[Held]) -> None:
        states = {held.run_id: 'success' if self._cinder.over(held.run_id)
                  else 'fail' for held in batch}
        lost = self._call('report', one, [
            self._said(held, states[held.run_id]) for held in batch])
        for held in batch:
            one.reported(held.run_id)
            if held.run_id in lost:
                self._result.refused += 1
            else:
                self._result.runs_ended[states[held.run_id]] += 1

    @staticmethod
    def _said(held: Held, state: str) -> dict[str, Any]:
        good = state == 'success'
        return {
            'run_id': held.run_id, 'fence': held.fence, 'state': state,
            'reason': None if good else 'Cinder: the quota is used up',
            'actions': [{
                'action_id': '0' * 32, 'position': 0, 'tries': 1,
                'state': state, 'backup_id': held.run_id}],
            'backups': [{
                'backup_id': held.run_id,
                'status': 'available' if good else 'error',
                'backup_metadata': {
                    'cinder_backup_id': held.run_id,
                    'mode': 'cindernative'}}]}

    def _call(self, kind: str, one: Scheduler,
              said: Sequence[dict[str, Any]]) -> set[str]:
        """Send some reports; return those of runs that are not ours."""
        status, answer = self._api.call(
            kind, 'POST', f'clients/{fill.CLIENT}/reports',
            {'scheduler_id': one.id, 'reports': said})
        if status != 200:
            raise RuntimeError(f'a {kind}: {status} {answer}')
        return set(answer['lost'])


def _batches(runs: Sequence[Held],
             ) -> Iterator[Sequence[Held]]:
    for start in range(0, len(runs), _MOST):
        yield runs[start:start + _MOST]

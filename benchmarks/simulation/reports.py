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

"""What virtual schedulers tell the API about their runs.

Each run is reported once, at its end, and several together where they end
within one step.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

from benchmarks.simulation import api as simulated_api
from benchmarks.simulation import fill
from benchmarks.simulation import mix
from benchmarks.simulation import report
from benchmarks.simulation import schedulers

# As many as real ones send together.
_MOST = 50


class Reports:
    """What is told by all schedulers.

    :param result: where what became of runs is counted
    """

    def __init__(self, api: simulated_api.Api, cinder: mix.Cinder,
                 result: report.Result) -> None:
        self._api = api
        self._cinder = cinder
        self._result = result

    def send(self, one: schedulers.Scheduler, now: int) -> None:
        """Report the runs that have ended, unless the API is away."""
        if not self._api.away:
            for batch in _batches(one.ended(now)):
                self._send(one, batch)

    def hand_back(self, one: schedulers.Scheduler) -> None:
        """Release all that a scheduler holds, as it stops."""
        if not self._api.away:
            for batch in _batches(list(one.held.values())):
                self._call('release', one, [{
                    'run_id': held.run_id, 'fence': held.fence,
                    'state': 'running', 'release': True}
                    for held in batch])
        one.die()

    def _send(self, one: schedulers.Scheduler,
              batch: Sequence[schedulers.Held]) -> None:
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
    def _said(held: schedulers.Held, state: str) -> dict[str, Any]:
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

    def _call(self, kind: str, one: schedulers.Scheduler,
              said: Sequence[dict[str, Any]]) -> set[str]:
        """Send some reports; return those of runs that are not ours."""
        status, answer = self._api.call(
            kind, 'POST', f'clients/{fill.CLIENT}/reports',
            {'scheduler_id': one.id, 'reports': said})
        if status != 200:
            raise RuntimeError(f'a {kind}: {status} {answer}')
        return set(answer['lost'])


def _batches(runs: Sequence[schedulers.Held],
             ) -> Iterator[Sequence[schedulers.Held]]:
    for start in range(0, len(runs), _MOST):
        yield runs[start:start + _MOST]

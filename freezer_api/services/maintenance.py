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

"""Background work: a scheduler requests a pass each minute.

Each part of a pass does limited work, and the next pass continues there.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import functools

from freezer_api.conf import scheduling
from freezer_api.db import jobs
from freezer_api.db import leases
from freezer_api.db import run_documents
from freezer_api.db import run_retention
from freezer_api.services import dependencies
from freezer_api.services import quarantine
from freezer_api.services import trusts as trust_service

_DAY = 86_400

# Transactions of a pass that remove old runs.
_BATCHES = 10


@dataclasses.dataclass(frozen=True)
class Done:
    """The results of a pass.

    :ivar trusts: the numbers of trusts that are not resolved yet
    :ivar suspended: the number of suspended jobs, by cause
    :ivar clock_ahead: by how many seconds the clock of this host is ahead of
        the one that counts
    """

    trusts_deleted: int
    trusts: trust_service.Counts
    runs_deleted: int
    runs_abandoned: int
    suspended: Mapping[str, int]
    clock_ahead: int


class MaintenanceService:
    """Deletes trusts and old runs, and ends abandoned runs."""

    def __init__(self, services: dependencies.Services) -> None:
        self._database = services.database.for_schedulers()
        self._clock = services.clock
        self._clock_ahead = services.clock_ahead
        self._trusts = services.trusts
        self._self_test = services.self_test
        self._options = services.conf.scheduling
        self._rules = scheduling.rules(services.conf)
        self._abandoned = leases.AbandonedRuns()
        # Where the last pass ended, so that runs that stay are not examined
        # each time. Each process has its own position.
        self._trimmed: run_retention.Position = (0, '')
        self._swept: str | None = None

    def run(self) -> Done:
        """Do a pass."""
        self._self_test()
        trusts_deleted = self._trusts.maintain()
        runs_deleted = self._trim(self._clock())
        runs_abandoned = self._end_abandoned(self._clock())
        with self._database.read() as session:
            suspended = jobs.suspended(session)
        return Done(trusts_deleted, self._trusts.counts(), runs_deleted,
                    runs_abandoned, suspended, self._clock_ahead())

    def _trim(self, now: int) -> int:
        """Remove some runs that are too old, or too many of a job."""
        gone = 0
        if days := self._options.keep_runs_days:
            for _ in range(_BATCHES):
                removed, following = self._database.write(functools.partial(
                    run_retention.remove_old, after=self._trimmed,
                    before=now - days * _DAY))
                gone += removed
                self._trimmed = following or (0, '')
                if following is None:
                    break
        if last := self._options.keep_runs_last:
            with self._database.read() as session:
                surplus = run_retention.surplus(session, last, now)
            gone += sum(self._database.write(functools.partial(
                run_retention.remove, run_ids=run_ids)) for run_ids in surplus)
        for _ in range(_BATCHES):
            self._swept = self._database.write(functools.partial(
                run_documents.remove_unused, after=self._swept or ''))
            if self._swept is None:
                break
        return gone

    def _end_abandoned(self, now: int) -> int:
        """End some of the runs whose lease expired long ago."""
        after: int = self._options.abandoned_after
        if not after:
            return 0
        with self._database.read() as session:
            found = self._abandoned.find(session, now - after)
        return sum(self._end(run_id, after, now) for run_id in found)

    def _end(self, run_id: str, after: int, now: int) -> bool:
        try:
            return quarantine.write(self._database, functools.partial(
                leases.give_up, run_id=run_id, rules=self._rules, after=after,
                now=now))
        except quarantine.Refused:
            quarantine.end_run(self._database, run_id, now)
            return True

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

"""Reports: writing what schedulers say of the runs that they hold.

Firings are computed before the transactions. What the database refuses is
reported again by itself, and ends its run where it is refused once more.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence

from freezer_api.conf import scheduling
from freezer_api.db import models
from freezer_api.db import reports
from freezer_api.db import run_rows
from freezer_api.domain import quota
from freezer_api.services import dependencies
from freezer_api.services import quarantine
from freezer_api.services import runs
from freezer_api.services import schedulers


class ReportService:
    """Takes the reports of schedulers."""

    def __init__(self, services: dependencies.Services) -> None:
        self._conf = services.conf
        self._clock = services.clock
        self._database = services.database.for_schedulers()
        self._quotas = services.quotas

    def take(self, client: models.Client, scheduler_id: str,
             said: Sequence[reports.Report]) -> reports.Taken:
        """Write reports of a scheduler of a client.

        :returns: what became of each; a run that is neither in ``events`` nor
            in ``stale`` does not exist
        :raises freezer_api.keystone.unified_limits.Unavailable: nothing is
            changed
        """
        now = self._clock()
        holder = schedulers.holder(client, scheduler_id)
        rules = scheduling.rules(self._conf, bool(client.is_central))
        with self._database.read() as session:
            known = reports.foresee(session, holder, said, rules, now)
        limits = self._limits(client, said)

        def take(those: Sequence[reports.Report]) -> reports.Taken:
            return quarantine.write(
                self._database, lambda session: reports.take(
                    session, holder, those, known, now, limits))

        taken = reports.Taken({}, [])
        for part in reports.parts(said):
            try:
                taken.add(take(part))
            except quarantine.Refused:
                for one in part:
                    taken.add(self._take_alone(take, holder, one, now))
        return taken

    def take_one(self, client: models.Client, scheduler_id: str,
                 said: reports.Report) -> str | None:
        """Write a report and return the event that the run is to hear of.

        :raises freezer_api.errors.ApiError: not_found, run_fence_stale
        :raises freezer_api.keystone.unified_limits.Unavailable: see
            :meth:`take`
        """
        taken = self.take(client, scheduler_id, [said])
        if taken.stale:
            raise runs.stale(said.run_id)
        if said.run_id not in taken.events:
            raise runs.not_found(said.run_id)
        return taken.events[said.run_id]

    def _limits(self, client: models.Client,
                said: Sequence[reports.Report]) -> quota.Limits | None:
        """Return the limits that reports are held to, None for no limit.

        A central scheduler is the operator's and reports what is there. The
        token of a project's own scheduler is a member's, who could report
        any number of records.
        """
        if client.is_central or not any(one.backups for one in said):
            return None
        project_id = client.project_id or ''
        return quota.Limits(project_id, self._quotas.of_project(project_id))

    def _take_alone(
            self, take: Callable[[Sequence[reports.Report]], reports.Taken],
            holder: run_rows.Holder, one: reports.Report,
            now: int) -> reports.Taken:
        try:
            return take([one])
        except quarantine.Refused:
            with self._database.read() as session:
                run = run_rows.look_up(session, holder, one.run_id)
            if run is not None and holder.has(run, one.fence):
                quarantine.end_run(self._database, one.run_id, now, one.fence)
            return reports.Taken({}, [one.run_id])

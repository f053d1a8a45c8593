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

"""What a client's jobs may need before its schedulers are given runs.

Jobs of a scheduler that polled are armed, firings that a wrong clock computed
are computed anew, and the client's heartbeat is noted. Each batch is a
transaction of its own, so that a request of a tenant never waits for long.
"""

from __future__ import annotations

import functools

from oslo_log import log

from freezer_api.conf import scheduling
from freezer_api.db import adoption
from freezer_api.db import client_heartbeat
from freezer_api.db import clock_repair
from freezer_api.db import leases
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import run_rows
from freezer_api.schemas import claims as schema
from freezer_api.services import dependencies
from freezer_api.services import quarantine

LOG = log.getLogger(__name__)

# Batches of one claim. The next claim goes on from there.
_BATCHES = 8


class ClientUpkeep:
    """Prepares clients for the claims of their schedulers."""

    def __init__(self, services: dependencies.Services) -> None:
        self._database = services.database.for_schedulers()
        self._clock_set_back = services.clock_set_back
        self._tolerance: int = services.conf.scheduling.clock_tolerance
        self._rules = scheduling.rules(services.conf)
        # By client, how many steps back of the clock its jobs know of.
        self._steps: dict[str, int] = {}

    def before_claim(self, client: models.Client, holder: run_rows.Holder,
                     lease: int, now: int) -> None:
        """Do what is to be done for a client, as far as a claim may wait.

        :param lease: seconds for which the scheduler keeps a run
        :param now: epoch seconds
        """
        if adoption.pending(client):
            self._adopt(client.id, now)
        step, set_back = self._clock_set_back()
        if step <= self._steps.get(client.id, 0):
            set_back = 0  # the client's jobs have been computed anew since
        if (clock_repair.pending(client) or set_back
                or clock_repair.was_ahead(client, self._tolerance, now)):
            self._repair(client.id, holder, step, set_back, now)
        elif client_heartbeat.outdated(client, lease, now):
            self._note_heartbeat(client.id, holder, lease, now)

    def _note_heartbeat(self, client_row_id: str, holder: run_rows.Holder,
                        lease: int, now: int) -> None:
        """Note that a scheduler is there.

        Leases are prolonged before that is noted, some in each transaction:
        of several schedulers that come back at one moment each prolongs what
        the others have not yet, before it claims.
        """
        with self._database.read() as session:
            client = session.get(models.Client, client_row_id)
        if client is None or not client_heartbeat.outdated(client, lease, now):
            return  # another scheduler was faster
        last = client.last_claim_at
        prolonged = 0
        if client_heartbeat.were_away(last, lease, now):
            prolonged = self._prolong(holder, last, lease, now)
        self._database.write(functools.partial(
            client_heartbeat.note, client_row_id=client_row_id, now=now))
        if prolonged:
            LOG.info('No scheduler of client %s has asked for runs for a '
                     'while. The %d that were under way stay with their '
                     'holders for %d seconds more.', holder.client_id,
                     prolonged, lease)

    def _prolong(self, holder: run_rows.Holder, last: int | None, lease: int,
                 now: int) -> int:
        prolonged = 0
        while True:
            with self._database.read() as session:
                found = leases.to_extend(
                    session, holder, last, lease, now)
            prolonged += self._database.write(functools.partial(
                leases.extend, found=found, until=now + lease))
            if len(found) < rows.MOST:
                return prolonged

    def _repair(self, client_row_id: str, holder: run_rows.Holder, step: int,
                set_back: int, now: int) -> None:
        """Compute firings anew that a clock computed that was ahead.

        :param step: number of the clock's latest step back, 0 without one
        :param set_back: seconds of that step, 0 if it has been dealt with
        """
        ahead = self._database.write(lambda session: clock_repair.begin(
            session, client_row_id, self._tolerance, set_back, now))
        if step:
            self._steps[client_row_id] = step
        if ahead:
            LOG.warning('The clock was %d seconds ahead. The next firings of '
                        'the jobs of client %s are computed anew.', ahead,
                        holder.client_id)
        for _ in range(_BATCHES):
            with self._database.read() as session:
                batch = clock_repair.foresee(
                    session, client_row_id, self._rules, now)
            if batch is None:
                return
            changed = self._database.write(functools.partial(
                clock_repair.apply, client_row_id=client_row_id, batch=batch,
                lease=schema.MAX_LEASE, now=now))
            if changed is None:
                return
            if changed:
                LOG.info('The firings of %d jobs of client %s were computed '
                         'anew.', changed, holder.client_id)

    def _adopt(self, client_row_id: str, now: int) -> None:
        """Arm jobs whose firings an earlier scheduler kept to itself."""
        for _ in range(_BATCHES):
            if not self._adopt_batch(client_row_id, now, adoption.BATCH):
                return

    def _adopt_batch(self, client_row_id: str, now: int, most: int) -> bool:
        """Adopt as many of the next jobs as the database takes at once."""
        with self._database.read() as session:
            known = adoption.foresee(
                session, client_row_id, self._rules, now, most)
        try:
            return quarantine.write(
                self._database, lambda session: adoption.adopt(
                    session, client_row_id, known, now, most))
        except quarantine.Refused:
            if most == 1:
                self._leave_out(client_row_id, now)
                return True
        return self._adopt_batch(client_row_id, now, most // 2)

    def _leave_out(self, client_row_id: str, now: int) -> None:
        job_id = self._database.write(
            lambda session: adoption.leave_out(session, client_row_id))
        if job_id is not None:
            quarantine.stop_job(self._database, job_id, now)

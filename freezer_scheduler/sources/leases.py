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

"""Renewing the leases of the claimed runs, in a thread of its own.

So no lease ends because the answer to a claim or a report does not end, or
because a worker hangs, as long as the API answers here.
"""

from __future__ import annotations

from collections.abc import Callable

from oslo_log import log as logging

from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler.freezer import client as freezer_client
from freezer_scheduler.freezer import registration
from freezer_scheduler import log_context
from freezer_scheduler.runs import run_table
from freezer_scheduler import settings as scheduler_settings
from freezer_scheduler.telemetry import monitor

LOG = logging.getLogger(__name__)

# Leases in one request: the API accepts 112 KiB.
_MOST = 500


class Leases:
    """Renews leases, and receives the events of the runs.

    :ivar behind: whether the last request had no useful answer
    """

    def __init__(self, api: freezer_client.Api,
                 registered: registration.Registration,
                 table: run_table.RunTable,
                 settings: Callable[[], scheduler_settings.Settings],
                 clock: scheduler_clock.Clock,
                 observer: monitor.Monitor) -> None:
        self._api = api
        self._registration = registered
        self._runs = table
        self._settings = settings
        self._clock = clock
        self._observer = observer
        self.behind = False

    def renew(self) -> None:
        """Renew the lease of each claimed run.

        :raises freezer_scheduler.freezer.client.ApiError: if some failed
        """
        # Leases that end first are first, so that a slow answer does not
        # always delay the same ones.
        held = self._runs.claimed()
        refused: freezer_client.ApiError | None = None
        self.behind = False
        for start in range(0, len(held), _MOST):
            try:
                self._renew(held[start:start + _MOST])
            except freezer_client.ApiUnreachable as error:
                # Each further request would take a time-out.
                self.behind = True
                self._observer.not_renewed(str(error))
                raise
            except freezer_client.ApiError as error:
                self._observer.not_renewed(str(error))
                refused = error
        if refused is not None:
            raise refused

    def _renew(self, held: list[tuple[str, int]]) -> None:
        settings = self._settings()
        # A lease begins before the request, however long that takes.
        asked = self._clock.monotonic()
        answer = self._api.claim(
            self._registration.client_id, 0, settings.lease_seconds, held,
            settings.max_in_flight_per_project)
        self._observer.renewed()
        for run_id, event in answer.held.items():
            self._runs.renewed(run_id, asked + settings.lease_seconds, event)
        for claimed in filter(None, map(self._runs.lost, answer.lost)):
            self._observer.lost()
            with log_context.of(claimed.run):
                LOG.warning('Run %s is not ours any more: its lease ended',
                            claimed.run.run_id)

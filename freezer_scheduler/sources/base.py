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

"""Where the runs come from, and where is told what became of them."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
import functools
from typing import Any
from typing import NamedTuple
from typing import Protocol

from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler.freezer import client as freezer_client
from freezer_scheduler.freezer import messages
from freezer_scheduler.freezer import registration
from freezer_scheduler.runs import run_table
from freezer_scheduler import settings as scheduler_settings
from freezer_scheduler.sources import claimer
from freezer_scheduler.sources import leases
from freezer_scheduler.telemetry import monitor


# See :meth:`.Api.report_all`, for one client.
ReportAll = Callable[[Sequence[dict[str, Any]]],
                     Mapping[str, messages.Event | None]]


class PeriodicTask(NamedTuple):
    """What is to be done again and again, seconds apart.

    :ivar what: ends the sentence "cannot ..."
    """

    name: str
    interval: float
    task: Callable[[], None]
    what: str


class Source(Protocol):
    """Where the runs come from.

    :ivar interval: seconds between two questions for runs
    :ivar periodic_tasks: what has to be done beside that
    """

    interval: float
    periodic_tasks: tuple[PeriodicTask, ...]

    @property
    def report_all(self) -> ReportAll | None:
        """What tells of several runs at once; None where nothing does."""

    def begin(self) -> None:
        """Make ready.

        :raises freezer_scheduler.freezer.client.ApiError: when that does not
            work
        """

    def reload(self, settings: scheduler_settings.Settings) -> None:
        """Go by other settings from now on.

        :raises freezer_scheduler.freezer.client.ApiError: when nobody could be
            told
        """

    def tick(self) -> bool:
        """Add what is due to the table of runs.

        :returns: whether there may be more at once
        """

    def rest(self, wait: Callable[[float], object]) -> None:
        """Wait until there may be more.

        :param wait: waits for so many seconds, or for the end
        """

    def report(self, run_id: str, fence: int,
               report: messages.Report) -> messages.Event | None:
        """Tell how far a run has come.

        :returns: what the user wants of it
        :raises freezer_scheduler.freezer.client.ApiError: when that was not
            taken
        """

    def gone_jobs(self, run_id: str, fence: int,
                  job_ids: Collection[str]) -> frozenset[str]:
        """Return those of the ids that are certainly no job any more.

        :param job_ids: 100 at most
        :raises freezer_scheduler.freezer.client.ApiError: when nobody could be
            asked
        """


class ApiSource:
    """The Freezer API hands them out."""

    def __init__(self, api: freezer_client.Api, hostname: str,
                 table: run_table.RunTable,
                 settings: scheduler_settings.Settings,
                 clock: scheduler_clock.Clock, observer: monitor.Monitor,
                 renew_token: Callable[[], None] = lambda: None) -> None:
        self._api = api
        self._observer = observer
        self._settings = settings
        self._registration = registration.Registration(
            api, settings.client_id, hostname, settings.capabilities,
            settings.service_mode, observer)
        kept = leases.Leases(
            api, self._registration, table, lambda: self._settings, clock,
            observer)
        self._claimer = claimer.Claimer(
            api, self._registration, table, lambda: self._settings, clock,
            observer, behind=lambda: kept.behind)
        self.interval: float = settings.claim_interval
        self.periodic_tasks: tuple[PeriodicTask, ...] = (
            PeriodicTask('leases', settings.claim_interval, kept.renew,
                         'renew the leases of runs'),
            PeriodicTask('heartbeat', settings.heartbeat_interval,
                         self._registration.renew, 'register'),
            # Whether it is time costs nothing to see.
            PeriodicTask('token', settings.claim_interval,
                         lambda: api.log_in_anew(renew_token), 'log in anew'))
        if settings.service_mode:
            self.periodic_tasks += (PeriodicTask(
                'maintenance', settings.maintenance_interval,
                self._maintain, 'have pending trusts deleted'),)

    def begin(self) -> None:
        self._registration.begin()

    def reload(self, settings: scheduler_settings.Settings) -> None:
        self._settings = settings
        self._registration.offered = settings.capabilities
        self._registration.renew()

    def tick(self) -> bool:
        return self._claimer.tick()

    def rest(self, wait: Callable[[float], object]) -> None:
        self._claimer.rest(wait)

    def _maintain(self) -> None:
        self._observer.maintained(self._api.maintenance())

    def report(self, run_id: str, fence: int,
               report: messages.Report) -> messages.Event | None:
        return self._api.report(self._registration.client_id, run_id, fence,
                                report)

    def gone_jobs(self, run_id: str, fence: int,
                  job_ids: Collection[str]) -> frozenset[str]:
        return self._api.gone_jobs(self._registration.client_id, run_id,
                                   fence, job_ids)

    @property
    def report_all(self) -> ReportAll | None:
        if not self._api.gathers:
            return None
        return functools.partial(self._api.report_all,
                                 self._registration.client_id)

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
from collections.abc import Mapping
from collections.abc import Sequence
import functools
from typing import Any
from typing import NamedTuple
from typing import Protocol

from freezer_scheduler import api as freezer_api
from freezer_scheduler import claims
from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler import documents
from freezer_scheduler import registration
from freezer_scheduler import runs
from freezer_scheduler import settings as scheduler_settings
from freezer_scheduler.telemetry import monitor


# See :meth:`.Api.report_all`, for one client.
ReportAll = Callable[[Sequence[dict[str, Any]]],
                     Mapping[str, documents.Event | None]]


class Chore(NamedTuple):
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
    :ivar chores: what has to be done beside that
    """

    interval: float
    chores: tuple[Chore, ...]

    @property
    def report_all(self) -> ReportAll | None:
        """What tells of several runs at once; None where nothing does."""

    def begin(self) -> None:
        """Make ready.

        :raises freezer_scheduler.api.ApiError: when that does not work
        """

    def take_over(self, settings: scheduler_settings.Settings) -> None:
        """Go by other settings from now on.

        :raises freezer_scheduler.api.ApiError: when nobody could be told
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
               report: documents.Report) -> documents.Event | None:
        """Tell how far a run has come.

        :returns: what the user wants of it
        :raises freezer_scheduler.api.ApiError: when that was not taken
        """


class ApiSource:
    """The Freezer API hands them out."""

    def __init__(self, api: freezer_api.Api, hostname: str, table: runs.Runs,
                 settings: scheduler_settings.Settings,
                 clock: scheduler_clock.Clock,
                 observer: monitor.Monitor) -> None:
        self._api = api
        self._observer = observer
        self._settings = settings
        self._registration = registration.Registration(
            api, settings.client_id, hostname, settings.capabilities,
            settings.service_mode, observer)
        self._claimer = claims.Claimer(
            api, self._registration, table, lambda: self._settings, clock,
            observer)
        self.interval: float = settings.claim_interval
        self.chores: tuple[Chore, ...] = (Chore(
            'heartbeat', settings.heartbeat_interval,
            self._registration.renew, 'register'),)
        if settings.service_mode:
            self.chores += (Chore(
                'maintenance', settings.maintenance_interval,
                self._maintain, 'have pending trusts deleted'),)

    def begin(self) -> None:
        self._registration.begin()

    def take_over(self, settings: scheduler_settings.Settings) -> None:
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
               report: documents.Report) -> documents.Event | None:
        return self._api.report(self._registration.client_id, run_id, fence,
                                report)

    @property
    def report_all(self) -> ReportAll | None:
        if not self._api.gathers:
            return None
        return functools.partial(self._api.report_all,
                                 self._registration.client_id)

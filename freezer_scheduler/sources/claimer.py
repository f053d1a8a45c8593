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

"""Asking the API for due runs.

:mod:`freezer_scheduler.sources.leases` keeps the leases of those that are
    claimed.
"""

from __future__ import annotations

from collections.abc import Callable
import random

from oslo_log import log as logging

from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler.freezer import client as freezer_client
from freezer_scheduler.freezer import messages
from freezer_scheduler.freezer import registration
from freezer_scheduler.runs import run_table
from freezer_scheduler import settings as scheduler_settings
from freezer_scheduler.telemetry import monitor

LOG = logging.getLogger(__name__)

_REMIND = 300

# The shortest part of an interval that is waited. Schedulers that asked at one
# rhythm would always ask in one order: whoever comes first after the second at
# which jobs are due would get them all.
_SHORTEST = 0.8

# Seconds that are waited at least where the API has told when more is due: so
# however much fires in a minute, a claim is sent once a second at the most.
_PAUSE = 1.0
# ... and up to so many more, by chance, for the same reason as above.
_SPREAD = 0.5

# The part of all places that has to be free before more is claimed at once.
_PART = 4


class Claimer:
    """Asks the API for new runs.

    :param behind: whether leases wait to be renewed
    """

    def __init__(self, api: freezer_client.Api,
                 registered: registration.Registration,
                 table: run_table.RunTable,
                 settings: Callable[[], scheduler_settings.Settings],
                 clock: scheduler_clock.Clock, observer: monitor.Monitor,
                 behind: Callable[[], bool] = lambda: False) -> None:
        self._api = api
        self._registration = registered
        self._runs = table
        self._settings = settings
        self._clock = clock
        self._observer = observer
        self._away_since: float | None = None
        self._reminded = 0.0
        self._asked = float('-inf')
        self._behind = behind
        self._no_room = self._cut_short = False
        self._due_in: tuple[float, ...] = ()

    def tick(self) -> bool:
        """Ask once.

        :returns: whether there may be more to claim at once
        """
        self._asked = self._clock.monotonic()
        self._no_room = self._cut_short = False
        if self._behind():
            # Runs whose leases have ended meanwhile would be handed out to
            # us as new.
            self._due_in = ()
            return False
        batch = self._settings().claim_batch
        limit = min(batch, self._runs.room())
        claimed = self._claim(limit)
        full = claimed is not None and limit <= claimed
        self._no_room = full and limit < batch
        return (full or self._cut_short) and not self._no_room

    def rest(self, wait: Callable[[float], object]) -> None:
        """Wait until it is time to ask again.

        That is an interval later or a little less, by chance, or when the
        next job comes due; where there was no room for all that is due, as
        soon as there is some.

        :param wait: waits for so many seconds, or for the end
        """
        settings = self._settings()
        if self._no_room:
            # Not for each single place: a claim costs more than a run.
            self._runs.wait_for_room(
                min(settings.claim_batch,
                    max(1, settings.max_in_flight // _PART)),
                settings.claim_interval)
        else:
            wait(self._pause(settings.claim_interval))

    def _pause(self, interval: float) -> float:
        """Return for how many seconds to wait."""
        until = [self._asked - self._clock.monotonic()
                 + interval * _between(_SHORTEST, 1)]
        # What has just come due may be another one's before we see that. What
        # is due for longer is kept back, such as by a limit of its project.
        until += [max(_PAUSE, due) + _between(0, _SPREAD)
                  for due in self._due_in if due > -interval]
        return max(min(until), min(_PAUSE, interval * (1 - _SHORTEST)))

    def _claim(self, limit: int) -> int | None:
        """Claim up to limit new runs.

        :returns: how many were claimed; None where something went wrong
        """
        settings = self._settings()
        self._due_in = ()
        try:
            tick = self._api.claim(
                self._registration.client_id, limit, settings.lease_seconds,
                [], settings.max_in_flight_per_project)
        except freezer_client.ApiError as error:
            problem: freezer_client.ApiError = error
        else:
            self._back()
            self._take(tick)
            return len(tick.runs)
        self._observer.not_claimed(str(problem))
        self._away(str(problem))
        if (isinstance(problem, freezer_client.ApiRefused)
                and problem.status == 404):
            self._register_again()
        return None

    def _take(self, tick: messages.ClaimResponse) -> None:
        self._observer.claimed(tick)
        self._due_in = tick.timing.due_in
        self._cut_short = tick.more and bool(tick.runs)
        for unreadable in tick.unreadable:
            LOG.error('Run %s: the API handed it out in a form that cannot '
                      'be read; it is left alone',
                      messages.shortened(unreadable, 64))
        for run in tick.runs:
            # A lease counts from before the question, whatever it takes.
            self._runs.add(run, self._asked + run.lease_seconds)

    def _register_again(self) -> None:
        """Somebody deleted the client: make it known again."""
        problem = None
        try:
            self._registration.renew()
        except freezer_client.ApiError as error:
            problem = str(error)
        if problem:
            LOG.error('Cannot register: %s', problem)

    def _away(self, reason: str) -> None:
        now = self._clock.monotonic()
        if self._away_since is None:
            self._away_since = now
        elif now - self._reminded < _REMIND:
            return
        self._reminded = now
        LOG.warning('No runs can be claimed (for %d seconds now): %s',
                    now - self._away_since, reason)

    def _back(self) -> None:
        if self._away_since is not None:
            LOG.info('Runs can be claimed again after %d seconds',
                     self._clock.monotonic() - self._away_since)
            self._away_since = None


def _between(least: float, most: float) -> float:
    return random.uniform(least, most)  # noqa: S311  # nosec B311

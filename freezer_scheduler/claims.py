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

"""Asking the API for due runs, and keeping the leases of those held."""

from __future__ import annotations

from collections.abc import Callable
import random

from oslo_log import log as logging

from freezer_scheduler import api as freezer_api
from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler import documents
from freezer_scheduler import registration
from freezer_scheduler import runs
from freezer_scheduler import settings as scheduler_settings
from freezer_scheduler.telemetry import monitor
from freezer_scheduler.telemetry import run_context

LOG = logging.getLogger(__name__)

_REMIND = 300

# Leases renewed with one question: the API refuses long ones whole.
_HELD = 500

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
    """Asks the API for everything: leases, events, new runs."""

    def __init__(self, api: freezer_api.Api,
                 registered: registration.Registration, table: runs.Runs,
                 settings: Callable[[], scheduler_settings.Settings],
                 clock: scheduler_clock.Clock,
                 observer: monitor.Monitor) -> None:
        self._api = api
        self._registration = registered
        self._runs = table
        self._settings = settings
        self._clock = clock
        self._observer = observer
        self._away_since: float | None = None
        self._reminded = 0.0
        self._renewed = float('-inf')
        self._no_room = self._cut_short = False
        self._due_in: tuple[float, ...] = ()

    def tick(self) -> bool:
        """Ask once.

        :returns: whether there may be more to claim at once
        """
        batch = self._settings().claim_batch
        renews = self._must_renew()
        limit = min(batch, self._runs.room())
        try:
            claimed = self._claim(limit, self._runs.held() if renews else [])
        finally:
            if renews:
                self._renewed = self._clock.monotonic()
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
            self._runs.await_room(
                min(settings.claim_batch,
                    max(1, settings.max_in_flight // _PART)),
                settings.claim_interval)
        else:
            wait(self._pause(settings.claim_interval))

    def _pause(self, interval: float) -> float:
        """Return for how many seconds to wait."""
        # From the last renewal, since the next claim may have to renew.
        until = [self._renewed - self._clock.monotonic()
                 + interval * _between(_SHORTEST, 1)]
        # What has just come due may be another one's before we see that. What
        # is due for longer is kept back, such as by a limit of its project.
        until += [max(_PAUSE, due) + _between(0, _SPREAD)
                  for due in self._due_in if due > -interval]
        return max(min(until), min(_PAUSE, interval * (1 - _SHORTEST)))

    def _must_renew(self) -> bool:
        """Return whether leases are to be renewed: once in an interval."""
        return (self._clock.monotonic() - self._renewed
                >= self._settings().claim_interval * _SHORTEST)

    def _claim(self, limit: int,
               held: list[tuple[str, int]]) -> int | None:
        """Renew leases and claim up to limit new runs.

        :returns: how many were claimed; None where something went wrong
        """
        problem = None
        # What is held comes first: where its leases have just ended, a claim
        # would hand it out to us as new.
        while len(held) > _HELD:
            _none, refused = self._ask(0, held[:_HELD])
            problem = problem or refused
            if isinstance(refused, freezer_api.ApiUnreachable):
                # To go on asking would take a timeout each.
                self._away(str(refused))
                return None
            held = held[_HELD:]
        claimed, refused = self._ask(limit, held)
        problem = problem or refused
        if problem is None:
            self._back()
            return claimed
        self._away(str(problem))
        if (isinstance(problem, freezer_api.ApiRefused)
                and problem.status == 404):
            self._register_again()
        return None

    def _ask(self, limit: int, held: list[tuple[str, int]],
             ) -> tuple[int, freezer_api.ApiError | None]:
        """Renew some leases and claim up to limit new runs.

        :returns: how many runs were claimed, and what went wrong
        """
        settings = self._settings()
        # A lease counts from before the question, whatever it takes.
        asked = self._clock.monotonic()
        self._due_in = ()
        self._cut_short = False
        try:
            tick = self._api.claim(
                self._registration.client_id, limit, settings.lease_seconds,
                held, settings.max_in_flight_per_project)
        except freezer_api.ApiError as error:
            self._observer.not_claimed(str(error))
            return 0, error
        self._observer.claimed(tick)
        self._due_in = tick.lateness.due_in
        self._cut_short = tick.more and bool(tick.runs)
        self._take(tick, asked, settings.lease_seconds)
        return len(tick.runs), None

    def _take(self, tick: documents.Tick, asked: float,
              lease_seconds: int) -> None:
        for run_id, event in tick.held.items():
            self._runs.renewed(run_id, asked + lease_seconds, event)
        for run_id in tick.lost:
            held = self._runs.lost(run_id)
            if held is not None:
                self._observer.lost()
                with run_context.of(held.run):
                    LOG.warning('Run %s is not ours any more: its lease '
                                'ended', run_id)
        for unreadable in tick.unreadable:
            LOG.error('Run %s: the API handed it out in a form that cannot '
                      'be read; it is left alone',
                      documents.shortened(unreadable, 64))
        for run in tick.runs:
            self._runs.add(run, asked + run.lease_seconds)

    def _register_again(self) -> None:
        """Somebody deleted the client: make it known again."""
        problem = None
        try:
            self._registration.renew()
        except freezer_api.ApiError as error:
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

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

"""What the scheduler has seen last: the source of metrics and status.

The parts of the scheduler tell it what happens to them. It may be told by
every thread, and asked by every thread.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
import threading
import typing

from oslo_log import log as logging
import prometheus_client

from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler import documents
from freezer_scheduler import maintenance
from freezer_scheduler import runs
from freezer_scheduler.telemetry import metrics
from freezer_scheduler.telemetry import run_context
from freezer_scheduler import version

LOG = logging.getLogger(__name__)

_Report = Callable[[str, int, documents.Report], documents.Event | None]


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known; times are epoch seconds.

    :ivar client_id: None as long as it never registered
    :ivar registration_error: why the last registration failed, if it did
    :ivar claim_error: likewise for the last claim
    :ivar waiting: seconds for which the longest waiting due run had waited at
        the last claim; None where that is not known
    :ivar maintenance: None as long as the API was not asked
    """

    started_at: float
    client_id: str | None = None
    registered_at: float | None = None
    registration_error: str | None = None
    claimed_at: float | None = None
    claim_error: str | None = None
    claim_failed_at: float | None = None
    waiting: float | None = None
    maintenance: maintenance.Maintenance | None = None


class Monitor:
    """Keeps the facts, and counts."""

    def __init__(self, clock: scheduler_clock.Clock,
                 registry: prometheus_client.CollectorRegistry) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._facts = Facts(started_at=clock.wall())
        self._heard = clock.monotonic()
        self.metrics = metrics.Metrics(registry)
        self.metrics.waiting.set_function(lambda: self.waiting() or 0)

    def look_at(self, table: runs.Runs,
                limits: Callable[[], runs.Limits]) -> None:
        """Have the metrics tell of the held runs, when they are asked."""
        def held(phase: runs.Phase) -> int:
            return sum(known is phase for _held, known in table.phases())

        for phase in runs.Phase:
            self.metrics.held.labels(str(phase)).set_function(
                functools.partial(held, phase))
        self.metrics.in_flight.set_function(table.in_flight)
        self.metrics.max_in_flight.set_function(lambda: limits().total)

    def facts(self) -> Facts:
        """Return what is known now."""
        with self._lock:
            return dataclasses.replace(self._facts, waiting=self._waiting())

    def waiting(self) -> float | None:
        """Return how many seconds the longest waiting due run has waited.

        As long as the API says nothing else, it goes on waiting.
        """
        with self._lock:
            return self._waiting()

    def _waiting(self) -> float | None:
        known = self._facts.waiting
        return (known + self._clock.monotonic() - self._heard if known
                else known)

    def _learn(self, **facts: typing.Any) -> None:
        with self._lock:
            self._facts = dataclasses.replace(self._facts, **facts)

    # -- registration and claims --

    def registered(self, client_id: str) -> None:
        """The API took the registration."""
        now = self._clock.wall()
        self._learn(client_id=client_id, registered_at=now,
                    registration_error=None)
        self.metrics.last_registration.set(now)
        self.metrics.about.info({'client_id': client_id,
                                 'version': version.version_string()})

    def not_registered(self, error: str) -> None:
        """It did not."""
        self._learn(registration_error=error)

    def claimed(self, tick: documents.Tick) -> None:
        """The API answered a claim."""
        counted = self.metrics
        now = self._clock.wall()
        with self._lock:
            self._heard = self._clock.monotonic()
            self._facts = dataclasses.replace(
                self._facts, claimed_at=now, claim_error=None,
                claim_failed_at=None, waiting=tick.lateness.waiting)
        counted.claims.labels(metrics.OK).inc()
        counted.last_claim.set(now)
        for run in tick.runs:
            counted.claimed.labels(metrics.TAKEN_OVER if run.taken_over
                                   else metrics.NEW).inc()
        for seconds in tick.lateness.claimed:
            counted.lag.observe(seconds)
        counted.results.labels(metrics.MISSED).inc(tick.lateness.missed)

    def not_claimed(self, error: str) -> None:
        """The API did not answer one."""
        self._learn(claim_error=error, claim_failed_at=self._clock.wall())
        self.metrics.claims.labels(metrics.FAILED).inc()

    def lost(self) -> None:
        """A run is not ours any more, though we did not hand it back."""
        self.metrics.parted.labels(metrics.LOST).inc()

    def maintained(self, told: maintenance.Maintenance) -> None:
        """The API told what is in trouble."""
        self._learn(maintenance=told)
        if told.suspended is not None:
            self.metrics.suspended(
                {str(cause): count for cause, count in
                 told.suspended.items()}, told.trusts_pending,
                told.trusts_unproven)

    # -- runs --

    def watching(self, report: _Report) -> _Report:
        """Return what reports, and tells us what was taken."""
        def told(run_id: str, fence: int,
                 said: documents.Report) -> documents.Event | None:
            event = report(run_id, fence, said)
            self.reported(said)
            return event
        return told

    def reported(self, said: documents.Report) -> None:
        """The API took a report."""
        if said.release:
            self.metrics.parted.labels(metrics.HANDED_BACK).inc()
        if said.state is documents.RunState.RUNNING:
            return
        result = str(said.state)
        if said.cause is not None:
            self.metrics.trust_failures.labels(said.cause).inc()
            if not said.steps:
                # That is what the API makes of it.
                result = metrics.SKIPPED
        self.metrics.results.labels(result).inc()
        context = run_context.current()
        if said.state is documents.RunState.FAIL and (
                context is not None and context.trouble is not None):
            LOG.info('The last request of the run that was refused or '
                     'failed: %s', context.trouble)

    # -- requests --

    def called(self, service: str, operation: str, outcome: str,
               seconds: float) -> None:
        """A request was sent, see :class:`.calls.Observer`."""
        self.metrics.calls.labels(service, operation, outcome).observe(
            seconds)

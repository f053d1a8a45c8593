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

"""The latest facts about the scheduler, for its metrics and its status.

The parts of the scheduler report events to the monitor. All methods are thread
safe.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
import threading
from typing import Any

from oslo_log import log as logging
import prometheus_client

from freezer_scheduler import clock as scheduler_clock
from freezer_scheduler.freezer import maintenance
from freezer_scheduler.freezer import messages
from freezer_scheduler import log_context
from freezer_scheduler.runs import run_table
from freezer_scheduler.telemetry import metrics
from freezer_scheduler import version

LOG = logging.getLogger(__name__)

_Report = Callable[[str, int, messages.Report], messages.Event | None]


@dataclasses.dataclass(frozen=True)
class Facts:
    """The latest facts; times are epoch seconds.

    :ivar client_id: None before the first registration
    :ivar registration_error: why the last registration failed, if it did
    :ivar claim_error: likewise for the last claim
    :ivar waiting: seconds that the oldest due run has waited; None if unknown
    :ivar maintenance: None before the first call for maintenance
    """

    started_at: float
    client_id: str | None = None
    registered_at: float | None = None
    registration_error: str | None = None
    last_claim_at: float | None = None
    claim_error: str | None = None
    claim_failed_at: float | None = None
    waiting: float | None = None
    maintenance: maintenance.Maintenance | None = None


class Monitor:
    """Keeps the facts and counts events."""

    def __init__(self, clock: scheduler_clock.Clock,
                 registry: prometheus_client.CollectorRegistry) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._facts = Facts(started_at=clock.wall())
        self._heard = clock.monotonic()
        self.metrics = metrics.Metrics(registry)
        self.metrics.waiting.set_function(lambda: self.waiting() or 0)

    def look_at(self, table: run_table.RunTable,
                limits: Callable[[], run_table.Limits]) -> None:
        """Let the metrics read the table of claimed runs on each scrape."""
        def held(phase: run_table.Phase) -> int:
            return sum(known is phase for _held, known in table.phases())

        for phase in run_table.Phase:
            self.metrics.held.labels(str(phase)).set_function(
                functools.partial(held, phase))
        self.metrics.in_flight.set_function(table.in_flight)
        self.metrics.max_in_flight.set_function(lambda: limits().total)

    def facts(self) -> Facts:
        """Return the current facts."""
        with self._lock:
            return dataclasses.replace(self._facts, waiting=self._waiting())

    def waiting(self) -> float | None:
        """Return the seconds that the oldest due run has waited.

        The time grows until the API reports another value.
        """
        with self._lock:
            return self._waiting()

    def _waiting(self) -> float | None:
        known = self._facts.waiting
        return (known + self._clock.monotonic() - self._heard if known
                else known)

    def _learn(self, **facts: Any) -> None:
        with self._lock:
            self._facts = dataclasses.replace(self._facts, **facts)

    # -- registration and claims --

    def registered(self, client_id: str) -> None:
        """Record that the API accepted the registration."""
        now = self._clock.wall()
        self._learn(client_id=client_id, registered_at=now,
                    registration_error=None)
        self.metrics.last_registration.set(now)
        self.metrics.about.info({'client_id': client_id,
                                 'version': version.version_string()})

    def not_registered(self, error: str) -> None:
        """Record that a registration failed."""
        self._learn(registration_error=error)

    def claimed(self, response: messages.ClaimResponse) -> None:
        """Record the answer to a claim."""
        counted = self.metrics
        now = self._clock.wall()
        with self._lock:
            self._heard = self._clock.monotonic()
            self._facts = dataclasses.replace(
                self._facts, last_claim_at=now, claim_error=None,
                claim_failed_at=None, waiting=response.timing.waiting)
        counted.claims.labels(metrics.OK).inc()
        counted.last_claim.set(now)
        for run in response.runs:
            counted.claimed.labels(metrics.RECLAIMED if run.reclaimed
                                   else metrics.NEW).inc()
        for seconds in response.timing.claimed:
            counted.lag.observe(seconds)
        counted.results.labels(metrics.MISSED).inc(response.timing.missed)

    def not_claimed(self, error: str) -> None:
        """Record that a claim failed."""
        self._failed(self.metrics.claims, error)

    def renewed(self) -> None:
        """Record a renewal of leases."""
        self.metrics.renewals.labels(metrics.OK).inc()

    def not_renewed(self, error: str) -> None:
        """Record that a renewal of leases failed."""
        self._failed(self.metrics.renewals, error)

    def _failed(self, counter: prometheus_client.Counter, error: str) -> None:
        self._learn(claim_error=error, claim_failed_at=self._clock.wall())
        counter.labels(metrics.FAILED).inc()

    def lost(self) -> None:
        """Record the loss of a run to another scheduler."""
        self.metrics.parted.labels(metrics.LOST).inc()

    def maintained(self, answer: maintenance.Maintenance) -> None:
        """Record the answer to a call for maintenance."""
        self._learn(maintenance=answer)
        if answer.suspended is not None:
            self.metrics.suspended(
                {str(cause): count for cause, count in
                 answer.suspended.items()}, answer.trusts_pending,
                answer.trusts_unproven)

    # -- runs --

    def watching(self, report: _Report) -> _Report:
        """Return a function that reports, and records accepted reports."""
        def recorded(run_id: str, fence: int,
                     sent: messages.Report) -> messages.Event | None:
            event = report(run_id, fence, sent)
            self.reported(sent)
            return event
        return recorded

    def reported(self, report: messages.Report) -> None:
        """Record that the API accepted a report."""
        if report.release:
            self.metrics.parted.labels(metrics.HANDED_BACK).inc()
        if report.state is messages.RunState.RUNNING:
            return
        result = str(report.state)
        if report.cause is not None:
            self.metrics.trust_failures.labels(report.cause).inc()
            if not report.steps:
                # The API records such a run as skipped.
                result = metrics.SKIPPED
        self.metrics.results.labels(result).inc()
        context = log_context.current()
        if report.state is messages.RunState.FAIL and (
                context is not None and context.trouble is not None):
            LOG.info('The last refused or failed request of the run: %s',
                     context.trouble)

    def old_backup(self, deleted: bool) -> None:
        """Record the result of deleting an old backup."""
        self.metrics.old_backups.labels(
            metrics.DELETED if deleted else metrics.NOT_DELETED).inc()

    # -- requests --

    def called(self, service: str, operation: str, outcome: str,
               seconds: float) -> None:
        """Record a request, see :data:`.http_metrics.Recorder`."""
        self.metrics.calls.labels(service, operation, outcome).observe(
            seconds)

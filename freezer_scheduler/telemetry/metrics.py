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

"""The metrics of a scheduler, for Prometheus.

Each label has few values, which are known in advance. Projects, users, jobs
and runs are not labels: their number is not bounded, and readers of metrics
need not know them.
"""

from __future__ import annotations

import prometheus_client

from freezer_api.domain import trust_errors
from freezer_scheduler.freezer import messages
from freezer_scheduler.runs import run_table

_PREFIX = 'freezer_scheduler'

# Seconds; a claim comes within some, a scheduler that was away in hours.
_LAGS = (1, 5, 10, 30, 60, 300, 900, 3600)
_CALLS = (.05, .1, .25, .5, 1, 2.5, 5, 10, 30)

SKIPPED, MISSED = 'skipped', 'missed'
_RESULTS = (*(str(state) for state in messages.RunState
              if state is not messages.RunState.RUNNING), SKIPPED, MISSED)
NEW, RECLAIMED = 'new', 'reclaimed'
LOST, HANDED_BACK = 'lost', 'handed_back'
DELETED, NOT_DELETED = 'deleted', 'not_deleted'
OK, FAILED = 'ok', 'failed'


class Metrics:
    """All metrics, in a registry of their own."""

    def __init__(self, registry: prometheus_client.CollectorRegistry) -> None:
        # They would double the number of lines.
        leave_out = prometheus_client.disable_created_metrics
        leave_out()  # type: ignore[no-untyped-call]
        self._registry = registry
        prometheus_client.ProcessCollector(registry=registry)
        self.about = prometheus_client.Info(
            _PREFIX, 'ID of the client and version.',
            registry=registry)
        self.claims = self._counter(
            'claims', 'Claims sent to the API.', 'outcome',
            (OK, FAILED))
        self.renewals = self._counter(
            'lease_renewals', 'Requests to the API to renew leases.',
            'outcome', (OK, FAILED))
        self.last_claim = self._gauge(
            'last_claim_timestamp_seconds',
            'Time of the last answered claim.')
        self.last_registration = self._gauge(
            'last_registration_timestamp_seconds',
            'Time of the last registration of this client.')
        self.claimed = self._counter(
            'runs_claimed', 'Runs claimed by this scheduler.',
            'kind', (NEW, RECLAIMED))
        self.lag = prometheus_client.Histogram(
            f'{_PREFIX}_run_lag_seconds',
            'Time from the due time of a new run to its claim.',
            buckets=_LAGS, registry=registry)
        self.waiting = self._gauge(
            'due_waiting_seconds',
            'Time that the oldest due run has waited.')
        self.results = self._counter(
            'runs', 'Runs that ended or were missed.', 'result',
            _RESULTS)
        self.parted = self._counter(
            'runs_parted_with', 'Runs that left this scheduler unfinished.',
            'how', (LOST, HANDED_BACK))
        self.old_backups = self._counter(
            'old_backups', 'Old backups selected by retention.',
            'result', (DELETED, NOT_DELETED))
        self.trust_failures = self._counter(
            'trust_failures', 'Runs whose trust did not work.', 'cause',
            tuple(str(cause) for cause in trust_errors.REPORTED))
        self.held = self._gauge(
            'runs_held', 'Runs claimed by this scheduler now.', 'phase',
            tuple(str(phase) for phase in run_table.Phase))
        self.in_flight = self._gauge(
            'in_flight', 'Slots in use by runs and their volumes.')
        self.max_in_flight = self._gauge(
            'max_in_flight', 'Number of slots.')
        # Of suspended jobs, and of pending and unproven trusts.
        self._maintenance: tuple[prometheus_client.Gauge, ...] = ()
        self.calls = prometheus_client.Histogram(
            f'{_PREFIX}_call_seconds',
            'How long a request took, by its answer.',
            ['service', 'operation', 'outcome'], buckets=_CALLS,
            registry=registry)

    def suspended(self, by_cause: dict[str, int], pending: int,
                  unproven: int) -> None:
        """Set the numbers of suspended jobs and of trusts to deal with.

        Until they are known, the metrics do not exist: no 0 is made up.
        """
        if not self._maintenance:
            self._maintenance = (
                self._gauge('jobs_suspended',
                            'Suspended jobs of all projects.', 'cause',
                            tuple(map(str, trust_errors.Cause))),
                self._gauge('trusts_pending',
                            'Trusts that are still to be deleted.'),
                self._gauge('trusts_unproven',
                            'Trusts that may be left over, and that nothing '
                            'proves to be of this service.'))
        jobs, pending_trusts, unproven_trusts = self._maintenance
        for cause in trust_errors.Cause:
            jobs.labels(str(cause)).set(by_cause.get(cause, 0))
        pending_trusts.set(pending)
        unproven_trusts.set(unproven)

    def _counter(self, name: str, text: str, label: str,
                 values: tuple[str, ...]) -> prometheus_client.Counter:
        made = prometheus_client.Counter(
            f'{_PREFIX}_{name}', text, [label], registry=self._registry)
        # A rate needs an initial 0.
        for value in values:
            made.labels(value)
        return made

    def _gauge(self, name: str, text: str, label: str | None = None,
               values: tuple[str, ...] = ()) -> prometheus_client.Gauge:
        made = prometheus_client.Gauge(
            f'{_PREFIX}_{name}', text, [label] if label else [],
            registry=self._registry)
        for value in values:
            made.labels(value)
        return made

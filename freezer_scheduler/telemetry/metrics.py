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

Each label has few values that are known beforehand. Projects, users, jobs and
runs are no labels: their number has no bound, and whoever may read metrics
need not know them.
"""

from __future__ import annotations

import prometheus_client

from freezer_api.domain import causes
from freezer_scheduler import documents
from freezer_scheduler import runs

_PREFIX = 'freezer_scheduler'

# Seconds; a claim comes within some, a scheduler that was away in hours.
_LAGS = (1, 5, 10, 30, 60, 300, 900, 3600)
_CALLS = (.05, .1, .25, .5, 1, 2.5, 5, 10, 30)

SKIPPED, MISSED = 'skipped', 'missed'
_RESULTS = (*(str(state) for state in documents.RunState
              if state is not documents.RunState.RUNNING), SKIPPED, MISSED)
NEW, TAKEN_OVER = 'new', 'taken_over'
LOST, HANDED_BACK = 'lost', 'handed_back'
OK, FAILED = 'ok', 'failed'


class Metrics:
    """Everything that is counted, in a registry of its own."""

    def __init__(self, registry: prometheus_client.CollectorRegistry) -> None:
        # They double the number of lines, and nobody asks for them.
        leave_out = prometheus_client.disable_created_metrics
        leave_out()  # type: ignore[no-untyped-call]
        self._registry = registry
        prometheus_client.ProcessCollector(registry=registry)
        self.about = prometheus_client.Info(
            _PREFIX, 'The client that is served, and its version.',
            registry=registry)
        self.claims = self._counter(
            'claims', 'Questions to the API for runs.', 'outcome',
            (OK, FAILED))
        self.last_claim = self._gauge(
            'last_claim_timestamp_seconds',
            'When the API last answered such a question.')
        self.last_registration = self._gauge(
            'last_registration_timestamp_seconds',
            'When the API last took the registration of this client.')
        self.claimed = self._counter(
            'runs_claimed', 'Runs that were handed to this scheduler.',
            'kind', (NEW, TAKEN_OVER))
        self.lag = prometheus_client.Histogram(
            f'{_PREFIX}_run_lag_seconds',
            'How long after its time a new run was handed out.',
            buckets=_LAGS, registry=registry)
        self.waiting = self._gauge(
            'due_waiting_seconds',
            'For how long the due run has waited that has waited longest.')
        self.results = self._counter(
            'runs', 'Runs that ended, or that nobody ran.', 'result',
            _RESULTS)
        self.parted = self._counter(
            'runs_parted_with', 'Runs that went on to another scheduler.',
            'how', (LOST, HANDED_BACK))
        self.trust_failures = self._counter(
            'trust_failures', 'Runs whose trust did not work.', 'cause',
            tuple(str(cause) for cause in causes.REPORTED))
        self.held = self._gauge(
            'runs_held', 'Runs that this scheduler holds now.', 'phase',
            tuple(str(phase) for phase in runs.Phase))
        self.in_flight = self._gauge(
            'in_flight', 'Places that runs and their volumes take now.')
        self.max_in_flight = self._gauge(
            'max_in_flight', 'Places there are.')
        self._suspended: prometheus_client.Gauge | None = None
        self._pending: prometheus_client.Gauge | None = None
        self._unproven: prometheus_client.Gauge | None = None
        self.calls = prometheus_client.Histogram(
            f'{_PREFIX}_call_seconds',
            'How long a request took, by its answer.',
            ['service', 'operation', 'outcome'], buckets=_CALLS,
            registry=registry)

    def suspended(self, by_cause: dict[str, int], pending: int,
                  unproven: int) -> None:
        """Tell how many jobs are suspended, and trusts left to deal with.

        Until that is known, the metrics do not exist: no 0 is made up.
        """
        if (self._suspended is None or self._pending is None
                or self._unproven is None):
            self._suspended = self._gauge(
                'jobs_suspended', 'Suspended jobs of all projects.', 'cause',
                tuple(str(cause) for cause in causes.Cause))
            self._pending = self._gauge(
                'trusts_pending', 'Trusts that are still to be deleted.')
            self._unproven = self._gauge(
                'trusts_unproven', 'Trusts that may be left over, and that '
                'nothing proves to be of this service.')
        for cause in causes.Cause:
            self._suspended.labels(str(cause)).set(by_cause.get(cause, 0))
        self._pending.set(pending)
        self._unproven.set(unproven)

    def _counter(self, name: str, text: str, label: str,
                 values: tuple[str, ...]) -> prometheus_client.Counter:
        made = prometheus_client.Counter(
            f'{_PREFIX}_{name}', text, [label], registry=self._registry)
        # A rate can only be told of what has been 0 before.
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

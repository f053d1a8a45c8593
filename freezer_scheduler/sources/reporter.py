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

"""Reports on their way to the API, those of many runs with one request.

Reports that arrive during a request are sent with the next one. So a single
report is sent at once, and a thousand that arrive together need few requests.
If a request fails, each run keeps its report and sends it alone. So a report
that is refused does not delay other runs.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from collections.abc import Sequence
import contextlib
import dataclasses
import json
import threading
import time

from oslo_log import log as logging

from freezer_scheduler.freezer import client as freezer_client
from freezer_scheduler.freezer import messages
from freezer_scheduler import log_context
from freezer_scheduler.runs import run_table
from freezer_scheduler.sources import base

LOG = logging.getLogger(__name__)

# By default the API accepts 112 KiB in one request.
_MOST_BYTES = 96 * 1024
_MOST = 100

# Seconds between two requests, in which reports gather: a request costs as
# much as many reports in it.
_GATHER = 0.2

Answer = messages.Event | None | freezer_client.ApiError


@dataclasses.dataclass(frozen=True)
class _Waiting:
    claimed: run_table.ClaimedRun
    report: messages.Report
    document: dict[str, object]
    size: int
    context: log_context.RunContext | None
    report_all: base.ReportAll


class Reporter:
    """Gathers reports and sends them.

    :param stored: called with each report that the API accepted
    :param give_back: called with each run and the answer to its report
    """

    def __init__(
            self, source: base.Source, stored: Callable[[messages.Report],
                                                        None],
            give_back: Callable[[run_table.ClaimedRun, Answer], None]) -> None:
        self._source = source
        self._stored = stored
        self._give_back = give_back
        self._changed = threading.Condition()
        self._waiting: collections.deque[_Waiting] = collections.deque()
        self._size = 0
        self._sent = float('-inf')
        self._stopping = False

    def take(self, claimed: run_table.ClaimedRun,
             report: messages.Report) -> bool:
        """Take over a run until its report is answered.

        :returns: whether the API stored it; if not, the caller keeps it
        """
        report_all = self._source.report_all
        if report_all is None:
            return False
        document = {'run_id': claimed.run.run_id,
                    **report.said(claimed.run.fence)}
        waiting = _Waiting(claimed, report,
                           document, len(json.dumps(document)),
                           log_context.current(), report_all)
        with self._changed:
            if self._stopping:
                return False
            self._waiting.append(waiting)
            self._size += waiting.size
            self._changed.notify()
        return True

    def stop(self) -> None:
        """Accept no more reports; senders end when all are sent."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def send(self) -> bool:
        """Wait for reports and send them.

        :returns: whether there can be more; if not, the thread ends
        """
        batch = self._next()
        answers: dict[str, Answer] = {}
        try:
            answers = self._answers(batch)
        finally:
            # Whatever fails, also for one of them: each run is given back.
            with contextlib.ExitStack() as each:
                for one in reversed(batch):
                    each.callback(self._answered, one, answers.get(
                        one.claimed.run.run_id, freezer_client.ApiUnreachable(
                            'an error in the scheduler')))
        return bool(batch)

    def _next(self) -> list[_Waiting]:
        """Return the reports to send together; none if it stops."""
        batch: list[_Waiting] = []
        size = 0
        with self._changed:
            while not self._ready():
                self._changed.wait(self._rest() if self._waiting else None)
            self._sent = time.monotonic()
            while self._waiting and len(batch) < _MOST:
                size += self._waiting[0].size
                if batch and size > _MOST_BYTES:
                    break
                batch.append(self._waiting.popleft())
                self._size -= batch[-1].size
        return batch

    def _ready(self) -> bool:
        """Return whether to send now: there is enough, or the time is up."""
        return self._stopping or len(self._waiting) >= _MOST or (
            self._size > _MOST_BYTES) or bool(
                self._waiting and self._rest() <= 0)

    def _rest(self) -> float:
        return self._sent + _GATHER - time.monotonic()

    def _answers(self, batch: Sequence[_Waiting]) -> dict[str, Answer]:
        if not batch:
            return {}
        run_ids = [one.claimed.run.run_id for one in batch]
        try:
            events = batch[0].report_all([one.document for one in batch])
        except freezer_client.ApiError as error:
            LOG.warning('%d reports are kept: %s', len(batch), error)
            return dict.fromkeys(run_ids, error)
        return {run_id: events[run_id] if run_id in events else
                freezer_client.StaleFence(409, 'the run is not ours', None)
                for run_id in run_ids}

    def _answered(self, one: _Waiting, answer: Answer) -> None:
        with log_context.of(one.claimed.run, one.context):
            if not isinstance(answer, freezer_client.ApiError):
                self._stored(one.report)
            self._give_back(one.claimed, answer)

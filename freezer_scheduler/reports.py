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

While a request is under way, what is to be told meanwhile gathers and goes
with the next. So a report that comes alone is sent at once, and a thousand
that come together take few requests. What is not taken in this way is kept by
its run, which tells of itself alone then: so no run is held up by another one
whose report is refused.
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
from typing import Any

from oslo_log import log as logging

from freezer_scheduler import api as freezer_api
from freezer_scheduler import documents
from freezer_scheduler import runs
from freezer_scheduler import sources
from freezer_scheduler.telemetry import run_context

LOG = logging.getLogger(__name__)

# The API takes 112 KiB with one request, where nothing else is configured.
_MOST_BYTES = 96 * 1024
_MOST = 100

# Seconds between two requests for which reports gather: a request costs as
# much as many reports in it.
_GATHER = 0.2

Answer = documents.Event | None | freezer_api.ApiError


@dataclasses.dataclass(frozen=True)
class _Waiting:
    held: runs.HeldRun
    report: documents.Report
    document: dict[str, Any]
    size: int
    context: run_context.RunContext | None
    report_all: sources.ReportAll


class Reporter:
    """Gathers reports and sends them.

    :param stored: is told of each that was taken
    :param give_back: takes a run back, with the answer to its report
    """

    def __init__(self, source: sources.Source,
                 stored: Callable[[documents.Report], None],
                 give_back: Callable[[runs.HeldRun, Answer], None]) -> None:
        self._source = source
        self._stored = stored
        self._give_back = give_back
        self._changed = threading.Condition()
        self._waiting: collections.deque[_Waiting] = collections.deque()
        self._size = 0
        self._sent = float('-inf')
        self._stopping = False

    def take(self, held: runs.HeldRun, report: documents.Report) -> bool:
        """Take a run until its report is answered.

        :returns: whether it was taken; the caller keeps it otherwise
        """
        report_all = self._source.report_all
        if report_all is None:
            return False
        document = {'run_id': held.run.run_id,
                    **report.said(held.run.fence)}
        waiting = _Waiting(held, report, document, len(json.dumps(document)),
                           run_context.current(), report_all)
        with self._changed:
            if self._stopping:
                return False
            self._waiting.append(waiting)
            self._size += waiting.size
            self._changed.notify()
        return True

    def stop(self) -> None:
        """Take no more; let the senders end when all is sent."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def send(self) -> bool:
        """Wait for reports and send them.

        :returns: whether there can be more
        """
        batch = self._next()
        answers: dict[str, Answer] = {}
        try:
            answers = self._answers(batch)
        finally:
            # Whatever went wrong, or does so with one of them: nobody else
            # has them.
            with contextlib.ExitStack() as each:
                for one in reversed(batch):
                    each.callback(self._answered, one, answers.get(
                        one.held.run.run_id, freezer_api.ApiUnreachable(
                            'an error in the scheduler')))
        return bool(batch)

    def _next(self) -> list[_Waiting]:
        """Return what is to be sent together; nothing when stopping."""
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
        """Whether there is enough to send, or it has waited enough."""
        return self._stopping or len(self._waiting) >= _MOST or (
            self._size > _MOST_BYTES) or bool(
                self._waiting and self._rest() <= 0)

    def _rest(self) -> float:
        return self._sent + _GATHER - time.monotonic()

    def _answers(self, batch: Sequence[_Waiting]) -> dict[str, Answer]:
        if not batch:
            return {}
        try:
            events = batch[0].report_all([one.document for one in batch])
        except freezer_api.ApiError as error:
            problem = error
        else:
            return {run_id: events[run_id] if run_id in events else lost
                    for run_id, lost in (
                        (one.held.run.run_id, freezer_api.StaleFence(
                            409, 'the run is not ours', None))
                        for one in batch)}
        LOG.warning('%d reports are kept: %s', len(batch), problem)
        return {one.held.run.run_id: problem for one in batch}

    def _answered(self, one: _Waiting, answer: Answer) -> None:
        with run_context.of(one.held.run, one.context):
            if not isinstance(answer, freezer_api.ApiError):
                self._stored(one.report)
            self._give_back(one.held, answer)

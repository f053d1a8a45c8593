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

"""One trial: things go wrong by a plan, and what happened is collected."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
import contextlib
import functools
import heapq
import itertools
import os
import re
import signal
import threading
import time

from benchmarks.fire import evidence
from benchmarks.fire import plan
from benchmarks.fire import scene
from tools.cloud import progress

# What a log must not hold. That something is away is no error.
_BAD = re.compile(r'Traceback|An error in the scheduler| CRITICAL | ERROR ')


class Trial:
    """Carries a plan out on a scene.

    :param begin: when the first job can fire, in epoch seconds
    """

    def __init__(self, stage: scene.Scene, begin: float,
                 tell: progress.Progress) -> None:
        self._stage = stage
        self._begin = begin
        self._tell = tell
        self._windows: list[evidence.Window] = []
        self._threads: list[threading.Thread] = []
        self._going: list[plan.Fault] = []

    def run(self, faults: Sequence[plan.Fault], seconds: float) -> None:
        """Have everything go wrong, and well again in the end."""
        order = itertools.count()
        heap: list[tuple[float, int, Callable[[], None]]] = []

        def at(when: float, what: Callable[[], None]) -> None:
            heapq.heappush(heap, (when, next(order), what))

        for fault in faults:
            at(fault.at, functools.partial(self._begins, fault, at))
        while heap:
            when, _number, what = heapq.heappop(heap)
            self._wait(when)
            what()
        self._wait(seconds)
        for thread in self._threads:
            thread.join()

    @property
    def names(self) -> list[str]:
        """The schedulers that are there all the time."""
        return [name for name in self._stage.schedulers
                if name != self._stage.guest]

    def _wait(self, when: float) -> None:
        time.sleep(max(0.0, self._begin + when - time.time()))

    def _begins(self, fault: plan.Fault,
                at: Callable[[float, Callable[[], None]], None]) -> None:
        if not plan.bearable(fault, self._going, self.names):
            # To get well took longer than was planned.
            return
        self._tell.say(f'fault: {fault}')
        since = time.time()
        self._going.append(fault)
        undo = self._strike(fault)

        def over() -> None:
            undo()
            self._going.remove(fault)
            self._windows.append(evidence.Window(
                since, time.time(), fault.kind, fault.target))

        def over_beside() -> None:
            # It takes a while, and the others must not wait for it.
            thread = threading.Thread(target=over)
            thread.start()
            self._threads.append(thread)

        at(fault.until, over_beside)

    def _strike(self, fault: plan.Fault) -> Callable[[], None]:
        """Do it; return what undoes it."""
        stage, kind = self._stage, plan.Kind
        one = stage.schedulers.get(fault.target)
        match fault.kind:
            case kind.DATABASE:
                stage.database.cut()
                return lambda: None
            case kind.CRASH | kind.SHUTDOWN:
                assert stage.server is not None
                if fault.kind is kind.CRASH:
                    stage.server.kill()
                else:
                    stage.server.stop()
                return stage.server.start
            case kind.API:
                stage.api.kill()
                return stage.api.start
            case kind.CINDER:
                stage.cinder.send(signal.SIGSTOP)
                return lambda: stage.cinder.send(signal.SIGCONT)
            case kind.KEYSTONE:
                pid = stage.cloud.processes['keystone'].pid
                assert pid is not None
                os.kill(pid, signal.SIGSTOP)
                return lambda: os.kill(pid, signal.SIGCONT)
        assert one is not None
        match fault.kind:
            case kind.KILL:
                one.end(signal.SIGKILL)
                return one.start
            case kind.ROLL:
                ending = threading.Thread(
                    target=one.end, args=(signal.SIGTERM,))
                ending.start()

                def again() -> None:
                    ending.join()
                    one.start()

                return again
            case kind.CLOCK:
                one.step(fault.step)
                return lambda: one.step(0)
            case kind.JOIN:
                one.start()
                return lambda: one.end(signal.SIGTERM)
        one.send(signal.SIGSTOP)
        return lambda: one.send(signal.SIGCONT)

    def drain(self, seconds: float) -> None:
        """Wait until nothing is to be done any more, but no longer."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._stage.database.rows(
                'SELECT 1 FROM jobs WHERE run_id IS NOT NULL '
                'OR next_run_at IS NOT NULL'):
            time.sleep(0.5)
        # What is a duplicate is deleted by who made it, a little later.
        while time.monotonic() < end and self._duplicates():
            time.sleep(0.5)

    def _duplicates(self) -> bool:
        runs = [backup['metadata'].get('freezer_run_id')
                for backup in self._stage.cinder.record()['backups']]
        return len(set(runs)) < len(runs)

    def stop(self) -> None:
        """End the schedulers as an operator does."""
        for one in self._stage.schedulers.values():
            one.end(signal.SIGTERM)

    def evidence(self, ended: float) -> evidence.Evidence:
        """Collect it, once nothing goes on any more."""
        stage = self._stage
        record = stage.cinder.record()
        with contextlib.ExitStack() as stack:
            asked = evidence.requests(
                stack.enter_context(stage.requests.open()))
        return evidence.Evidence(
            jobs=evidence.jobs(stage.database),
            runs=evidence.runs(stage.database),
            changes=evidence.changes(stage.database),
            reports=asked.reports,
            taken=[(one['metadata'].get('freezer_run_id', ''),
                    one['metadata'].get('freezer_action_id', ''), one['id'])
                   for one in record['taken']],
            backups=[evidence.Backup(
                one['id'], one['metadata'].get('freezer_run_id', ''),
                one['metadata'].get('freezer_action_id', ''), one['status'])
                for one in record['backups']],
            records=evidence.records(stage.database),
            windows=self._windows,
            lives=[(one.name, life.pid, asked.claimed[life.pid],
                    life.until or ended)
                   for one in stage.schedulers.values()
                   for life in one.lives if life.pid in asked.claimed],
            errors=asked.errors,
            complaints=self._complaints(set(asked.claimed)),
            began=self._begin, ended=ended)

    def _complaints(self, claimed: set[int]) -> list[str]:
        """Return what no log should hold.

        :param claimed: processes that had come so far; SIGTERM may end a
            younger one anyhow
        """
        found = []
        for one in self._stage.schedulers.values():
            found += [f'{one.name} ended with status {status}'
                      for pid, status in one.bad_ends
                      if pid in claimed or status != -signal.SIGTERM]
            for log in (one.log, one.output):
                if log.exists():
                    found += [
                        f'{one.name}: {line[:300]}'
                        for line in log.read_text().splitlines()
                        if _BAD.search(line)]
        return found

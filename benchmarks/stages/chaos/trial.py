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

"""One trial: faults happen by a plan, and what happened is collected."""

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

from benchmarks.observation import firings
from benchmarks.stages.chaos import environment as environments
from benchmarks.stages.chaos import faults as fault_plan
from benchmarks.stages.chaos import observations
from tools.cloud import progress

# Logs must not have these. That something is unavailable is no error.
_BAD = re.compile(r'Traceback|An error in the scheduler| CRITICAL | ERROR ')


class Trial:
    """Lets faults happen.

    :param begin: when the first job can fire, in epoch seconds
    """

    def __init__(self, environment: environments.Environment, begin: float,
                 tell: progress.Progress) -> None:
        self._environment = environment
        self._begin = begin
        self._tell = tell
        self._windows: list[observations.Window] = []
        self._threads: list[threading.Thread] = []
        self._going: list[fault_plan.Fault] = []

    def run(self, faults: Sequence[fault_plan.Fault], seconds: float) -> None:
        """Let all faults begin and end."""
        order = itertools.count()
        heap: list[tuple[float, int, Callable[[], None]]] = []

        def at(when: float, what: Callable[[], None]) -> None:
            heapq.heappush(heap, (when, next(order), what))

        for fault in faults:
            at(fault.at, functools.partial(self._happen, fault, at))
        while heap:
            when, _number, what = heapq.heappop(heap)
            self._wait(when)
            what()
        self._wait(seconds)
        for thread in self._threads:
            thread.join()

    def _wait(self, when: float) -> None:
        time.sleep(max(0.0, self._begin + when - time.time()))

    def _happen(self, fault: fault_plan.Fault,
                at: Callable[[float, Callable[[], None]], None]) -> None:
        if not fault_plan.bearable(fault, self._going,
                                   self._environment.names):
            # An earlier fault took longer than planned.
            return
        self._tell.say(f'fault: {fault}')
        since = time.time()
        self._going.append(fault)
        undo = self._begin_fault(fault)

        def over() -> None:
            undo()
            self._going.remove(fault)
            self._windows.append(observations.Window(
                since, time.time(), fault.kind, fault.target))

        def over_beside() -> None:
            # It takes a while; the others must not wait for it.
            thread = threading.Thread(target=over)
            thread.start()
            self._threads.append(thread)

        at(fault.until, over_beside)

    def _begin_fault(self, fault: fault_plan.Fault) -> Callable[[], None]:
        """Begin a fault; return what ends it."""
        environment, kind = self._environment, fault_plan.Kind
        one = environment.schedulers.get(fault.target)
        match fault.kind:
            case kind.DATABASE:
                environment.database.cut_connections()
                return lambda: None
            case kind.CRASH | kind.SHUTDOWN:
                assert environment.server is not None
                if fault.kind is kind.CRASH:
                    environment.server.kill()
                else:
                    environment.server.stop()
                return environment.server.start
            case kind.API:
                environment.api.kill()
                return environment.api.start
            case kind.CINDER:
                environment.cinder.send(signal.SIGSTOP)
                return lambda: environment.cinder.send(signal.SIGCONT)
            case kind.KEYSTONE:
                pid = environment.cloud.processes['keystone'].pid
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
        """Wait until all runs have ended, for so many seconds at most."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._environment.database.rows(
                'SELECT 1 FROM jobs WHERE run_id IS NOT NULL '
                'OR next_run_at IS NOT NULL'):
            time.sleep(0.5)
        # A duplicate is deleted a little later, by the scheduler that made it.
        while time.monotonic() < end and self._duplicates():
            time.sleep(0.5)

    def _duplicates(self) -> bool:
        runs = [backup['metadata'].get('freezer_run_id')
                for backup in self._environment.cinder.record()['backups']]
        return len(set(runs)) < len(runs)

    def stop(self) -> None:
        """End the schedulers as an operator does."""
        for one in self._environment.schedulers.values():
            one.end(signal.SIGTERM)

    def observe(self, ended: float) -> observations.Observations:
        """Collect what happened, once all runs have ended."""
        environment = self._environment
        record = environment.cinder.record()
        with contextlib.ExitStack() as stack:
            asked = observations.requests(
                stack.enter_context(environment.api.requests.open()))
        return observations.Observations(
            jobs=firings.jobs(environment.database),
            runs=firings.runs(environment.database),
            changes=observations.changes(environment.database),
            reports=asked.reports,
            taken=[(one['metadata'].get('freezer_run_id', ''),
                    one['metadata'].get('freezer_action_id', ''), one['id'])
                   for one in record['taken']],
            backups=[observations.Backup(
                one['id'], one['metadata'].get('freezer_run_id', ''),
                one['metadata'].get('freezer_action_id', ''), one['status'])
                for one in record['backups']],
            records=observations.records(environment.database),
            windows=self._windows,
            lives=[(one.name, life.pid, asked.claimed[life.pid],
                    life.until or ended)
                   for one in environment.schedulers.values()
                   for life in one.lives if life.pid in asked.claimed],
            errors=asked.errors,
            complaints=self._complaints(set(asked.claimed)),
            began=self._begin, ended=ended)

    def _complaints(self, claimed: set[int]) -> list[str]:
        """Return lines that no log should have.

        :param claimed: processes that have claimed; SIGTERM may end a younger
            one at once
        """
        found = []
        for one in self._environment.schedulers.values():
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

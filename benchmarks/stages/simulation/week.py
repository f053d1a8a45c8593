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

"""The loop: a clock that goes by claims, and all that happens meanwhile."""

from __future__ import annotations

import argparse
from collections.abc import Callable
import functools
import time
from typing import Any

import sqlalchemy as sa

from benchmarks.environment import database_server
from benchmarks.stages.simulation import api as simulated_api
from benchmarks.stages.simulation import fill
from benchmarks.stages.simulation import following
from benchmarks.stages.simulation import plan
from benchmarks.stages.simulation import result as results
from benchmarks.stages.simulation import schedulers
from freezer_api.db import models
from freezer_scheduler.runs import claim_timing
from tools.cloud import progress

_MAINTENANCE = 600

_NEVER = 2 ** 40
_FIRST = f'''SELECT MIN(at) FROM (
    (SELECT due_at AS at FROM jobs WHERE client_id = '{fill.CLIENT}'
     AND due_at IS NOT NULL ORDER BY due_at LIMIT 1)
    UNION ALL
    (SELECT lease_expires_at FROM job_runs WHERE client_id = '{fill.CLIENT}'
     AND lease_expires_at IS NOT NULL ORDER BY lease_expires_at LIMIT 1)
    ) AS first'''

_RUN = models.JobRun


class Week:
    """A simulation.

    :param chosen: the options of the stage
    """

    def __init__(self, chosen: argparse.Namespace, api: simulated_api.Api,
                 server: database_server.DatabaseServer,
                 tell: progress.Progress) -> None:
        self._chosen = chosen
        self._api = api
        self._server = server
        self._tell = tell
        self.result = results.Result()
        limits = schedulers.Limits(
            claim_interval=chosen.claim_interval, slots=chosen.slots,
            per_project=max(10, chosen.slots // 5))
        self._limits = limits
        self._schedulers = [
            schedulers.Scheduler(f's{number + 1}', limits)
            for number in range(chosen.schedulers)]
        self._cinder = plan.Cinder(chosen.seed)
        self._reports = schedulers.Reports(api, self._cinder, self.result)
        self._delay_queue: list[tuple[int, Callable[[], object]]] = []
        self._failing = False
        self._disturbed_until = 0
        self._day_began = (0, 0.0, 0.0)
        self._followed = following.Following(api.database, chosen.jobs)
        self._looker = api.database.engine.connect().execution_options(
            isolation_level='AUTOCOMMIT')

    # -- the clock --

    def run(self) -> None:
        """Simulate all of it."""
        chosen = self._chosen
        end = plan.BEGIN + int(
            (chosen.stop_after or chosen.days) * plan.DAY)
        for event in plan.events(int(chosen.days * plan.DAY)):
            self._later(event.at, functools.partial(self._begin_fault, event))
        began = time.monotonic()
        self._day_began = (0, time.process_time(), self._server.usage().cpu)
        now = plan.BEGIN
        while now < end:
            self._api.now = now
            self._happen(now)
            self._step(now)
            if now % _MAINTENANCE == 0 and not self._api.unavailable:
                self._maintain()
            if now % plan.DAY == 0 and now > plan.BEGIN:
                self._day_ends(now)
            if now % plan.HOUR == 0:
                self._say(now)
            if (chosen.minutes and now % _MAINTENANCE == 0
                    and time.monotonic() > began + 60 * chosen.minutes):
                break
            now = self._next(now)
        self.result.seconds = now - plan.BEGIN
        self._api.now = now
        self._day_ends(now)
        self._idle(now)
        self._looker.close()

    def _step(self, now: int) -> None:
        """Let each scheduler report, and claim where something is due.

        Claims that find nothing are left out, and measured in the end.
        """
        for one in self._schedulers:
            if one.alive:
                self._reports.send(one, now)
        waiting = not self._api.unavailable and self._first() <= now
        # Each is first in turn.
        turn = now // self._limits.claim_interval % len(self._schedulers)
        for one in (*self._schedulers[turn:], *self._schedulers[:turn]):
            while one.alive and (
                    one.must_renew(now) or (waiting and one.room)):
                more, waiting = self._claim(one, now)
                if not more:
                    break

    def _first(self) -> int:
        """Return when the first job or lease is due."""
        [(first,)] = self._looker.exec_driver_sql(_FIRST)
        return _NEVER if first is None else int(first)

    def _next(self, now: int) -> int:
        """Return the next step at which there is something to do."""
        times = [self._first(), *(at for at, _ in self._delay_queue)]
        for one in self._schedulers:
            if one.held:
                times.append(one.renewed_at + one.limits.lease // 2)
                times += [held.ends_at for held in one.held.values()]
        step = self._limits.claim_interval
        following = max(now + step, -(-min(times) // step) * step)
        return min(following, now - now % _MAINTENANCE + _MAINTENANCE)

    # -- what schedulers do --

    def _claim(self, one: schedulers.Scheduler,
               now: int) -> tuple[bool, bool]:
        """Claim; return whether to claim again, and whether others may."""
        question = one.question()
        kind = ('claim' if question['limit'] else 'renewal alone')
        try:
            status, answer = self._api.call(
                kind, 'POST', f'clients/{fill.CLIENT}/claims', question)
        except simulated_api.Unavailable:
            return False, False
        if status != 200:
            raise RuntimeError(f'a claim: {status} {answer}')
        ends = {}
        for run in answer['runs']:
            ends[run['run_id']] = self._cinder.begin(
                run['run_id'], run['project_id'], now, self._failing)
            if run['fence'] > 1:
                self.result.reclaimed += 1
                continue
            self.result.firings += 1
            self._note_late(run, now)
        self.result.missed += answer['missed']
        full = one.answered(answer, ends, now)
        self.result.held = max(self.result.held, sum(
            len(each.held) for each in self._schedulers))
        waiting = answer['due_since'] is not None
        return full and waiting, waiting

    def _note_late(self, run: dict[str, Any], now: int) -> None:
        late = now - int(claim_timing.epoch(run['nominal_at']) or 0)
        calm = now > self._disturbed_until
        if run['project_id'] == fill.CROWD:
            whose = 'the project with a hundredth of all'
        else:
            whose = 'all others'
        self.result.late[
            f'{whose}, {"calm" if calm else "after a fault"}'][late] += 1

    def _maintain(self) -> None:
        _, answer = self._api.call('maintenance', 'POST', 'maintenance', {})
        self.result.trimmed += answer['runs_deleted']

    # -- faults --

    def _happen(self, now: int) -> None:
        due = [entry for entry in self._delay_queue if entry[0] <= now]
        self._delay_queue = [entry for entry in self._delay_queue
                             if entry[0] > now]
        for _, what in sorted(due, key=lambda entry: entry[0]):
            what()

    def _begin_fault(self, event: plan.Event) -> None:
        kind, team = plan.Kind, self._schedulers
        self._disturbed_until = max(self._disturbed_until,
                                    event.until + plan.HOUR)
        self._tell.say(event.kind.value)
        match event.kind:
            case kind.RESTART:
                for number, one in enumerate(team):
                    if one.alive:
                        at = event.at + 120 * number
                        self._later(at, functools.partial(
                            self._reports.release, one))
                        self._later(at + 60, one.start)
            case kind.KILL:
                team[0].die()
                self._later(event.until, team[0].start)
            case kind.LOSS:
                team[-1].die()
            case kind.UNAVAILABLE:
                self._api.unavailable = True
                self._later(event.until, functools.partial(
                    setattr, self._api, 'away', False))
            case kind.CINDER:
                self._failing = True
                self._later(event.until, functools.partial(
                    setattr, self, '_failing', False))

    def _later(self, at: int, what: Callable[[], object]) -> None:
        self._delay_queue.append((at, what))

    # -- observation --

    def _day_ends(self, now: int) -> None:
        self.result.wrong += self._followed.follow(now)
        self.result.followed = self._followed.followed
        with self._api.database.read() as session:
            rows = {table.name: session.scalar(
                sa.select(sa.func.count()).select_from(table)) or 0
                for table in models.Base.metadata.sorted_tables}
            overdue = session.scalar(
                sa.select(sa.func.count()).select_from(_RUN).where(
                    _RUN.lease_expires_at <= now - self._limits.lease)) or 0
        if overdue and not self._api.unavailable:
            self.result.wrong.append(
                f'{overdue} runs have expired leases')
        firings, own, other = self._day_began
        cpu = (time.process_time(), self._server.usage().cpu)
        self.result.days.append(results.Day(
            (now - plan.BEGIN) / plan.DAY, self.result.firings - firings,
            rows, self._server.table_sizes(fill.DATABASE),
            (cpu[0] - own, cpu[1] - other)))
        self._day_began = (self.result.firings, *cpu)
        self.result.lost = sum(one.lost for one in self._schedulers)

    def _idle(self, now: int) -> None:
        """Measure claims that find nothing."""
        one = schedulers.Scheduler('idle', schedulers.Limits())
        self._api.now, self._api.unavailable = plan.BEGIN - plan.DAY, False
        for _ in range(200):
            self._api.call('claim that finds nothing', 'POST',
                           f'clients/{fill.CLIENT}/claims', one.question())
        self._api.now = now

    def _say(self, now: int) -> None:
        self._tell.say(
            f'day {(now - plan.BEGIN) / plan.DAY:.2f}: '
            f'{self.result.firings:,} firings, {len(self.result.wrong)} wrong')

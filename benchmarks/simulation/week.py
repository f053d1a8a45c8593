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
import json
import time
from typing import Any

import sqlalchemy as sa

from benchmarks.simulation import api as simulated_api
from benchmarks.simulation import fill
from benchmarks.simulation import following
from benchmarks.simulation import mix
from benchmarks.simulation import report
from benchmarks.simulation import reports
from benchmarks.simulation import schedulers
from benchmarks.simulation import server as database_server
from freezer_api.db import models
from freezer_scheduler import lateness

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

    :param chosen: see benchmarks.simulation.main
    """

    def __init__(self, chosen: argparse.Namespace, api: simulated_api.Api,
                 server: database_server.Server) -> None:
        self._chosen = chosen
        self._api = api
        self._server = server
        self.result = report.Result()
        limits = schedulers.Limits(
            claim_interval=chosen.claim_interval, places=chosen.places,
            per_project=max(10, chosen.places // 5))
        self._limits = limits
        self._schedulers = [
            schedulers.Scheduler(f's{number + 1}', limits)
            for number in range(chosen.schedulers)]
        self._cinder = mix.Cinder(chosen.seed)
        self._reports = reports.Reports(api, self._cinder, self.result)
        self._agenda: list[tuple[int, Callable[[], object]]] = []
        self._ill = False
        self._uneasy_until = 0
        self._day_began = (0, 0.0, 0.0)
        self._followed = following.Following(api.database, chosen.jobs)
        self._looker = api.database.engine.connect().execution_options(
            isolation_level='AUTOCOMMIT')

    # -- the clock --

    def run(self) -> None:
        """Let the time go by."""
        chosen = self._chosen
        end = mix.BEGIN + int(
            (chosen.stop_after or chosen.days) * mix.DAY)
        for event in mix.events(int(chosen.days * mix.DAY)):
            self._later(event.at, functools.partial(self._strike, event))
        began = time.monotonic()
        self._day_began = (0, time.process_time(), self._server.use().cpu)
        now = mix.BEGIN
        while now < end:
            self._api.now = now
            self._happen(now)
            self._step(now)
            if now % _MAINTENANCE == 0 and not self._api.away:
                self._maintain()
            if now % mix.DAY == 0 and now > mix.BEGIN:
                self._day_ends(now)
            if now % mix.HOUR == 0:
                self._tell(now)
            if (chosen.minutes and now % _MAINTENANCE == 0
                    and time.monotonic() > began + 60 * chosen.minutes):
                self.result.notes.append(
                    f'ended after {chosen.minutes:g} minutes')
                break
            now = self._next(now)
        self.result.seconds = now - mix.BEGIN
        self._api.now = now
        self._day_ends(now)
        self._idle(now)
        self._looker.close()

    def _step(self, now: int) -> None:
        """Have each scheduler report, and ask where that is of use.

        All of them ask at each step. That most find nothing is left out, and
        measured in the end.
        """
        for one in self._schedulers:
            if one.alive:
                self._reports.send(one, now)
        waiting = not self._api.away and self._first() <= now
        # Each goes first in its turn.
        turn = now // self._limits.claim_interval % len(self._schedulers)
        for one in (*self._schedulers[turn:], *self._schedulers[:turn]):
            while one.alive and (
                    one.must_renew(now) or (waiting and one.room)):
                more, waiting = self._claim(one, now)
                if not more:
                    break

    def _first(self) -> int:
        """Return when the first thing to be claimed is due."""
        [(first,)] = self._looker.exec_driver_sql(_FIRST)
        return _NEVER if first is None else int(first)

    def _next(self, now: int) -> int:
        """Return the next step at which there is something to do."""
        times = [self._first(), *(at for at, _ in self._agenda)]
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
        """Ask once; return whether to ask again, and whether others may."""
        question = one.question()
        kind = ('claim' if question['limit'] else 'renewal alone')
        try:
            status, answer = self._api.call(
                kind, 'POST', f'clients/{fill.CLIENT}/claims', question)
        except simulated_api.Away:
            return False, False
        if status != 200:
            raise RuntimeError(f'a claim: {status} {answer}')
        ends = {}
        for run in answer['runs']:
            ends[run['run_id']] = self._cinder.begin(
                run['run_id'], run['project_id'], now, self._ill)
            if run['fence'] > 1:
                self.result.taken_over += 1
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
        late = now - int(lateness.epoch(run['nominal_at']) or 0)
        calm = now > self._uneasy_until
        if run['project_id'] == fill.CROWD:
            whose = 'the project with a hundredth of all'
        else:
            whose = 'all others'
        self.result.late[
            f'{whose}, {"calm" if calm else "after a fault"}'][late] += 1

    def _maintain(self) -> None:
        _, answer = self._api.call('maintenance', 'POST', 'maintenance', {})
        self.result.trimmed += answer['runs_deleted']

    # -- what goes wrong --

    def _happen(self, now: int) -> None:
        due = [entry for entry in self._agenda if entry[0] <= now]
        self._agenda = [entry for entry in self._agenda if entry[0] > now]
        for _, what in sorted(due, key=lambda entry: entry[0]):
            what()

    def _strike(self, event: mix.Event) -> None:
        kind, team = mix.Kind, self._schedulers
        self._uneasy_until = max(self._uneasy_until, event.until + mix.HOUR)
        print(event.kind.value, flush=True)
        match event.kind:
            case kind.RESTART:
                for number, one in enumerate(team):
                    if one.alive:
                        at = event.at + 120 * number
                        self._later(at, functools.partial(
                            self._reports.hand_back, one))
                        self._later(at + 60, one.start)
            case kind.KILL:
                team[0].die()
                self._later(event.until, team[0].start)
            case kind.LOSS:
                team[-1].die()
            case kind.AWAY:
                self._api.away = True
                self._later(event.until, functools.partial(
                    setattr, self._api, 'away', False))
            case kind.CINDER:
                self._ill = True
                self._later(event.until, functools.partial(
                    setattr, self, '_ill', False))

    def _later(self, at: int, what: Callable[[], object]) -> None:
        self._agenda.append((at, what))

    # -- what is looked at --

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
        if overdue and not self._api.away:
            self.result.wrong.append(
                f'{overdue} runs lie there and nobody holds them')
        firings, own, other = self._day_began
        cpu = (time.process_time(), self._server.use().cpu)
        self.result.days.append(report.Day(
            (now - mix.BEGIN) / mix.DAY, self.result.firings - firings,
            rows, self._server.sizes(), (cpu[0] - own, cpu[1] - other)))
        self._day_began = (self.result.firings, *cpu)
        self.result.lost = sum(one.lost for one in self._schedulers)

    def _idle(self, now: int) -> None:
        """Measure a claim that finds nothing, as most do elsewhere."""
        one = schedulers.Scheduler('idle', schedulers.Limits())
        self._api.now, self._api.away = mix.BEGIN - mix.DAY, False
        for _ in range(200):
            self._api.call('claim that finds nothing', 'POST',
                           f'clients/{fill.CLIENT}/claims', one.question())
        self._api.now = now

    def _tell(self, now: int) -> None:
        print(json.dumps({
            'day': round((now - mix.BEGIN) / mix.DAY, 2),
            'firings': self.result.firings,
            'held': sum(len(one.held) for one in self._schedulers),
            'cpu': round(time.process_time()),
            'server': round(self._server.use().cpu),
            'wrong': len(self.result.wrong)}), flush=True)

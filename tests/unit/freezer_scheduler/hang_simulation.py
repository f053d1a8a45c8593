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

"""A scheduler whose Cinder hangs for some projects, by a clock of its own.

Claims, the table of runs, the executor and the engine are the real ones. What
a worker does begins at one moment and ends at another; in between there are
the moves of others.
"""

from __future__ import annotations

import collections
from collections.abc import Mapping
import dataclasses
import heapq
import itertools
import zlib

import prometheus_client

from freezer_api.domain import capabilities
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import engine as cinder_engine
from freezer_scheduler.engines.cinder import operation
from freezer_scheduler.engines.cinder import views
from freezer_scheduler.engines import registry
from freezer_scheduler.freezer import messages
from freezer_scheduler.runs import bulkhead
from freezer_scheduler.runs import executor
from freezer_scheduler.runs import run_table
from freezer_scheduler.sources import claimer
from freezer_scheduler.telemetry import monitor
from tests.unit.freezer_scheduler import fakes

QUICK = 0.1

#: How long an answer takes that is late.
LATE = 5.0


@dataclasses.dataclass
class Backup:
    """A backup in the fake of Cinder."""

    volume_id: str
    metadata: Mapping[str, str]
    asked: float


class Cinder:
    """Cinder as one project sees it.

    :param hangs: requests without an answer: ``all``, ``post`` or ``get``;
        ``slow`` where all have one late
    """

    def __init__(self, scheduler, project_id, hangs):
        self._scheduler = scheduler
        self._project_id = project_id
        self._hangs = hangs

    def _asked(self, kind):
        if self._hangs == 'slow':
            self._scheduler.late = True
        if self._hangs in ('all', kind):
            self._scheduler.hung = True
            raise cinder_client.Unknown('Cinder gave no answer')

    def login(self):
        pass

    def backups(self, volume_id, status=None):
        self._asked('get')
        return iter([
            self._shown(number, made) for number, made
            in self._scheduler.backups.items()
            if made.volume_id == volume_id])

    def backup(self, backup_id):
        self._asked('get')
        return self._shown(backup_id, self._scheduler.backups[backup_id])

    backup_if_there = backup

    def _shown(self, number, made):
        over = self._scheduler.clock.now >= made.asked + self._scheduler.makes
        return views.Backup(
            id=number, status='available' if over else 'creating',
            volume_id=made.volume_id, fail_reason=None,
            is_incremental=False, size=1, created_at=None, container=None,
            availability_zone=None, metadata=made.metadata)

    def volume_status(self, volume_id):
        self._asked('get')
        return 'available'

    def create_backup(self, volume_id, name, container, availability_zone,
                      incremental, metadata):
        run_id = metadata['freezer_run_id']
        self._scheduler.asked.setdefault(run_id, self._scheduler.clock.now)
        self._scheduler.order.append(self._project_id)
        self._scheduler.posts[run_id] += 1
        self._asked('post')
        if self._scheduler.posts[run_id] <= self._scheduler.refused.get(
                self._project_id, 0):
            raise cinder_client.Refused(500, 'a fault')
        number = f'b{next(self._scheduler.numbers)}'
        self._scheduler.backups[number] = Backup(
            volume_id, metadata, self._scheduler.clock.now)
        return number


class Api:
    """Hands out what is due, a project at a time."""

    def __init__(self, scheduler):
        self._scheduler = scheduler
        self.due = collections.OrderedDict()
        self.going_on: collections.Counter[str] = collections.Counter()

    def claim(self, client_id, limit, lease_seconds, held, per_project):
        taken: list[messages.Run] = []
        more = True
        while more and len(taken) < limit:
            more = False
            for project_id in list(self.due):
                if (len(taken) == limit
                        or self.going_on[project_id] >= per_project):
                    continue
                queue = self.due.pop(project_id)
                taken.append(queue.popleft())
                if queue:
                    self.due[project_id] = queue
                self.going_on[project_id] += 1
                more = True
        return messages.ClaimResponse(tuple(taken), {}, ())

    def report(self, run_id, fence, report):
        if report.state is not messages.RunState.RUNNING:
            self.going_on[self._scheduler.project_of[run_id]] -= 1

    def project_of(self, trust_id):
        return trust_id


class Table(run_table.RunTable):
    """The table, whose claimer does not wait by the clock of the host."""

    wanted: int | None = None

    def wait_for_room(self, wanted, seconds):
        self.wanted = wanted

    def lease_left(self, claimed):
        return 1e9


class Client:
    client_id = 'central'


class Scheduler:
    """A scheduler at work.

    :ivar hangs: by project, which requests have no answer
    :ivar refused: by project, how often each backup is refused at first
    :ivar posts: by run, how often Cinder was asked for its backup
    :ivar asked: by run, when Cinder was asked for its backup
    :ivar order: the project of each request for a backup, in order
    :ivar due: by run, since when it is due
    :ivar most_under_way: backups that Cinder made at one time
    :ivar most_in_flight: places that were taken at one time
    :param makes: for how long Cinder makes a backup, in seconds
    :param api: hands out the runs; one of its own by default
    :param beside: a scheduler with which it shares the clock and Cinder
    """

    def __init__(self, timeout=30, workers=8, total=50, per_project=10,
                 makes=20.0, api=None, beside=None):
        self.clock = beside.clock if beside else fakes.FakeClock()
        self.timeout = timeout
        self.makes = makes
        self.settings = fakes.settings(
            '--scheduler-workers', str(workers),
            '--scheduler-request-timeout', str(timeout),
            '--scheduler-max-in-flight', str(total),
            '--scheduler-max-in-flight-per-project', str(per_project),
            '--scheduler-lease-seconds', '3600')
        self.sizes = bulkhead.Sizes.of_pool(workers, True, timeout)
        self.table = Table(self.clock, lambda: run_table.Limits(
            total, per_project), self.sizes)
        self.hangs = beside.hangs if beside else {}
        self.refused = {}
        self.posts: collections.Counter[str] = collections.Counter()
        self.asked = {}
        self.order = beside.order if beside else []
        self.due = {}
        self.ended, self.ended_at = {}, {}
        self.backups = beside.backups if beside else {}
        self.hung = self.late = False
        self.numbers = beside.numbers if beside else itertools.count()
        self.most_under_way = 0
        self.most_threads = self.most_in_flight = 0
        self.api = api or Api(self)
        observer = monitor.Monitor(
            self.clock, prometheus_client.CollectorRegistry())
        self._claimer = claimer.Claimer(
            self.api, Client(), self.table,  # type: ignore[arg-type]
            lambda: self.settings, self.clock, observer)
        self._executor = executor.Executor(
            self._report, registry.Registry(
                {'cindernative': cinder_engine.CinderEngine(
                    operation.Dependencies(
                        self._client, self.clock, lambda: operation.Limits(
                            86400, 3600, 10, timeout, timeout + 5), 'here'))},
                lambda: capabilities.CINDER_NATIVE), self.clock,
            self.table)
        self.project_of = {}
        self._events = []
        self._busy = {}
        self._at(0, self._claim)

    def fire(self, project_id, after=0.0, count=1, retries=(0, 60)):
        """Have runs of a project be due; return their ids.

        :param retries: how often a failure is tried again, seconds apart
        """
        ids = [f'{project_id}-{next(self.numbers)}' for _ in range(count)]
        self._at(after, lambda: self._fire(project_id, ids, retries))
        return ids

    def play(self, seconds):
        """Let time pass."""
        play([self], seconds)

    def act(self):
        """Do what can be done now; return when there is more, or None."""
        self._take()
        self._claim_where_there_is_room()
        at = [self._events[0][0]] if self._events else []
        left = self.table._until_due()
        if left is not None:
            at.append(self.clock.now + max(left, 0.001))
        return min(at, default=None)

    def catch_up(self):
        """Have happen what is due by now."""
        while self._events and self._events[0][0] <= self.clock.now:
            heapq.heappop(self._events)[2]()

    def delays(self):
        """Return the seconds from due to asked for, by run that does not
        hang; infinity where Cinder was not asked yet.
        """
        return {run_id: self.asked.get(run_id, float('inf')) - due
                for run_id, due in self.due.items()
                if self.project_of[run_id] not in self.hangs}

    def _at(self, after, task):
        heapq.heappush(self._events, (
            self.clock.now + after, next(self.numbers), task))

    def _fire(self, project_id, ids, retries):
        for run_id in ids:
            self.due[run_id] = self.clock.now
            self.project_of[run_id] = project_id
            document = fakes.run_document(
                run_id, project_id=project_id,
                credentials={'trust_id': project_id, 'trustor_user_id': 'u'},
                actions=[fakes.action(cindernative_vol_id=_volume(run_id))])
            document['job']['job_actions'][0].update(
                max_retries=retries[0], max_retries_interval=retries[1])
            self.api.due.setdefault(project_id, collections.deque()).append(
                messages.Run.from_document(document))

    def _client(self, trust_id):
        project_id = self.api.project_of(trust_id)
        return Cinder(self, project_id, self.hangs.get(project_id))

    def _claim(self):
        if self._claimer.tick():
            self._at(QUICK, self._claim)
        else:
            self._claimer.rest(self._rest)
            if self.table.wanted is not None:
                self._rest(self.settings.claim_interval)

    def _rest(self, seconds):
        self._generation = object()
        generation = self._generation

        def claim():
            if self._generation is generation:
                self.table.wanted = None
                self._claim()

        self._at(seconds, claim)

    def _claim_where_there_is_room(self):
        wanted = self.table.wanted
        if wanted is not None and self.table.room() >= wanted:
            self.table.wanted = None
            self._generation = None
            self._claim()

    def _report(self, run_id, fence, report):
        event = self.api.report(run_id, fence, report)
        if report.state is not messages.RunState.RUNNING:
            self.ended[run_id] = report.state
            self.ended_at[run_id] = self.clock.now
        self.most_under_way = max(self.most_under_way, sum(
            self.clock.now < made.asked + self.makes
            for made in self.backups.values()))
        return event

    def _take(self):
        while len(self._busy) < self.sizes.threads:
            held = self.table.take(wait=False)
            if held is None:
                return
            self._busy[held.run.run_id] = held
            self.most_in_flight = max(self.most_in_flight,
                                      self.table.in_flight())
            self.most_threads = max(self.most_threads, len(self._busy))
            self.hung = self.late = False
            after = self._executor.advance(held)
            self._at(self.timeout if self.hung else LATE if self.late
                     else QUICK,
                     lambda held=held, after=after: self._done(held, after))

    def _done(self, held, after):
        del self._busy[held.run.run_id]
        self.table.done(held, after)


def play(schedulers, seconds):
    """Let time pass for schedulers that share a clock."""
    clock = schedulers[0].clock
    until = clock.now + seconds
    while clock.now < until:
        at = [one for scheduler in schedulers
              if (one := scheduler.act()) is not None]
        clock.sleep(max(0.0, min(*at, until, until) - clock.now))
        for scheduler in schedulers:
            scheduler.catch_up()


def _volume(run_id):
    return f'5a3f6a3e-3b0f-4c11-9a4e-{zlib.crc32(run_id.encode()):012x}'

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

"""Whatever one project does, the runs of another are begun."""

from __future__ import annotations

import collections
import itertools

import hypothesis
from hypothesis import strategies as st
import prometheus_client
import testtools

from freezer_scheduler.freezer import messages
from freezer_scheduler.runs import run_table
from freezer_scheduler.sources import claimer as run_claimer
from freezer_scheduler.telemetry import monitor
from tests.unit.freezer_scheduler import fakes

TICK = 5
GREEDY = 'greedy'
MODEST = 'modest'

# Of how many volumes each run of the greedy project would like to be.
MANY = 200

# What becomes of a run after a move: seconds until the next one (None for
# the end), and whether nothing is under way meanwhile.
BEHAVIOURS = {
    'ends': (None, False),
    'made by Cinder for ever': (10, False),
    'looked at rarely': (3600, False),
    'busy volume': (10, True),
    'tried again in a week': (7 * 86400, True),
    'tried again at once': (0, True),
    'report not taken': (30, False),
}


class Api:
    """Hands out runs as the API does; the greedy project has no end of them.

    :ivar going_on: number of runs by project
    """

    def __init__(self):
        self.going_on: collections.Counter[str] = collections.Counter()
        self.due = []
        self.expired = []
        self.numbers = itertools.count()

    def claim(self, client_id, limit, lease_seconds, claimed, per_project):
        taken = self.expired[:limit]
        del self.expired[:limit]
        # The greedy one's are always the oldest.
        for project_id in [GREEDY] * limit + self.due:
            if len(taken) == limit:
                break
            if self.going_on[project_id] >= per_project:
                continue
            if project_id in self.due:
                self.due.remove(project_id)
            self.going_on[project_id] += 1
            taken.append(self.run(project_id))
        return messages.ClaimResponse(
            tuple(taken), {run_id: None for run_id, _fence in claimed}, ())

    def run(self, project_id, fence=1):
        return messages.Run.from_document(fakes.run_document(
            f'r{next(self.numbers)}', project_id=project_id, fence=fence))


class Client:
    client_id = 'central'


class TestFairness(testtools.TestCase):

    def ticks_until_begun(self, total, per_project, moves, behaviours,
                          expired=0, most=200, volumes=1):
        """Return after how many ticks the modest project's run is begun.

        :param moves: most moves that the workers manage between two ticks
        :param behaviours: of the greedy project's runs, in turns
        :param volumes: most volumes of each of them
        """
        settings = fakes.settings(
            '--scheduler-max-in-flight', str(total),
            '--scheduler-max-in-flight-per-project', str(per_project))
        clock = fakes.FakeClock()
        table = run_table.RunTable(
            clock, lambda: run_table.Limits(total, per_project))
        api = Api()
        claimer = run_claimer.Claimer(
            api, Client(),  # type: ignore[arg-type]
            table, lambda: settings, clock,
            monitor.Monitor(clock, prometheus_client.CollectorRegistry()))
        api.expired = [api.run(GREEDY, 2) for _number in range(expired)]
        api.going_on[GREEDY] += expired
        does = itertools.cycle(behaviours)
        for tick in range(most):
            if tick == 20:
                api.due.append(MODEST)
            while claimer.tick():
                pass
            for _move in range(moves):
                claimed = table.take(wait=False)
                if claimed is None:
                    break
                if claimed.run.project_id == MODEST:
                    return tick - 20
                after, claimed.progress.idle = BEHAVIOURS[next(does)]
                while claimed.under_way < volumes and (
                        not claimed.under_way or table.reserve_slot(claimed)):
                    claimed.progress.under_way += 1
                if claimed.progress.idle or after is None:
                    claimed.progress.under_way = 0
                if after is None:
                    api.going_on[GREEDY] -= 1
                table.done(claimed, after)
            clock.sleep(TICK)
        return None

    @hypothesis.settings(deadline=None, max_examples=60)
    @hypothesis.given(
        total=st.integers(2, 12), data=st.data(), moves=st.integers(1, 30),
        behaviours=st.lists(st.sampled_from(sorted(BEHAVIOURS)), min_size=1,
                            max_size=5),
        expired=st.integers(0, 60), volumes=st.sampled_from([1, 3, MANY]))
    def test_another_projects_run_is_begun(self, total, data, moves,
                                           behaviours, expired, volumes):
        per_project = data.draw(st.integers(1, total - 1))
        self.assertIsNotNone(self.ticks_until_begun(
            total, per_project, moves, behaviours, expired,
            volumes=volumes))

    def test_it_is_begun_soon(self):
        for behaviour in BEHAVIOURS:
            for volumes in (1, MANY):
                ticks = self.ticks_until_begun(50, 10, 100, [behaviour],
                                               volumes=volumes)
                self.assertEqual(0, ticks, behaviour)

    def test_volumes_of_one_run_leave_room_for_runs_of_its_project(self):
        """A run of many volumes, and another one of the same project."""
        clock = fakes.FakeClock()
        table = run_table.RunTable(clock, lambda: run_table.Limits(50, 10))
        for run_id in ('many', 'one'):
            table.add(messages.Run.from_document(
                fakes.run_document(run_id)), 1e9)
            if run_id == 'one':
                break
            claimed = table.take(wait=False)
            assert claimed is not None
            claimed.progress.under_way = 1
            while table.reserve_slot(claimed):
                claimed.progress.under_way += 1
            self.assertEqual(10, claimed.progress.under_way)
            table.done(claimed, 10)
        self.assertIsNone(table.take(wait=False))
        clock.sleep(10)
        claimed = table.take(wait=False)
        assert claimed is not None
        # One of its volumes has ended. It has waited for the next one since
        # before the other run was there, so it is first, and then second.
        claimed.progress.under_way -= 1
        table.done(claimed, 10)
        claimed = table.take(wait=False)
        assert claimed is not None
        self.assertTrue(table.reserve_slot(claimed))
        self.assertFalse(table.reserve_slot(claimed))
        table.done(claimed, 10)
        other = table.take(wait=False)
        assert other is not None
        self.assertEqual('one', other.run.run_id)

    def test_waiting_projects_take_no_slots_from_others(self):
        """A hundred projects that only wait, and one more."""
        clock = fakes.FakeClock()
        table = run_table.RunTable(clock, lambda: run_table.Limits(5, 4))
        for number in range(100):
            api_run = messages.Run.from_document(fakes.run_document(
                f'w{number}', project_id=f'p{number}'))
            table.add(api_run, 1e9)
            claimed = table.take(wait=False)
            self.assertIsNotNone(claimed)
            assert claimed is not None
            claimed.progress.idle = True
            table.done(claimed, 7 * 86400)
        self.assertEqual(5, table.room())

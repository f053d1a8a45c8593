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

"""How many backups of other projects begin before a late small project's.

The API, its database and its claims are real, and so are the claimer, the
table of runs, the executor and the engine of each scheduler. Time passes in a
simulation, and Cinder is a fake.
"""

from __future__ import annotations

from collections.abc import Sequence
import uuid

from freezer_scheduler.freezer import messages
from tests.functional import base
from tests.unit.freezer_scheduler import hang_simulation

# Projects with more due jobs than they can have backups meanwhile.
LARGE = tuple(f'large-{number}' for number in range(4))
SMALL = 'small'
JOBS = 20

TOTAL, PER_PROJECT = 4, 2


class ClaimingApi:
    """The real API, as one scheduler of the simulation asks it."""

    def __init__(self, case: FairnessTests, scheduler_id: str) -> None:
        self._case = case
        self._scheduler_id = scheduler_id

    def claim(self, client_id: str, limit: int, lease_seconds: int,
              held: Sequence[tuple[str, int]],
              per_project: int) -> messages.ClaimResponse:
        self._case.follow_clock()
        return messages.ClaimResponse.from_document(self._case.call(
            base.SERVICE, 'POST', f'clients/{client_id}/claims', {
                'scheduler_id': self._scheduler_id, 'limit': limit,
                'lease_seconds': lease_seconds, 'held': list(held),
                'per_project': per_project}, 200))

    def report(self, run_id: str, fence: int,
               report: messages.Report) -> messages.Event | None:
        self._case.follow_clock()
        answer = self._case.call(
            base.SERVICE, 'PATCH', f'clients/central/runs/{run_id}',
            report.to_document(self._scheduler_id, fence), 200)
        return messages.event(answer['event'])

    def project_of(self, trust_id: str) -> str:
        return self._case.trusts.live[trust_id][1]


class FairnessTests(base.ApiTestCase):
    """Invariant 4: the queue is fair between projects."""

    def setUp(self) -> None:
        super().setUp()
        self.register_central()
        self.first = hang_simulation.Scheduler(
            total=TOTAL, per_project=PER_PROJECT, api=ClaimingApi(self, 's1'))
        self.schedulers = [self.first]

    def follow_clock(self) -> None:
        self.clock.now = int(self.first.clock.epoch)

    def start_jobs(self, project_id: str, count: int = 1,
                   volumes: int = 1) -> None:
        """Have jobs of a project be due now."""
        self.follow_clock()
        persona = base.Persona(f'user of {project_id}', project_id,
                               ('member', 'reader'))
        for _ in range(count):
            ids = [str(uuid.uuid4()) for _ in range(volumes)]
            action: dict[str, object] = {
                key: value for key, value in base.BACKUP.items()
                if key != 'cindernative_vol_id'}
            action |= ({'cindernative_vol_id': ids[0]} if volumes == 1
                       else {'cindernative_volumes': {'ids': ids}})
            self.start(self.create_job(persona, action=action), persona)

    def start_large(self, jobs: int = JOBS, volumes: int = 1) -> None:
        for project_id in LARGE:
            self.start_jobs(project_id, jobs, volumes)

    def play(self, seconds: float) -> None:
        hang_simulation.play(self.schedulers, seconds)

    def backups_before(self, project_id: str, most_seconds: int = 400) -> int:
        """Return how many backups begin until one of the project begins.

        :param most_seconds: fail after so many seconds of the simulation
        """
        order = self.first.order
        before = len(order)
        for _ in range(most_seconds):
            self.play(1)
            if project_id in order[before:]:
                return order[before:].index(project_id)
        self.fail(f'no backup of {project_id} after {len(order) - before} '
                  'of others')

    def test_a_late_small_project_waits_for_one_turn_of_each_other(
            self) -> None:
        self.start_large()
        self.play(100)
        self.start_jobs(SMALL)
        self.assertLessEqual(self.backups_before(SMALL), len(LARGE))

    def test_its_second_run_waits_for_one_turn_of_each_other_too(
            self) -> None:
        self.start_large()
        self.play(100)
        self.start_jobs(SMALL, 3)
        self.assertLessEqual(self.backups_before(SMALL), len(LARGE))
        for _ in range(2):
            self.assertLessEqual(self.backups_before(SMALL), len(LARGE))

    def test_runs_of_many_volumes_leave_it_the_same_turn(self) -> None:
        self.start_large(jobs=2, volumes=100)
        self.play(100)
        self.start_jobs(SMALL)
        # The slots may all go to volumes once until the run is claimed, and
        # once more while its first steps are stored.
        self.assertLessEqual(self.backups_before(SMALL),
                             len(LARGE) + 2 * TOTAL)

    def test_a_project_whose_cinder_hangs_takes_no_turn_from_it(
            self) -> None:
        self.first.hangs[LARGE[0]] = 'all'
        self.start_large()
        self.play(100)
        self.start_jobs(SMALL)
        self.assertLessEqual(self.backups_before(SMALL), len(LARGE))

    def test_a_second_scheduler_keeps_the_turns(self) -> None:
        self.schedulers.append(hang_simulation.Scheduler(
            total=TOTAL, per_project=PER_PROJECT, api=ClaimingApi(self, 's2'),
            beside=self.first))
        self.start_large()
        self.play(100)
        self.start_jobs(SMALL)
        self.assertLessEqual(self.backups_before(SMALL), len(LARGE))


class FairnessOnMySQLTests(base.MySQL, FairnessTests):
    pass


class FairnessOnPostgreSQLTests(base.PostgreSQL, FairnessTests):
    pass

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

"""The fair-share order of a queue that is not read completely."""

from __future__ import annotations

from unittest import mock

import sqlalchemy as sa

from freezer_api.db import claims
from freezer_api.db import due_queue
from freezer_api.db import models
from freezer_api.db import run_rows
from freezer_api.domain import fair_share
from tests.functional import base


class QueuesTests(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.register_central()
        for number, jobs in enumerate((17, 1, 3, 8)):
            persona = base.Persona(f'u{number}', f'p{number}',
                                   ('member', 'reader'))
            for _ in range(jobs):
                self.create_job(persona=persona,
                                schedule={'schedule_interval': '1 hours'})
                self.clock.now += 1
        self.clock.now += 3600
        # Each but the third has a current run, and had its turn for it.
        for _ in range(2):
            self.clock.now += 1
            self.call(base.SERVICE, 'POST', 'clients/central/claims', {
                'scheduler_id': 's1', 'limit': 2, 'lease_seconds': 3600,
                'per_project': 2}, 200)

    def taken(self, limit: int, per_project: int | None) -> list[str]:
        holder = run_rows.Holder('central', None, 's2')
        with self.database.read() as session:
            return [entry.id for entry in claims.line(
                session, holder, limit, per_project, self.clock.now)]

    def wanted(self, limit: int, per_project: int | None) -> list[str]:
        """Return the next jobs, chosen among all that are due."""
        with self.database.read() as session:
            last_turns = dict(session.execute(sa.select(
                models.Queue.project_id, models.Queue.last_turn_at)).all())
            line = [fair_share.Entry(job.id, job.project_id, job.due_at,
                                     False, last_turns[job.project_id])
                    for job in session.scalars(sa.select(models.Job).where(
                        models.Job.due_at <= self.clock.now))
                    if job.due_at is not None
                    and job.project_id is not None]
            going: dict[str | None, int] = {}
            for project_id in session.scalars(
                    sa.select(models.JobRun.project_id)):
                going[project_id] = going.get(project_id, 0) + 1
        return [entry.id for entry in fair_share.chosen(
            line, limit, going if per_project else {}, per_project)]

    def test_reading_a_part_of_it_changes_no_turn(self) -> None:
        """Invariant 4: neither more nor others than if all were read."""
        with mock.patch.multiple(due_queue, _HEAD=1, _AMONG_FULL=1):
            for limit in (1, 2, 4, 5, 9, 14, 40):
                for per_project in (None, 1, 3, 6, 100):
                    with self.subTest(limit=limit, per_project=per_project):
                        wanted = self.wanted(limit, per_project)
                        self.assertEqual(wanted,
                                         self.taken(limit, per_project))


class QueuesOnMySQLTests(base.MySQL, QueuesTests):
    pass


class QueuesOnPostgreSQLTests(base.PostgreSQL, QueuesTests):
    pass

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

"""Runs are removed when they are old, and never one that is needed."""

from __future__ import annotations

import sqlalchemy as sa

from freezer_api.db import models
from tests.functional import base

DAY = 86_400
HOURLY = {'schedule_interval': '1 hours'}


class HistoryTests(base.ApiTestCase):
    settings = {'scheduling': {'keep_runs_days': 10, 'keep_runs_last': 20,
                               'abandoned_after': 0}}

    def setUp(self) -> None:
        super().setUp()
        self.register_central()

    def maintain(self) -> int:
        gone: int = self.call(base.SERVICE, 'POST', 'maintenance', {},
                              200)['runs_deleted']
        return gone

    def past(self, job_id: str, *ages: int) -> None:
        """Write runs that ended so many seconds ago."""
        with self.database.engine.begin() as connection:
            connection.execute(sa.insert(models.JobRun), [{
                'id': f'{job_id[:20]}-{age}', 'job_id': job_id,
                'project_id': 'p1', 'client_id': 'central',
                'nominal_at': self.clock.now - age - 9,
                'trigger': 'schedule', 'state': 'success', 'fence': 1,
                'time_ended': self.clock.now - age} for age in ages])

    def ages(self, job_id: str) -> list[int]:
        with self.database.engine.connect() as connection:
            found = connection.scalars(
                sa.select(models.JobRun.time_ended).where(
                    models.JobRun.job_id == job_id,
                    models.JobRun.time_ended.is_not(None))
                .order_by(models.JobRun.nominal_at.desc()))
            return [self.clock.now - (ended or 0) for ended in found]

    def test_old_runs_go_and_the_latest_of_each_job_stays(self) -> None:
        quiet, busy = self.create_job(), self.create_job()
        self.past(quiet, 30 * DAY, 31 * DAY, 32 * DAY)
        self.past(busy, 10 * DAY + 1, 10 * DAY, 9 * DAY)
        self.assertEqual(3, self.maintain())
        self.assertEqual([30 * DAY], self.ages(quiet))
        self.assertEqual([9 * DAY, 10 * DAY], self.ages(busy))
        self.assertEqual(0, self.maintain())

    def test_those_of_a_deleted_job_all_go(self) -> None:
        job_id = self.create_job()
        self.past(job_id, 30 * DAY, 31 * DAY)
        self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}', status=204)
        self.assertEqual(2, self.maintain())
        self.assertEqual([], self.ages(job_id))

    def test_of_many_the_latest_stay(self) -> None:
        many, few = self.create_job(), self.create_job()
        self.past(many, *range(50, 90))
        self.past(few, *range(50, 70))
        self.assertEqual(20, self.maintain())
        self.assertEqual(list(range(50, 70)), self.ages(many))
        self.assertEqual(list(range(50, 70)), self.ages(few))

    def test_what_goes_on_or_is_tried_again_stays(self) -> None:
        """Invariants 1 and 2: an open run is a firing's only witness."""
        open_job, refused = self.create_job(schedule=HOURLY), (
            self.create_job(schedule=HOURLY))
        self.clock.now += 3600
        runs = {run['job_id']: run for run in self.claim()['runs']}
        self.report(runs[refused], 'fail', cause='trust_refused')
        self.past(open_job, *range(30))
        self.past(refused, *range(30))
        # However the clock went on: neither has ended for good.
        self.clock.now += 40 * DAY
        self.maintain()
        left = {run['run_id'] for job_id in (open_job, refused)
                for run in self.runs(job_id)}
        self.assertLessEqual(
            {run['run_id'] for run in runs.values()}, left)
        self.report(runs[open_job], 'success')

    def test_many_that_are_kept_hold_up_nobody(self) -> None:
        """A pass is limited, and the next one goes on where it ended."""
        kept = [self.create_job() for _ in range(3)]
        with self.database.engine.begin() as connection:
            connection.execute(sa.insert(models.Job), [{
                'id': f'old{number}', 'project_id': 'p1', 'user_id': 'u',
                'client_id': 'central', 'schedule': {}}
                for number in range(1200)])
            connection.execute(sa.insert(models.JobRun), [{
                'id': f'run{number}', 'job_id': f'old{number}',
                'project_id': 'p1', 'client_id': 'central',
                'nominal_at': 5, 'trigger': 'schedule', 'state': 'success',
                'fence': 1, 'time_ended': 9} for number in range(1200)])
        self.terms_follow = False
        self.past(kept[0], 12 * DAY, 13 * DAY)
        self.assertEqual(1, self.maintain())
        self.assertEqual([12 * DAY], self.ages(kept[0]))


class HistoryTestsOnMySQL(base.MySQL, HistoryTests):
    pass


class HistoryTestsOnPostgreSQL(base.PostgreSQL, HistoryTests):
    pass

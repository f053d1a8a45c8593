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

"""Clocks that are wrong, and are right again."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any
import unittest
from unittest import mock

import sqlalchemy as sa

from freezer_api.db import database_clock
from freezer_api.db import models
from freezer_api.services import dependencies
from tests.functional import base
from tests import services as test_services

DAY = 86_400


def iso(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(
        base.T0 + seconds, datetime.UTC).strftime('%Y-%m-%dT%H:%M:%SZ')


class WrongClockTests(base.ApiTestCase):
    """The clock is a day ahead for a while, as all that it tells is."""

    set_back = 0, 0

    def _services(self) -> dependencies.Services:
        return dataclasses.replace(
            super()._services(), clock_set_back=lambda: self.set_back)

    def setUp(self) -> None:
        super().setUp()
        self.register_central()

    def event(self, job_id: str, event: str) -> None:
        self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event',
                  {event: None}, 202)

    def ahead(self, seconds: int = DAY) -> None:
        self.clock.now += seconds
        for run in self.claim()['runs']:
            self.report(run, 'success')

    def right(self, seconds: int = DAY) -> None:
        self.clock.now -= seconds - 60
        self.claim(limit=0)

    def test_a_schedule_does_not_stand_still(self) -> None:
        jobs = {self.create_job(schedule=schedule): at for schedule, at in (
            ({'schedule_interval': '1 hours'}, 3600),
            ({'schedule_cron': '0 * * * *'}, 3600),
            ({'schedule_minute': '30'}, 1800),
            ({'schedule_interval': '1 days'}, DAY))}
        self.ahead()
        self.right()
        for job_id, at in jobs.items():
            # The daily firing had its run, on the day before.
            self.assertEqual(iso(at), self.job(job_id)['next_run_at'])
            self.assertEqual([], [
                run for run in self.runs(job_id) if run['state'] == 'missed'])
        self.clock.now = base.T0 + 3600
        runs = self.claim()['runs']
        for run in runs:
            self.report(run, 'success')
        self.assertEqual(
            {iso(3600), iso(1800)}, {run['nominal_at'] for run in runs})
        self.assertEqual(3, len(runs))

    def test_no_firing_has_two_runs(self) -> None:
        """Invariant 1, whatever the clock does."""
        job_id = self.create_job(schedule={'schedule_interval': '1 hours'})
        for seconds in (DAY, 7200, 5 * DAY):
            self.ahead(seconds)
            self.right(seconds)
            for _ in range(4):
                self.clock.now += 1800
                for run in self.claim()['runs']:
                    self.report(run, 'success')
        nominal = [run['nominal_at'] for run in self.runs(job_id)]
        self.assertEqual(len(nominal), len(set(nominal)))

    def test_a_start_is_due_now(self) -> None:
        """Whether it was asked for before or after."""
        before = self.create_job(schedule={'schedule_interval': '7 days'})
        after = self.create_job(schedule={'schedule_interval': '7 days'})
        self.clock.now += DAY
        self.event(after, 'start')
        for run in self.claim()['runs']:
            self.report(run, 'success')
        self.event(before, 'start')
        self.clock.now -= DAY - 60
        self.event(after, 'start')
        started = [run['job_id'] for _ in range(2)
                   for run in self.claim()['runs']]
        self.assertEqual({before, after}, set(started))

    def test_a_start_that_no_claim_has_seen_is_due_now(self) -> None:
        """No scheduler has claimed while the clock was ahead."""
        for number, ahead in enumerate((100, DAY, 3650 * DAY), start=1):
            job_id = self.create_job(schedule={'schedule_interval': '7 days'})
            self.clock.now += ahead
            later = self.create_job(schedule={'schedule_interval': '1 hours'})
            self.event(job_id, 'start')
            self.clock.now -= ahead
            self.set_back = number, ahead
            [run] = self.claim()['runs']
            self.assertEqual(job_id, run['job_id'])
            self.report(run, 'success')
            self.assertEqual([], self.claim()['runs'])
            # It was made by a clock that was so much ahead.
            self.clock.now += 3600 + 100
            [run] = self.claim()['runs']
            self.assertEqual(later, run['job_id'])
            self.report(run, 'success')
            self.call(base.MEMBER, 'DELETE', f'jobs/{later}', None, 204)

    def test_a_job_that_was_made_meanwhile_does_not_stand_still(self) -> None:
        """Also one whose first run ends after it."""
        for ahead in (100, DAY, 3650 * DAY):
            self.clock.now += ahead
            job_id = self.create_job(schedule={'schedule_interval': '1 hours'})
            busy = self.create_job(schedule={'schedule_interval': '7 days'})
            self.event(busy, 'start')
            [run] = self.claim()['runs']
            self.call(base.MEMBER, 'PATCH', f'jobs/{busy}', {'job_schedule': {
                'schedule_interval': '1 hours'}}, 200)
            self.right(ahead)
            self.report(run, 'success')
            for _hour in range(3):
                self.clock.now += 3600 + 60
                runs = self.claim()['runs']
                self.assertEqual({job_id, busy},
                                 {one['job_id'] for one in runs})
                for one in runs:
                    self.report(one, 'success')
            for one in (job_id, busy):
                self.call(base.MEMBER, 'DELETE', f'jobs/{one}', None, 204)

    def test_a_lease_ends(self) -> None:
        """A run whose scheduler is gone is handed to another one."""
        job_id = self.create_job()
        self.clock.now += DAY
        run = self.one_run(scheduler='gone')
        self.right()
        self.clock.now += 3600
        self.pass_lease()
        self.clock.now += 3600
        [again] = self.claim()['runs']
        self.assertEqual((job_id, run['run_id']),
                         (again['job_id'], again['run_id']))

    def test_a_run_that_ends_after_it_waits_for_no_tomorrow(self) -> None:
        job_id = self.create_job(schedule={'schedule_interval': '1 hours'})
        self.clock.now += DAY
        run = self.one_run()
        self.right()
        self.report(run, 'fail')
        with self.database.read() as session:
            job = session.get(models.Job, job_id)
            assert job is not None and job.due_at is not None
            self.assertLessEqual(job.next_run_at or 0, self.clock.now + 3600)
            self.assertLessEqual(job.due_at, self.clock.now + 2 * 3600)

    def test_small_differences_change_nothing(self) -> None:
        job_id = self.create_job(schedule={'schedule_interval': '1 hours'})
        self.ahead(3600)
        before = self.job(job_id)
        self.clock.now -= 50
        self.assertEqual([], self.claim()['runs'])
        self.assertEqual(before, self.job(job_id))

    def test_many_jobs_are_looked_at_in_batches(self) -> None:
        ids = [self.create_job(schedule={'schedule_interval': '1 hours'})
               for _ in range(5)]
        self.clock.now += DAY
        self.claim(limit=0)
        with self.database.engine.begin() as connection:
            connection.execute(sa.update(models.Job).values(
                next_run_at=self.clock.now + 3600,
                due_at=self.clock.now + 3600))
        with mock.patch(
                'freezer_api.db.clock_repair.BATCH', 2):
            self.right()
        self.assertEqual({iso(3600)}, {
            self.job(job_id)['next_run_at'] for job_id in ids})
        with self.database.read() as session:
            self.assertEqual([None], list(session.scalars(
                sa.select(models.Client.recompute_cursor))))


class WrongClockTestsOnMySQL(base.MySQL, WrongClockTests):
    pass


class WrongClockTestsOnPostgreSQL(base.PostgreSQL, WrongClockTests):
    pass


class Hosts:
    """A host's clocks, as a test sets them."""

    def __init__(self, wall: float) -> None:
        self.wall = wall
        self.steady = 1000.0

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


class DatabaseClockTests(unittest.TestCase):

    def new_url(self) -> str:
        return 'sqlite://'

    def setUp(self) -> None:
        super().setUp()
        self.engine = sa.create_engine(self.new_url())
        self.addCleanup(self.engine.dispose)

    def clock(self, host: Hosts, **more: Any) -> database_clock.DatabaseClock:
        return database_clock.DatabaseClock(
            self.engine, 60, wall=lambda: host.wall,
            steady=lambda: host.steady)

    def now(self) -> float:
        return datetime.datetime.now(datetime.UTC).timestamp()

    def test_a_step_of_the_hosts_clock_is_noticed(self) -> None:
        """SQLite has no clock of its own."""
        host = Hosts(base.T0)
        clock = self.clock(host)
        self.assertEqual(base.T0, clock())
        host.passes(5)
        self.assertEqual(base.T0 + 5, clock())
        host.wall += 3600
        # It is not asked again before its time.
        self.assertEqual(base.T0 + 5, clock())
        host.passes(database_clock.INTERVAL)
        with self.assertLogs('freezer_api.db.database_clock') as logs:
            self.assertEqual(base.T0 + 15 + 3600, clock())
        self.assertIn('set forward by 3600 seconds', logs.output[0])
        host.wall -= 3600
        host.passes(database_clock.INTERVAL)
        with self.assertLogs('freezer_api.db.database_clock') as logs:
            self.assertEqual(base.T0 + 25, clock())
        self.assertIn('set back by 3600 seconds', logs.output[0])
        self.assertEqual((1, 3600), clock.set_back)

    def test_a_database_that_is_away_stops_no_clock(self) -> None:
        host = Hosts(base.T0)
        self.engine = sa.create_engine(
            'mysql+pymysql://nobody@127.0.0.1:1/nothing')
        clock = self.clock(host)
        with self.assertLogs('freezer_api.db.database_clock'):
            self.assertEqual(base.T0, clock())
        host.passes(30)
        with self.assertLogs('freezer_api.db.database_clock'):
            self.assertEqual(base.T0 + 30, clock())


class DatabaseClockTestsOnMySQL(DatabaseClockTests):

    def new_url(self) -> str:
        return test_services.mysql_url(self)

    def test_a_step_of_the_hosts_clock_is_noticed(self) -> None:
        """The database's clock counts, and not the host's."""
        for wrong in (-DAY, -61, 61, DAY, 400 * DAY):
            host = Hosts(self.now() + wrong)
            clock = self.clock(host)
            with self.assertLogs('freezer_api.db.database_clock') as logs:
                told = clock()
            self.assertLess(abs(told - self.now()), 30)
            self.assertIn('The clock of this host is', logs.output[0])
            self.assertLess(abs(clock.ahead - wrong), 30)
            # It goes on by the steady clock, whatever the wall shows.
            host.steady += 5
            host.wall -= 7 * DAY
            self.assertIn(clock() - told, (5, 6))
            host.wall = self.now()
            host.steady += database_clock.INTERVAL
            with self.assertLogs('freezer_api.db.database_clock') as logs:
                clock()
            self.assertEqual(0, clock.ahead)

    def test_the_zone_of_the_session_does_not_matter(self) -> None:
        @sa.event.listens_for(self.engine, 'connect')
        def connect(connection: Any, record: Any) -> None:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SET time_zone = '+09:30'"
                    if self.engine.dialect.name == 'mysql'
                    else "SET TIME ZONE 'Asia/Tokyo'")
        self.assertLess(abs(self.clock(Hosts(self.now()))() - self.now()), 30)


class DatabaseClockTestsOnPostgreSQL(DatabaseClockTestsOnMySQL):

    def new_url(self) -> str:
        return test_services.postgresql_url(self)

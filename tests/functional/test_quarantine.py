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

"""What the database refuses of one job keeps nobody else's from going on."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any
from unittest import mock

from oslo_db import exception as db_exception
import sqlalchemy as sa

from freezer_api.db import engine
from freezer_api.db import models
from freezer_api.domain import adoption
from freezer_api.domain import firing_plan
from freezer_api.domain import job_state
from freezer_api.domain import sessions
from freezer_api.services import quarantine
from tests.functional import base

# No column of any engine holds it.
NEVER = 2 ** 70


def refused(module: Any, name: str, bad: list[str]) -> Any:
    """Have a rule give some jobs a time that cannot be stored."""
    rule: Callable[..., job_state.Runtime] = getattr(module, name)

    def poisoned(plan: firing_plan.Plan, *args: Any) -> job_state.Runtime:
        made = rule(plan, *args)
        if plan.job_id in bad:
            return dataclasses.replace(made, time_started=NEVER)
        return made

    return mock.patch.object(module, name, poisoned)


class RefusalTests(base.ApiTestCase):

    settings = {'scheduling': {'abandoned_after': 600}}

    def setUp(self) -> None:
        super().setUp()
        self.register_central()

    def good(self) -> str:
        job_id = self.create_job(base.STRANGER)
        self.start(job_id, base.STRANGER)
        return job_id

    def started(self, **more: Any) -> str:
        job_id = self.create_job(**more)
        self.start(job_id)
        return job_id

    def handed_out(self, **more: Any) -> set[str]:
        return {run['job_id'] for run in self.claim(**more)['runs']}

    def assert_stopped(self, job_id: str) -> None:
        job = self.job(job_id)
        self.assertEqual(
            ('stop', 'fail', quarantine.REASON), (
                job['job_schedule']['status'], job['job_schedule']['result'],
                job['status_reason']))
        self.assertNotIn('next_run_at', job)

    def test_the_others_are_handed_out_at_once(self) -> None:
        good = [self.good() for _ in range(3)]
        bad = [self.started() for _ in range(2)]
        good += [self.good() for _ in range(3)]
        with (refused(job_state, 'claim', bad),
              self.assertLogs('freezer_api.services.quarantine',
                              'ERROR') as logs):
            answer = self.claim(held=[{'run_id': 'none', 'fence': 1}])
            self.assertEqual([], self.claim()['runs'])
        self.assertEqual(set(good),
                         {run['job_id'] for run in answer['runs']})
        self.assertEqual(['none'], answer['lost'])
        self.assertIsNone(answer['due_since'])
        for job_id in bad:
            self.assert_stopped(job_id)
            self.assertIn(job_id, str(logs.output))
        self.assertNotIn(str(NEVER), str(logs.output))
        # Its user may have put it right.
        self.clock.now += 1
        # The first start resumes the schedule, the second one runs it now.
        self.start(bad[0])
        self.start(bad[0])
        self.assertEqual({bad[0]}, self.handed_out())

    def test_no_log_holds_a_value(self) -> None:
        bad = self.started()
        with (refused(job_state, 'claim', [bad]),
              self.assertLogs(level='DEBUG') as logs):
            self.claim()
        self.assertNotIn(str(NEVER), str(logs.output))

    def test_a_firing_is_told_of(self) -> None:
        bad = self.create_job(schedule={'schedule_interval': '1 hours'})
        good = self.good()
        self.clock.now += 3700
        with refused(job_state, 'claim', [bad]):
            self.assertEqual({good}, self.handed_out())
        [run] = self.runs(bad)
        self.assertEqual(('skipped', quarantine.REASON),
                         (run['state'], run['reason']))

    def test_what_cannot_be_told_is_out_of_the_line(self) -> None:
        bad, good = self.started(), self.good()
        with (refused(job_state, 'claim', [bad]),
              mock.patch.object(quarantine, 'REASON', '\ud800')):
            self.assertEqual({good}, self.handed_out())
            self.assertEqual([], self.claim()['runs'])
        self.start(bad)
        self.assertEqual({bad}, self.handed_out())

    def test_a_session_stops_its_own_jobs(self) -> None:
        session_id = self.call(base.MEMBER, 'POST', 'sessions', {
            'schedule': {'schedule_interval': '1 days'}}, 201)['session_id']
        bad, good = self.started(), self.good()
        self.call(base.MEMBER, 'PUT', f'sessions/{session_id}/jobs/{bad}',
                  status=204)
        rule = sessions.take_part
        with mock.patch.object(
                sessions, 'take_part', lambda *args: dataclasses.replace(
                    rule(*args), time_start=NEVER)):
            self.assertEqual({good}, self.handed_out())
        self.assert_stopped(bad)

    def worn(self, run: dict[str, Any]) -> None:
        """Bring the fence of a run to where its column ends."""
        bits = 63 if self.database.engine.dialect.name == 'sqlite' else 31
        with self.database.engine.begin() as connection:
            connection.execute(sa.update(models.JobRun).where(
                models.JobRun.id == run['run_id']).values(
                    fence=2 ** bits - 1))

    def test_runs_without_a_holder(self) -> None:
        bad, good = self.started(), self.good()
        runs = {run['job_id']: run for run in self.claim()['runs']}
        self.report(runs[bad], backups=[{
            'backup_id': 'a' * 32, 'status': 'creating',
            'backup_metadata': {}}], actions=[{
                'action_id': 'b' * 32, 'position': 0, 'state': 'submitted',
                'backup_id': 'a' * 32}])
        self.worn(runs[bad])
        self.pass_lease()
        self.assertEqual({good}, self.handed_out(scheduler='s2'))
        self.assert_stopped(bad)
        [run] = self.runs(bad)
        self.assertEqual(('fail', quarantine.REASON),
                         (run['state'], run['reason']))
        [backup] = self.call(base.MEMBER, 'GET', 'backups')['backups']
        self.assertEqual('error', backup['status'])

    def test_runs_without_a_holder_of_which_nothing_can_be_told(
            self) -> None:
        bad, good = self.started(), self.good()
        runs = {run['job_id']: run for run in self.claim()['runs']}
        self.worn(runs[bad])
        self.pass_lease()
        with mock.patch.object(quarantine, 'REASON', '\ud800'):
            self.assertEqual({good}, self.handed_out(scheduler='s2'))
            self.assertEqual([], self.claim()['runs'])
        self.assertEqual('fail', self.runs(bad)[0]['state'])
        self.start(bad)
        self.assertEqual({bad}, self.handed_out())

    def test_reports(self) -> None:
        bad, good = self.started(), self.good()
        runs = {run['job_id']: run for run in self.claim()['runs']}
        with refused(job_state, 'finish', [bad]):
            answer = self.call(
                base.SERVICE, 'POST', 'clients/central/reports', {
                    'scheduler_id': 's1', 'reports': [
                        {'run_id': runs[job_id]['run_id'], 'fence': 1,
                         'state': 'success'} for job_id in (bad, good)]},
                200)
        self.assertEqual([runs[bad]['run_id']], answer['lost'])
        self.assertEqual([runs[good]['run_id']],
                         [one['run_id'] for one in answer['reports']])
        self.assertEqual('success',
                         self.runs(good, base.STRANGER)[0]['state'])
        self.assert_stopped(bad)

    def test_one_report(self) -> None:
        """Its sender hears that the run is no longer its own."""
        bad = self.started()
        run = self.one_run()
        with refused(job_state, 'finish', [bad]):
            self.report(run, 'success', fence=2, status=409)
            self.assertEqual('running', self.runs(bad)[0]['state'])
            self.report(run, 'success', status=409)
        self.assert_stopped(bad)

    def test_runs_that_nobody_goes_on_with(self) -> None:
        bad, good = self.started(), self.good()
        self.claim()
        self.clock.now += 3600
        with refused(job_state, 'finish', [bad]):
            self.assertEqual(2, self.call(
                base.SERVICE, 'POST', 'maintenance', status=200)[
                    'runs_abandoned'])
        self.assertEqual('fail', self.runs(good, base.STRANGER)[0]['state'])
        self.assert_stopped(bad)

    def test_a_deadlock_is_no_refusal(self) -> None:
        database = mock.create_autospec(engine.Database)
        database.write.side_effect = db_exception.DBDeadlock(
            sa.exc.OperationalError('', {}, Exception()))
        with self.assertRaises(db_exception.DBDeadlock):
            quarantine.write(database, lambda session: None)


class TakeOverTests(base.ApiTestCase):

    def test_each_other_job_is_adopted(self) -> None:
        self.register_central(claims=False)
        found = sorted(self.create_job(schedule={
            'schedule_interval': '1 days', 'status': 'scheduled'})
            for _ in range(9))
        bad = [found[0], found[4], found[5], found[8]]
        self.register_central()
        with refused(adoption, 'adopt', bad):
            for _ in range(5):
                self.claim()
        for job_id in found:
            job = self.job(job_id)
            self.assertEqual(job_id not in bad, 'next_run_at' in job)
            self.assertEqual(
                quarantine.REASON if job_id in bad else None,
                job.get('status_reason'))


class RefusalTestsOnMySQL(base.MySQL, RefusalTests):
    pass


class RefusalTestsOnPostgreSQL(base.PostgreSQL, RefusalTests):
    pass


class TakeOverTestsOnMySQL(base.MySQL, TakeOverTests):
    pass


class TakeOverTestsOnPostgreSQL(base.PostgreSQL, TakeOverTests):
    pass

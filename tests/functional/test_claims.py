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

"""Claims, leases, fences and reports: the invariants on each database."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import concurrent.futures
import contextlib
import itertools
from typing import Any
from unittest import mock

import sqlalchemy as sa

from freezer_api.db import due_queue
from freezer_api.db import models
from tests.functional import base


def step(**more: Any) -> dict[str, Any]:
    return {'action_id': 'a', 'position': 0, 'state': 'submitting',
            'tries': 1, 'reason': None, 'volume_id': 'vol-1',
            'backup_id': None, 'cinder_backup_id': None, 'started_at': None,
            'ended_at': None, **more}


class ClaimTests(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.register_central()

    def test_nothing_is_due_before_its_time(self) -> None:
        self.create_job()
        self.clock.now += 86_399
        self.assertEqual([], self.claim()['runs'])
        self.clock.now += 1
        run = self.one_run()
        self.assertEqual('schedule', run['trigger'])
        self.assertEqual('2027-01-16T08:00:00Z', run['nominal_at'])

    def test_no_firing_is_lost_in_silence(self) -> None:
        """Invariant 2: each firing of ten days ends as a run, in phase."""
        job_id = self.create_job()
        for day in range(10):
            # Claimed early, late within the window, and too late.
            self.clock.now = base.T0 + (day + 1) * 86_400 + (
                0, 3600, 7200)[day % 3]
            for run in self.claim()['runs']:
                self.report(run, 'success')
        runs = self.runs(job_id)[::-1]
        self.assertEqual(
            [f'2027-01-{16 + day}T08:00:00Z' for day in range(10)],
            [run['nominal_at'] for run in runs])
        self.assertEqual(
            [('success', 'success', 'missed')[day % 3] for day in range(10)],
            [run['state'] for run in runs])

    def test_a_run_is_handed_to_one_scheduler(self) -> None:
        self.start(self.create_job())
        self.one_run(scheduler='s1')
        self.assertEqual([], self.claim(scheduler='s2')['runs'])

    def test_concurrent_claims_never_share_a_run(self) -> None:
        """Invariant 1: at most one run per job and nominal time."""
        jobs = {self.create_job(
            persona=base.Persona(f'u{n}', f'p{n % 4}', ('member', 'reader')),
            schedule={'schedule_interval': '1 hours'}) for n in range(24)}
        self.clock.now += 3600

        def greedy(name: str) -> list[str]:
            got: list[str] = []
            while True:
                runs = self.claim(limit=3, scheduler=name)['runs']
                if not runs:
                    return got
                got += [run['job_id'] for run in runs]

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            got = list(itertools.chain(*pool.map(
                greedy, ['s1', 's2', 's3', 's4'])))
            # One that lost a race for locked rows may have seen none left.
            got += greedy('s5')
        self.assertEqual(sorted(jobs), sorted(got))

    def test_projects_take_turns(self) -> None:
        """Invariant 4: many due jobs of one project delay no other's."""
        crowd = base.Persona('u9', 'p9', ('member', 'reader'))
        for _ in range(20):
            self.create_job(persona=crowd,
                            schedule={'schedule_interval': '1 hours'})
        self.clock.now += 60
        lonely = self.create_job(schedule={'schedule_interval': '1 hours'})
        self.clock.now += 3600
        first = [run['job_id'] for run in self.claim(limit=2)['runs']]
        self.assertIn(lonely, first)

    def test_projects_are_not_all_asked_where_enough_of_them_wait(
            self) -> None:
        """Of a hundred thousand projects few wait, and one may have many."""
        self.enterContext(mock.patch.multiple(
            due_queue, _HEAD=4, _AMONG_FULL=4))
        asked: list[str] = []

        def note(connection: Any, cursor: Any, statement: str,
                 *rest: Any) -> None:
            if 'FROM queues' in statement and 'due_at' in statement:
                asked.append(statement)

        def claimed() -> list[str]:
            asked.clear()
            return [run['project_id'] for run in self.call(
                base.SERVICE, 'POST', 'clients/central/claims', {
                    'scheduler_id': 's1', 'limit': 2, 'lease_seconds': 60,
                    'per_project': 2}, 200)['runs']]

        for project_id in ('p1', 'p1', 'p1', 'p1', 'p2', 'p3', 'p4',
                           'p5', 'p6', 'p7'):
            self.create_job(
                persona=base.Persona('u', project_id, ('member', 'reader')),
                schedule={'schedule_interval': '1 hours'})
            self.clock.now += 1
        self.clock.now += 3600
        sa.event.listen(self.database.engine, 'before_cursor_execute', note)
        self.assertEqual(['p1', 'p2'], claimed())
        self.assertEqual(1, len(asked))
        # Of the oldest four, three are of a project that had its turn.
        self.assertEqual(['p3', 'p4'], claimed())
        self.assertEqual(1, len(asked))
        # With two more there are enough others among the oldest.
        with mock.patch.object(due_queue, '_HEAD', 5):
            self.assertEqual(['p5', 'p6'], claimed())
        self.assertEqual([], asked)

    def test_a_project_is_handed_no_more_than_its_share(self) -> None:
        """Invariant 4: runs that go on and on leave room for others."""
        for _ in range(5):
            self.start(self.create_job())
        self.start(self.create_job(persona=base.STRANGER),
                   persona=base.STRANGER)

        def claimed(**more: Any) -> list[str]:
            return sorted(run['project_id'] for run in self.call(
                base.SERVICE, 'POST', 'clients/central/claims', {
                    'scheduler_id': 's1', 'limit': 10, 'lease_seconds': 60,
                    'per_project': 2, **more}, 200)['runs'])

        self.assertEqual(['p1', 'p1', 'p2'], claimed())
        self.assertEqual([], claimed(scheduler_id='s2'))
        self.assertEqual(['p1'], claimed(per_project=3))

    def test_a_claim_tells_what_waits_and_what_was_missed(self) -> None:
        """Invariant 2, seen by operators: how late, and what came too late.

        What waits counts, whatever keeps it from being handed out.
        """
        def told(**more: Any) -> tuple[int, Any, int]:
            answer = self.claim(**more)
            return (len(answer['runs']), answer['due_since'],
                    answer['missed'])

        for _ in range(2):
            self.create_job()
            self.clock.now += 60
        deleted = self.create_job()
        self.call(base.MEMBER, 'DELETE', f'jobs/{deleted}', None, 204)
        self.assertEqual((0, None, 0), told())
        self.clock.now = base.T0 + 86_400 + 90
        first, second = '2027-01-16T08:00:00Z', '2027-01-16T08:01:00Z'
        self.assertEqual((0, first, 0), told(limit=0))
        self.assertEqual((1, second, 0), told(limit=1))
        self.clock.now += 86_400 - 120
        self.pass_lease()
        self.pass_lease()
        # The first one's run goes on: its next firing does not wait. Of the
        # second one's, one came too late and the other did not.
        self.assertEqual((2, None, 1), told())

    def test_a_claim_tells_when_more_is_due(self) -> None:
        """Of its client and project alone, and of what is not handed out."""
        self.register_central('other')
        self.call(base.MEMBER, 'POST', 'clients', {
            'client_id': 'web-1', 'claims': True,
            'supported_actions': ['backup'], 'supported_modes': ['fs'],
            'supported_storages': ['local'], 'supported_engines': ['tar']},
            201)

        def told(**more: Any) -> tuple[Any, Any]:
            answer = self.claim(**more)
            return answer['due_since'], answer['next_due_at']

        def of_member(**more: Any) -> tuple[Any, Any]:
            return told(client='web-1', persona=base.MEMBER, **more)

        self.assertEqual((None, None), told())
        first = self.create_job()
        self.clock.now += 60
        self.create_job(persona=base.STRANGER)
        self.clock.now += 60
        self.create_job(client='web-1', action={
            'action': 'backup', 'mode': 'fs', 'storage': 'local',
            'engine_name': 'tar', 'path_to_backup': '/etc',
            'container': '/backups', 'backup_name': 'etc'})
        times = [f'2027-01-16T08:0{minute}:00Z' for minute in range(3)]
        self.assertEqual((None, times[0]), told())
        self.assertEqual((None, times[2]), of_member())
        self.assertEqual((None, None), told(client='other'))
        self.clock.now = base.T0 + 86_400
        self.assertEqual((times[0], times[1]), told(limit=0))
        self.assertEqual((None, times[1]), told())
        self.clock.now += 60
        self.assertEqual((None, None), told())
        self.assertEqual((None, times[2]), of_member(limit=0))
        self.clock.now += 60
        self.assertEqual((times[2], None), of_member(limit=0))
        # A run that has ended gives the job its next time.
        [run] = self.runs(first)
        self.report({'run_id': run['run_id'], 'fence': 1}, 'success')
        self.assertEqual((None, '2027-01-17T08:00:00Z'), told())

    def test_an_expired_lease_is_reclaimed_with_a_higher_fence(self) -> None:
        self.start(self.create_job())
        run = self.one_run(scheduler='s1')
        self.report(run, actions=[step()])
        self.pass_lease()
        self.clock.now -= 1
        self.assertEqual([], self.claim(scheduler='s2')['runs'])
        self.clock.now += 1
        taken = self.one_run(scheduler='s2')
        self.assertEqual(run['run_id'], taken['run_id'])
        self.assertEqual(2, taken['fence'])
        self.assertEqual('submitting', taken['actions'][0]['state'])

    def test_after_an_outage_each_holder_keeps_its_runs(self) -> None:
        """Whoever is back first, and however long nobody was there."""
        for away in (50, 60, 70, 3600):
            self.start(self.create_job())
            run = self.one_run(scheduler='s1')
            self.clock.now += away
            self.assertEqual([], self.claim(scheduler='s2')['runs'])
            self.clock.now += 30
            self.assertEqual([], self.claim(scheduler='s2')['runs'])
            held = [{'run_id': run['run_id'], 'fence': 1}]
            self.assertEqual([], self.claim(held=held)['lost'])
            self.clock.now += 40
            self.assertEqual([], self.claim(scheduler='s2')['runs'])
            self.report(run, 'success')

    def test_what_an_outage_has_orphaned_is_reclaimed(self) -> None:
        """After one lease more, and in spite of another outage."""
        self.start(self.create_job())
        run = self.one_run(scheduler='s1')
        for away in (3600, 50):
            self.clock.now += away
            self.assertEqual([], self.claim(scheduler='s2')['runs'])
        for _ in range(5):
            self.clock.now += 10
            self.assertEqual([], self.claim(scheduler='s2')['runs'])
        self.clock.now += 10
        self.assertEqual(run['run_id'],
                         self.one_run(scheduler='s2')['run_id'])

    def test_what_nobody_held_when_an_outage_began_is_taken_at_once(
            self) -> None:
        for _ in range(2):
            self.start(self.create_job())
        self.report(self.claim(scheduler='s1')['runs'][0], release=True)
        for _ in range(4):
            self.clock.now += 10
            self.claim(limit=0, scheduler='s2')
        self.clock.now += 3600
        self.assertEqual(2, len(self.claim(scheduler='s3')['runs']))

    def test_schedulers_that_come_back_at_one_moment(self) -> None:
        runs = []
        for _ in range(10):
            self.start(self.create_job())
        for number in range(5):
            runs += [(f's{number}', run) for run in self.claim(
                limit=2, scheduler=f's{number}')['runs']]
        self.clock.now += 3600
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            answers = list(pool.map(lambda name: self.claim(
                scheduler=name, held=[
                    {'run_id': run['run_id'], 'fence': 1}
                    for whose, run in runs if whose == name]),
                [f's{number}' for number in range(5)]))
        self.assertEqual([([], [], 2)] * 5, [
            (answer['runs'], answer['lost'], len(answer['held']))
            for answer in answers])

    def test_a_run_that_nobody_goes_on_with_ends(self) -> None:
        """And it is never handed out again, whoever comes back then."""
        job_id = self.create_job()
        self.start(job_id)
        run = self.one_run()
        self.report(run, actions=[step(backup_id='b' * 32)], backups=[
            {'backup_id': 'b' * 32, 'status': 'creating',
             'backup_metadata': {}}])

        def ended() -> int:
            answer = self.call(base.SERVICE, 'POST', 'maintenance', {}, 200)
            number: int = answer['runs_abandoned']
            return number

        self.clock.now += 120
        self.assertIsNone(self.runs(job_id)[0]['reason'])
        self.clock.now += 61
        self.assertEqual(
            'Waits for a scheduler of client central to go on with it, since '
            '2027-01-15T08:01:00Z.', self.runs(job_id)[0]['reason'])
        self.clock.now = base.T0 + 60 + 604_799
        self.assertEqual(0, ended())
        self.clock.now += 1
        self.assertEqual(1, ended())
        self.assertEqual(0, ended())
        [*_, shown] = self.runs(job_id)
        self.assertEqual(
            ('fail', 'No scheduler of client central has continued the run '
             'since 2027-01-15T08:01:00Z.', self.clock.now),
            (shown['state'], shown['reason'], shown['time_ended']))
        self.assertEqual(
            ('scheduled', 'fail'), tuple(self.job(job_id)['job_schedule'][
                name] for name in ('status', 'result')))
        self.assertEqual(['error'], [
            backup['status'] for backup in self.call(
                base.MEMBER, 'GET', 'backups', status=200)['backups']])
        self.report(run, 'success', status=409)
        answer = self.claim(held=[{'run_id': run['run_id'], 'fence': 1}])
        self.assertEqual([run['run_id']], answer['lost'])
        self.assertNotIn(run['run_id'],
                         [one['run_id'] for one in answer['runs']])

    def test_a_stale_fence_changes_nothing(self) -> None:
        job_id = self.create_job()
        self.start(job_id)
        run = self.one_run(scheduler='s1')
        self.pass_lease()
        self.one_run(scheduler='s2')
        before = self.runs(job_id)
        refused = self.report(
            run, 'success', status=409, actions=[step(state='success')],
            backups=[{'backup_id': 'b' * 32, 'status': 'available',
                      'backup_metadata': {'backup_name': 'x'}}])
        self.assertEqual('run_fence_stale', refused['code'])
        self.assertEqual(before, self.runs(job_id))
        self.assertEqual([], self.call(
            base.MEMBER, 'GET', 'backups', status=200)['backups'])
        held = [{'run_id': run['run_id'], 'fence': run['fence']}]
        self.assertEqual([run['run_id']], self.claim(held=held)['lost'])

    def test_a_renewed_lease_is_not_reclaimed(self) -> None:
        self.start(self.create_job())
        run = self.one_run(scheduler='s1')
        held = [{'run_id': run['run_id'], 'fence': run['fence']}]
        for _ in range(5):
            self.clock.now += 40
            answer = self.claim(held=held, scheduler='s1')
            self.assertEqual([{'run_id': run['run_id'], 'event': None}],
                             answer['held'])
            self.assertEqual([], self.claim(scheduler='s2')['runs'])

    def test_a_stored_report_renews_the_lease(self) -> None:
        self.start(self.create_job())
        run = self.one_run(scheduler='s1')
        for _ in range(5):
            self.clock.now += 40
            self.report(run, 'running', scheduler='s1', lease_seconds=60)
            self.assertEqual([], self.claim(scheduler='s2')['runs'])
        # It shortens none.
        self.report(run, 'running', scheduler='s1', lease_seconds=10)
        for _ in range(2):
            self.clock.now += 25
            self.assertEqual([], self.claim(scheduler='s2')['runs'])
        self.clock.now += 25
        self.assertEqual(run['run_id'],
                         self.one_run(scheduler='s2')['run_id'])
        self.report(run, 'running', scheduler='s1', lease_seconds=60,
                    status=409)

    def test_a_report_without_a_lease_renews_none(self) -> None:
        self.start(self.create_job())
        run = self.one_run(scheduler='s1')
        for _ in range(2):
            self.clock.now += 25
            self.report(run, 'running', scheduler='s1')
            self.assertEqual([], self.claim(scheduler='s2')['runs'])
        self.clock.now += 25
        self.assertEqual(run['run_id'],
                         self.one_run(scheduler='s2')['run_id'])

    def test_many_leases_are_renewed_with_one_statement(self) -> None:
        for _ in range(5):
            self.start(self.create_job())
        held = [{'run_id': run['run_id'], 'fence': run['fence']}
                for run in self.claim()['runs']]
        sent: list[int] = []

        def note(connection: Any, cursor: Any, statement: str,
                 parameters: Any, context: Any, many: bool) -> None:
            if statement.startswith('UPDATE job_runs'):
                sent.append(len(parameters) if many else 1)

        sa.event.listen(self.database.engine, 'before_cursor_execute', note)
        self.clock.now += 40
        self.assertEqual(5, len(self.claim(held=held)['held']))
        self.assertEqual([1], sent)

    def test_renewing_a_lease_does_not_read_what_was_reported(self) -> None:
        """A scheduler of thousands renews them all again and again."""
        self.start(self.create_job())
        run = self.one_run()
        read: list[str] = []

        def note(connection: Any, cursor: Any, statement: str,
                 parameters: Any, context: Any, many: bool) -> None:
            if 'job_runs.actions' in statement:
                read.append(statement)

        sa.event.listen(self.database.engine, 'before_cursor_execute', note)
        held = [{'run_id': run['run_id'], 'fence': run['fence']}]
        self.assertEqual([{'run_id': run['run_id'], 'event': None}],
                         self.claim(held=held)['held'])
        self.assertEqual([], read)

    def test_what_was_kept_while_the_api_was_away_is_taken(self) -> None:
        """An hour late, with a lease long over, and the trust is gone."""
        first, second = self.create_job(), self.create_job()
        for job_id in (first, second):
            self.start(job_id)
        runs = {run['job_id']: run for run in self.claim()['runs']}
        self.clock.now += 3600
        with self.database.engine.begin() as connection:
            connection.execute(sa.delete(models.UserCredential))
        self.report(runs[first], 'fail', reason='Cinder was full')
        held = [{'run_id': runs[second]['run_id'], 'fence': 1}]
        answer = self.claim(held=held)
        self.assertEqual([], answer['lost'])
        self.assertEqual([], answer['runs'])
        self.report(runs[second], 'success')
        self.assertEqual(
            [('fail', 'Cinder was full', base.T0),
             ('success', None, base.T0)],
            [(run['state'], run['reason'], run['time_started'])
             for job_id in (first, second) for run in self.runs(job_id)])

    def test_a_run_ended_when_it_did_and_not_when_that_was_told(self) -> None:
        job_id = self.create_job()
        for age, ended in ((600, 3000), (9999, 0), (0, 3600)):
            began = self.clock.now
            self.start(job_id)
            run = self.one_run()
            self.clock.now += 3600
            self.report(run, 'success', age=age)
            self.assertEqual(
                [began + ended] * 2,
                [self.runs(job_id)[0]['time_ended'],
                 self.job(job_id)['job_schedule']['time_ended']])
        self.start(job_id)
        run = self.one_run()
        for bad in (-1, 'x', 1.5, None):
            self.assertIn('age', str(self.report(
                run, 'success', status=400, age=bad)))

    def test_a_released_run_is_taken_at_once(self) -> None:
        self.start(self.create_job())
        run = self.one_run(scheduler='s1')
        self.report(run, release=True)
        self.assertEqual(2, self.one_run(scheduler='s2')['fence'])

    def test_a_run_ends_once(self) -> None:
        job_id = self.create_job()
        self.start(job_id)
        run = self.one_run()
        self.clock.now += 10
        self.report(run, 'success')
        self.report(run, 'fail', status=409)
        shown = self.job(job_id)['job_schedule']
        self.assertEqual('success', shown['result'])
        self.assertEqual('scheduled', shown['status'])
        self.assertEqual(base.T0 + 10, shown['time_ended'])
        [ended] = self.runs(job_id)
        self.assertEqual(('success', base.T0 + 10),
                         (ended['state'], ended['time_ended']))

    def test_a_failure_shows_its_reason(self) -> None:
        job_id = self.create_job()
        self.start(job_id)
        self.report(self.one_run(), 'fail', reason='Cinder is full')
        self.assertEqual('Cinder is full', self.job(job_id)['status_reason'])
        self.assertEqual('Cinder is full', self.runs(job_id)[0]['reason'])
        self.assertEqual('fail', self.job(job_id)['job_schedule']['result'])

    def test_a_backup_is_recorded_for_its_owner(self) -> None:
        job_id = self.create_job()
        self.start(job_id)
        run = self.one_run()
        record = {'backup_id': 'c' * 32, 'status': 'creating',
                  'backup_metadata': {'backup_name': 'n', 'time_stamp': 1}}
        self.report(run, backups=[record])
        self.report(run, 'success', backups=[{
            **record, 'status': 'available',
            'backup_metadata': {'cinder_backup_id': 'cb'}}])
        [backup] = self.call(
            base.MEMBER, 'GET', 'backups', status=200)['backups']
        self.assertEqual({
            'backup_id': 'c' * 32, 'project_id': 'p1', 'user_id': 'alice',
            'status': 'available', 'backup_metadata': {
                'backup_name': 'n', 'time_stamp': 1, 'job_id': job_id,
                'cinder_backup_id': 'cb'}}, backup)

    def test_a_report_cannot_touch_another_projects_backup(self) -> None:
        theirs = self.call(base.STRANGER, 'POST', 'backups', {
            'backup_name': 'b', 'container': 'c', 'hostname': 'h'},
            201)['backup_id']
        self.start(self.create_job())
        self.report(self.one_run(), backups=[{
            'backup_id': theirs, 'status': 'deleted',
            'backup_metadata': {'backup_name': 'mine now'}}])
        shown = self.call(
            base.STRANGER, 'GET', f'backups/{theirs}', status=200)
        self.assertEqual('available', shown['status'])
        self.assertEqual('b', shown['backup_metadata']['backup_name'])

    def test_a_firing_during_a_run_is_passed_over_and_told(self) -> None:
        job_id = self.create_job(schedule={'schedule_interval': '1 minutes'})
        self.clock.now += 60
        run = self.one_run()
        held = [{'run_id': run['run_id'], 'fence': 1}]
        for _ in range(5):
            self.clock.now += 30
            self.assertEqual([], self.claim(held=held)['runs'])
        self.report(run, 'success')
        self.assertEqual(['skipped', 'success'],
                         [one['state'] for one in self.runs(job_id)])
        self.assertIn('still going', self.runs(job_id)[0]['reason'])
        self.assertEqual([], self.claim()['runs'])
        self.clock.now += 30
        self.assertEqual(base.T0 + 240, self.clock.now)
        self.assertEqual('2027-01-15T08:04:00Z', self.one_run()['nominal_at'])

    def test_a_run_without_schedule_starts_by_itself_and_once(self) -> None:
        job_id = self.create_job(schedule={})
        self.assertEqual([], self.claim()['runs'])
        self.clock.now += 5
        self.report(self.one_run(), 'success')
        self.clock.now += 86_400
        self.assertEqual([], self.claim()['runs'])
        self.assertEqual('completed',
                         self.job(job_id)['job_schedule']['status'])
        self.start(job_id)
        self.one_run()

    def test_an_early_start_is_the_only_run_of_a_job_without_schedule(
            self) -> None:
        job_id = self.create_job(schedule={})
        self.start(job_id)
        self.report(self.one_run(), 'success')
        self.clock.now += 3600
        self.assertEqual([], self.claim()['runs'])
        self.assertEqual(1, len(self.runs(job_id)))

    def test_a_missed_firing_is_told_and_not_run(self) -> None:
        job_id = self.create_job()
        self.clock.now += 86_400 + 3601
        self.assertEqual([], self.claim()['runs'])
        [missed] = self.runs(job_id)
        self.assertEqual('missed', missed['state'])
        self.assertEqual('2027-01-16T08:00:00Z', missed['nominal_at'])
        self.assertEqual('2027-01-17T08:00:00Z',
                         self.job(job_id)['next_run_at'])

    def test_a_late_firing_is_run_and_moves_no_phase(self) -> None:
        job_id = self.create_job()
        self.clock.now += 86_400 + 3599
        self.report(self.one_run(), 'success')
        self.assertEqual('2027-01-17T08:00:00Z',
                         self.job(job_id)['next_run_at'])

    def test_a_start_is_run_however_late(self) -> None:
        job_id = self.create_job()
        self.start(job_id)
        self.clock.now += 50_000
        self.assertEqual('start', self.one_run()['trigger'])
        self.assertEqual('2027-01-16T08:00:00Z',
                         self.job(job_id)['next_run_at'])

    def test_two_starts_within_a_second_are_two_runs(self) -> None:
        job_id = self.create_job()
        self.start(job_id)
        self.report(self.one_run(), 'success')
        self.start(job_id)
        self.clock.now += 1
        self.report(self.one_run(), 'success')
        self.assertEqual(2, len(self.runs(job_id)))

    def test_abort_reaches_the_holder_and_ends_the_schedule(self) -> None:
        job_id = self.create_job()
        self.start(job_id)
        run = self.one_run()
        answer = self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event',
                           {'abort': None}, 202)
        self.assertEqual({'result': 'success'}, answer)
        held = [{'run_id': run['run_id'], 'fence': 1}]
        self.assertEqual('abort', self.claim(held=held)['held'][0]['event'])
        self.assertEqual('abort', self.report(run)['event'])
        self.report(run, 'aborted', reason='as asked')
        shown = self.job(job_id)
        self.assertEqual('aborted', shown['job_schedule']['result'])
        self.assertEqual('completed', shown['job_schedule']['status'])
        self.assertNotIn('next_run_at', shown)

    def test_stop_lets_the_run_finish_and_ends_the_schedule(self) -> None:
        job_id = self.create_job()
        self.start(job_id)
        run = self.one_run()
        self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event',
                  {'stop': None}, 202)
        self.report(run, 'success')
        self.clock.now += 10 * 86_400
        self.assertEqual([], self.claim()['runs'])
        self.assertEqual('success',
                         self.job(job_id)['job_schedule']['result'])

    def test_stop_disarms_a_job_that_waits(self) -> None:
        job_id = self.create_job()
        self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event',
                  {'stop': None}, 202)
        self.clock.now += 10 * 86_400
        self.assertEqual([], self.claim()['runs'])
        self.assertEqual('stop', self.job(job_id)['job_schedule']['status'])

    def test_aborting_a_job_that_never_ran_disarms_it(self) -> None:
        """Upstream's poll dies on it, and every later job waits for ever."""
        job_id = self.create_job()
        self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event',
                  {'abort': None}, 202)
        self.clock.now += 10 * 86_400
        self.assertEqual([], self.claim()['runs'])

    def test_a_deleted_job_tells_its_run_to_abort(self) -> None:
        job_id = self.create_job()
        self.start(job_id)
        run = self.one_run()
        self.call(base.MEMBER, 'DELETE', f'jobs/{job_id}', status=204)
        held = [{'run_id': run['run_id'], 'fence': 1}]
        self.assertEqual('abort', self.claim(held=held)['held'][0]['event'])
        self.report(run, 'aborted')

    def test_a_user_and_a_scheduler_edit_one_job_and_both_win(self) -> None:
        """Invariant 8: nobody's change is lost."""
        job_id = self.create_job()
        self.start(job_id)
        run = self.one_run()
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'description': 'mine'}, 200)
        self.report(run, 'success')
        shown = self.job(job_id)
        self.assertEqual('mine', shown['description'])
        self.assertEqual('success', shown['job_schedule']['result'])
        self.assertEqual('1 days',
                         shown['job_schedule']['schedule_interval'])

    def test_edits_and_reports_at_one_moment_both_survive(self) -> None:
        """Invariant 8, with two requests under way at once."""
        job_id = self.create_job()
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            for n in range(10):
                self.clock.now += 5
                self.start(job_id)
                run = self.one_run()
                list(pool.map(lambda do: do(), [
                    lambda n=n: self.call(
                        base.MEMBER, 'PATCH', f'jobs/{job_id}',
                        {'description': f'edit {n}'}, 200),
                    lambda n=n: self.call(
                        base.MEMBER, 'PATCH', f'jobs/{job_id}',
                        {'job_schedule': {
                            'schedule_interval': f'{n + 1} days'}}, 200),
                    lambda run=run, n=n: self.report(
                        run, 'fail', reason=f'reason {n}')]))
                shown = self.job(job_id)
                self.assertEqual(
                    (f'edit {n}', f'{n + 1} days', 'fail', self.clock.now),
                    (shown['description'],
                     shown['job_schedule']['schedule_interval'],
                     shown['job_schedule']['result'],
                     shown['job_schedule']['time_ended']))
                self.assertEqual('scheduled',
                                 shown['job_schedule']['status'])
                self.assertEqual(f'reason {n}',
                                 self.runs(job_id)[0]['reason'])

    def test_who_changes_a_job_has_it_alone(self) -> None:
        """Invariant 8: what is decided on is what is there when it is said.
        """
        for others in ({}, {'session_tag': 0}):
            ended, stopped = self.create_job(), self.create_job()
            self.start(ended)
            run = self.one_run()
            for job_id, do in (
                    (ended, lambda run=run: self.report(run, 'success')),
                    (stopped, lambda job_id=stopped: self.call(
                        base.MEMBER, 'POST', f'jobs/{job_id}/event',
                        {'stop': None}, 202))):
                with self.while_it_is_written(do):
                    self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {
                        'job_schedule': {'schedule_interval': '2 days'},
                        **others}, 200)
            with self.database.read() as session:
                found = {job_id: session.get_one(models.Job, job_id)
                         for job_id in (ended, stopped)}
            in_two_days = self.clock.now + 2 * 86_400
            self.assertEqual(
                [(in_two_days, in_two_days, 'scheduled'),
                 (None, None, 'stop')],
                [(found[job_id].next_run_at, found[job_id].due_at,
                  found[job_id].status) for job_id in (ended, stopped)])

    @contextlib.contextmanager
    def while_it_is_written(self, do: Callable[[], Any]) -> Iterator[None]:
        """Do something when a request is about to write what it has read."""
        todo = [do]
        begun: list[concurrent.futures.Future[Any]] = []

        def before(connection: sa.Connection, cursor: Any, statement: str,
                   *more: Any) -> None:
            if todo and statement.startswith('UPDATE jobs '):
                begun.append(pool.submit(todo.pop()))
                # It does not come to its end when it has to wait.
                concurrent.futures.wait(begun, timeout=1)

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            sa.event.listen(
                self.database.engine, 'before_cursor_execute', before)
            yield
            sa.event.remove(
                self.database.engine, 'before_cursor_execute', before)
            [done] = begun
            done.result()

    def test_a_job_whose_schedule_is_poisoned_hurts_no_other(self) -> None:
        """Invariant 4, with a row that no validation would let in."""
        self.terms_follow = False
        poisoned, sound = self.create_job(), self.create_job()
        with self.database.engine.begin() as connection:
            connection.execute(sa.update(models.Job).where(
                models.Job.id == poisoned).values(
                    schedule={'schedule_interval': ['5  days']}))
        self.clock.now += 86_400
        self.assertEqual(
            {poisoned, sound},
            {run['job_id'] for run in self.claim()['runs']})
        self.assertIn('cannot be understood',
                      self.job(poisoned)['status_reason'])

    def test_a_trust_that_cannot_be_read_fails_its_job_alone(self) -> None:
        broken, sound = self.create_job(), self.create_job(
            persona=base.STRANGER)
        with self.database.engine.begin() as connection:
            connection.execute(sa.update(models.UserCredential).where(
                models.UserCredential.job_id == broken).values(
                    trust_id='nonsense'))
        self.clock.now += 86_400
        self.assertEqual([sound],
                         [run['job_id'] for run in self.claim()['runs']])
        self.assertIn('keys', self.runs(broken)[0]['reason'])
        self.assertEqual('waiting', self.runs(broken)[0]['state'])

    def test_a_central_job_without_trust_fails_with_advice(self) -> None:
        job_id = self.create_job()
        with self.database.engine.begin() as connection:
            connection.execute(sa.delete(models.UserCredential))
        self.start(job_id)
        self.assertEqual([], self.claim()['runs'])
        self.assertIn('creates one', self.runs(job_id)[0]['reason'])

    def test_volumes_of_one_action_are_shown_and_closed_with_their_run(
            self) -> None:
        job_id = self.create_job()
        self.start(job_id)
        run = self.one_run()
        parts = [{'state': 'submitted', 'volume_id': f'v-{letter}',
                  'tries': 1, 'backup_id': letter * 32} for letter in 'abc']
        step = {'action_id': 'a', 'position': 0, 'state': 'submitted',
                'parts': parts}
        self.report(run, actions=[step], backups=[
            {'backup_id': part['backup_id'], 'status': 'creating',
             'backup_metadata': {}} for part in parts])
        self.assertEqual([step], self.runs(job_id)[0]['actions'])
        with self.database.engine.begin() as connection:
            connection.execute(sa.delete(models.UserCredential))
            connection.execute(sa.update(models.Delegation).values(
                trust_id=''))
        self.pass_lease()
        self.assertEqual([], self.claim()['runs'])
        self.assertEqual('fail', self.runs(job_id)[0]['state'])
        self.assertEqual(['error'] * 3, [
            backup['status'] for backup in self.call(
                base.MEMBER, 'GET', 'backups', status=200)['backups']])

    def test_who_may_claim(self) -> None:
        self.start(self.create_job())
        # Elsewhere than in its own project there is no client to claim for.
        for persona in (base.MEMBER, base.STRANGER, base.ADMIN):
            self.claim(persona=persona, status=404)
        self.claim(persona=base.READER, status=403)
        self.claim(persona=base.Persona('x', 'svc', ('member',)), status=403)
        other = base.Persona('nova', 'svc', ('service',))
        self.assertEqual('not_trustee', self.claim(
            persona=other, status=403)['code'])
        self.assertEqual(404, self.client.simulate_request(
            'POST', '/v2/svc/clients/unknown/claims', json={},
            extras=base.SERVICE.environ()).status_code)
        self.one_run()

    def test_bad_claims_change_nothing(self) -> None:
        self.start(self.create_job())
        good = {'scheduler_id': 's', 'limit': 1, 'lease_seconds': 60,
                'held': []}
        for name, value in (
                ('scheduler_id', 7), ('scheduler_id', 's' * 256),
                ('limit', -1), ('limit', '1'), ('limit', 10 ** 9),
                ('lease_seconds', 0), ('lease_seconds', 10 ** 9),
                ('held', None), ('held', [1]),
                ('held', [{'run_id': 'x', 'fence': 'y'}])):
            answer = self.call(
                base.SERVICE, 'POST', 'clients/central/claims',
                {**good, name: value}, 400)
            self.assertIn(name, answer['description'])
        self.one_run()


class ClaimTestsOnMySQL(base.MySQL, ClaimTests):
    pass


class ClaimTestsOnPostgreSQL(base.PostgreSQL, ClaimTests):
    pass

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

from __future__ import annotations

import dataclasses
import json
import uuid

from freezer_scheduler.freezer import messages
from freezer_scheduler.runs import retries
from tests.unit.freezer_scheduler.engines import cases
from tests.unit.freezer_scheduler import fakes

LIMITS = cases.LIMITS


class Case(cases.Case):

    run_id = 'run-1'

    def context(self, step=None, engine_state=None, trust=fakes.TRUST, **keys):
        most = keys.pop('most', 0)
        return dataclasses.replace(
            super().context(step, engine_state, trust, **keys),
            run_id=self.run_id, retries=retries.Retries(most, 1))

    def run_of_job(self, number, finish='available', most=0, **keys):
        """Carry a run of the job out, with all its tries.

        :returns: the step at its end
        """
        self.run_id = f'run-{number}'
        step, rest = None, retries.Retries(most, 1)
        while True:
            progress, _context = self.go(
                self.context(step, most=most, **keys), finish=finish)
            self.cloud.finish()
            step = (rest.after(progress.step, self.clock.wall())
                    if progress.retry else None)
            if step is None:
                self.clock.sleep(3600)
                return progress.step
            step = step.begun()

    def statuses(self):
        return [backup['status'] for backup in self.cloud.backups.values()]

    def increments(self):
        return [post['incremental'] for post in self.cloud.posts]

    def deleted(self):
        return [path.rpartition('/')[2] for method, path
                in self.cloud.requests if method == 'DELETE']

    def marks(self, **more):
        """Return the marks of a backup of the job, each of another run."""
        return {'created_by': 'freezer', 'freezer_run_id': uuid.uuid4().hex,
                'freezer_job_id': 'job-1', 'freezer_action_id': 'action-1',
                'freezer_step': '0.1', 'freezer_backup_id': 'f' * 32, **more}


class TestClear(Case):

    def test_what_failed_is_deleted_once_its_reason_is_stored(self):
        progress, context = self.go(self.context(), 'submitted')
        self.cloud.finish('error', 'disk full')
        progress, context = self.call(context)
        self.assertEqual('clearing', progress.step.state)
        self.assertIn('disk full', progress.step.reason)
        self.assertEqual('error', progress.backups[0].status)
        self.assertIn('disk full', progress.backups[0].metadata['fail_reason'])
        self.assertEqual([], self.deleted())
        progress, context = self.call(context)
        self.assertEqual([progress.step.cinder_backup_id], self.deleted())
        self.assertFalse(progress.step.state.final)
        self.cloud.finish()
        progress, _context = self.call(context)
        self.assertEqual('fail', progress.step.state)
        self.assertTrue(progress.retry)
        self.assertIn('disk full', progress.step.reason)
        self.assertIsNone(progress.step.removing)
        self.assertEqual({}, self.cloud.backups)

    def test_killed_at_each_call(self):
        """The next holder knows why it failed, and deletes it."""
        for killed in range(2, 9):
            self.cloud.backups.clear()
            self.cloud.volumes[fakes.VOLUME] = 'available'
            context = self.context()
            for number in range(cases.MOST_CALLS):
                progress, context = self.call(context)
                if number == 3:
                    self.cloud.finish('error', 'disk full')
                if number == killed:
                    self.engine = self.process()
                    stored = json.loads(json.dumps(
                        progress.step.to_document()))
                    context = self.context(messages.Step.from_document(stored))
                if progress.step.state.final:
                    break
                self.clock.sleep(progress.after)
                if number > 3:
                    self.cloud.finish('error', 'disk full')
            self.assertEqual('fail', progress.step.state, str(killed))
            self.assertIn('disk full', progress.step.reason, str(killed))
            self.assertTrue(progress.retry, str(killed))
            self.assertEqual({}, self.cloud.backups, str(killed))

    def test_one_that_cannot_be_deleted_is_named(self):
        _progress, context = self.go(self.context(), 'submitted')
        self.cloud.undeletable.add(context.step.cinder_backup_id)
        progress, _context = self.go(context, finish='error')
        self.assertEqual('fail', progress.step.state)
        self.assertTrue(progress.retry)
        self.assertIn('disk full', progress.step.reason)
        self.assertIn('it stays in Cinder: Cinder: Service cinder-backup',
                      progress.step.reason)
        self.assertEqual(['error'], self.statuses())

    def test_the_data_of_a_snapshots_backup_in_ceph_is_not_risked(self):
        """Cinder may take its image for that of the failed one."""
        for status, objects, snapshot, stays in (
                ('available', 0, 'snapshot-1', True),
                ('restoring', None, 'snapshot-1', True),
                ('error', 0, 'snapshot-1', False),
                ('available', 3, 'snapshot-1', False),
                ('available', 0, None, False)):
            with self.subTest(status=status, objects=objects):
                self.cloud.backups.clear()
                theirs = self.cloud.add_backup(
                    status, object_count=objects, snapshot_id=snapshot)
                before = len(self.deleted())
                step = self.run_of_job(1, 'error', most=2)
                self.assertEqual('fail', step.state)
                self.assertIn('disk full', step.reason)
                self.assertEqual(stays, len(self.deleted()) == before)
                self.assertEqual(stays, theirs['id'] in step.reason)
                # Nor in the next run.
                self.run_of_job(2)
                self.assertEqual(stays, len(self.deleted()) == before)

    def test_an_abort_does_not_risk_it_either(self):
        self.cloud.add_backup(object_count=0, snapshot_id='snapshot-1')
        _progress, context = self.go(self.context(), 'submitted')
        self.cloud.finish('error', 'disk full')
        progress, _context = self.go(context, aborting=True)
        self.assertEqual('aborted', progress.step.state)
        self.assertIn('of a snapshot', progress.step.reason)
        self.assertEqual([], self.deleted())

    def test_a_deletion_that_fails_in_cinder_is_named(self):
        _progress, context = self.go(self.context(), 'submitted')
        self.cloud.finish('error')
        for _call in range(2):
            _progress, context = self.call(context)
        [backup] = self.cloud.backups.values()
        self.assertEqual('deleting', backup['status'])
        backup['status'] = 'error_deleting'
        progress, _context = self.call(context)
        self.assertEqual('fail', progress.step.state)
        self.assertIn('it stays in Cinder, error_deleting',
                      progress.step.reason)

    def test_a_deletion_that_lasts_is_not_waited_for_for_ever(self):
        _progress, context = self.go(self.context(), 'submitted')
        self.cloud.finish('error')
        for _call in range(2):
            _progress, context = self.call(context)
        self.clock.sleep(LIMITS.busy_timeout + 1)
        progress, _context = self.call(context)
        self.assertEqual('fail', progress.step.state)
        self.assertIn('it stays in Cinder, deleting', progress.step.reason)

    def test_one_that_was_declared_good_meanwhile_stays(self):
        _progress, context = self.go(self.context(), 'submitted')
        self.cloud.finish('error')
        _progress, context = self.call(context)
        [backup] = self.cloud.backups.values()
        backup['status'] = 'available'
        progress, _context = self.call(context)
        self.assertEqual([], self.deleted())
        self.assertEqual('fail', progress.step.state)

    def test_cinder_is_unavailable_between_failure_and_deletion(self):
        _progress, context = self.go(self.context(), 'submitted')
        self.cloud.finish('error', 'disk full')
        _progress, context = self.call(context)
        self.cloud.fail('GET', '/backups/', *[fakes.no_connection] * 3, 503)
        progress, _context = self.go(context, finish='error')
        self.assertIn('disk full', progress.step.reason)
        self.assertEqual({}, self.cloud.backups)

    def test_cinder_is_unavailable_for_the_deletion(self):
        """Or a login is due: nothing was asked for, so it is waited for."""
        _progress, context = self.go(self.context(), 'submitted')
        self.cloud.finish('error', 'disk full')
        _progress, context = self.call(context)
        self.cloud.fail('DELETE', '/backups/', *[fakes.no_connection] * 3)
        progress, _context = self.go(context, finish='error')
        self.assertIn('disk full', progress.step.reason)
        self.assertNotIn('stays', progress.step.reason)
        self.assertEqual({}, self.cloud.backups)

    def test_a_trust_that_is_gone_in_between(self):
        _progress, context = self.go(self.context(), 'submitted')
        self.cloud.finish('error', 'disk full')
        _progress, context = self.call(context)
        self.cloud.trusts.clear()
        self.engine = self.process()
        progress, _context = self.call(context)
        self.assertEqual('fail', progress.step.state)
        self.assertIn('disk full', progress.step.reason)
        self.assertFalse(progress.retry)

    def test_nothing_is_deleted_without_lease_enough(self):
        _progress, context = self.go(self.context(), 'submitted')
        self.cloud.finish('error')
        self.lease = 0
        for _call in range(5):
            _progress, context = self.call(context)
        self.assertEqual([], self.deleted())
        self.lease = 60
        progress, _context = self.go(context)
        self.assertEqual('fail', progress.step.state)
        self.assertEqual({}, self.cloud.backups)

    def test_an_abort_in_between(self):
        _progress, context = self.go(self.context(), 'submitted')
        self.cloud.finish('error', 'disk full')
        _progress, context = self.call(context)
        progress, _context = self.go(context, aborting=True, finish='error')
        self.assertEqual('aborted', progress.step.state)
        self.assertEqual({}, self.cloud.backups)


class TestEarlierRuns(Case):

    def test_those_of_the_job_go_before_the_request(self):
        old = [self.cloud.add_backup('error', metadata=self.marks())['id']
               for _number in range(25)]
        counts = []
        create = self.cloud._create

        def watched(body):
            counts.append(len(self.cloud.backups) - len(set(self.deleted())))
            return create(body)

        self.patch(self.cloud, '_create', watched)
        step = self.run_of_job(1)
        self.assertEqual('success', step.state)
        self.assertEqual(sorted(old), sorted(self.deleted()))
        self.assertEqual([0], counts)

    def test_the_intent_is_stored_before_that(self):
        self.cloud.add_backup('error', metadata=self.marks())
        progress, _context = self.call(self.context())
        self.assertEqual('submitting', progress.step.state)
        self.assertEqual([], self.deleted())

    def test_what_is_not_surely_a_failed_one_of_the_job_stays(self):
        for status, metadata in (
                ('error', {}),
                ('error', {'created_by': 'freezer'}),
                ('error', self.marks(freezer_job_id='job-2')),
                ('error', self.marks(created_by='somebody')),
                ('error_deleting', self.marks()),
                ('creating', self.marks()),
                ('available', self.marks()),
                ('restoring', self.marks())):
            self.cloud.add_backup(status, metadata=metadata,
                                  volume_id=fakes.VOLUME)
        others = self.cloud.add_backup(
            'error', metadata=self.marks(),
            volume_id='22222222-2222-4222-8222-222222222222')
        self.go(self.context(), finish=None, until='submitted')
        self.assertEqual([], self.deleted())
        self.assertIn(others['id'], self.cloud.backups)

    def test_one_that_an_operator_declares_good_in_between_stays(self):
        old = self.cloud.add_backup('error', metadata=self.marks())
        _progress, context = self.call(self.context())
        old['status'] = 'available'
        self.go(context)
        self.assertEqual([], self.deleted())

    def test_one_that_will_not_go_is_no_obstacle(self):
        old = self.cloud.add_backup('error', metadata=self.marks())
        self.cloud.undeletable.add(old['id'])
        self.assertEqual('success', self.run_of_job(1).state)
        self.assertIn(old['id'], self.cloud.backups)

    def test_failures_never_fill_a_quota(self):
        """A job fails for weeks, and works on the first day that it can."""
        self.cloud.backup_quota = 2
        for number in range(1, 15):
            step = self.run_of_job(number, finish='error', most=1)
            self.assertEqual('fail', step.state)
            self.assertIn('disk full', step.reason)
        self.assertEqual('success', self.run_of_job(15).state)

    def test_nor_do_those_that_a_killed_scheduler_left(self):
        self.cloud.backup_quota = 2
        for _number in range(2):
            self.cloud.add_backup('error', metadata=self.marks())
        step = self.run_of_job(1)
        self.assertEqual('success', step.state)
        self.assertEqual(['available'], self.statuses())


class TestQuota(Case):

    def full(self, **keys):
        step = self.run_of_job(1, **keys)
        self.assertEqual('fail', step.state)
        return step.reason

    def test_which_quota_and_what_is_in_the_way(self):
        for _number in range(3):
            self.cloud.add_backup(metadata=self.marks())
        self.cloud.add_backup()
        failed = self.cloud.add_backup('error', metadata=self.marks())
        self.cloud.undeletable.add(failed['id'])
        self.cloud.backup_quota = 5
        reason = self.full()
        self.assertIn('Maximum number of backups allowed (5)', reason)
        self.assertIn('the quota backups is full', reason)
        self.assertIn('of 5 backups of this volume 4 are this job\'s, 1 of '
                      'these in error', reason)
        self.assertIn(f'cannot be deleted: {failed["id"]}: ', reason)
        self.assertNotIn('prune_first', reason)

    def test_gigabytes(self):
        self.cloud.gigabyte_quota = 0
        self.assertIn('the quota backup_gigabytes is full', self.full())

    def test_a_rotation_without_room_for_one_more(self):
        for _number in range(2):
            self.cloud.add_backup(metadata=self.marks())
        self.cloud.backup_quota = 2
        reason = self.full(fullbackup_rotation=2)
        self.assertIn('fullbackup_rotation keeps 2 chains', reason)
        self.assertIn('"prune_first": true', reason)
        self.assertLess(len(reason), 400)

    def test_another_rule(self):
        self.cloud.backup_quota = 0
        for rule in ({'remove_older_than': 3},
                     {'remove_before_date': '2020-01-01'}):
            self.assertIn('"prune_first": true', self.full(**rule))

    def test_what_is_being_deleted_is_waited_for(self):
        old = self.cloud.add_backup('deleting', metadata=self.marks())
        self.cloud.backup_quota = 1
        _progress, context = self.call(self.context())
        progress, context = self.call(context)
        self.assertEqual('pending', progress.step.state)
        self.assertIn('waits', progress.step.reason)
        for _call in range(5):
            self.clock.sleep(progress.after)
            progress, context = self.call(context)
        self.assertEqual(1, len(self.cloud.posts))
        del self.cloud.backups[old['id']]
        progress, _context = self.go(context)
        self.assertEqual('success', progress.step.state)

    def test_a_wait_has_an_end(self):
        self.cloud.add_backup('deleting', metadata=self.marks())
        self.cloud.backup_quota = 1
        progress, _context = self.go(self.context(), finish=None)
        self.assertEqual('fail', progress.step.state)
        self.assertIn('the quota backups is full', progress.step.reason)


class TestIncrementThatFails(Case):

    def base(self, **keys):
        step = self.run_of_job(0, incremental=True, **keys)
        self.assertEqual('success', step.state)
        self.cloud.posts.clear()

    def test_an_extended_volume_gets_a_full_one_at_once(self):
        self.base()
        self.cloud.described[fakes.VOLUME] = {'size': 2}
        step = self.run_of_job(1, incremental=True)
        self.assertEqual('success', step.state)
        self.assertEqual('full backup, because the volume was extended after '
                         'its newest backup', step.reason)
        step = self.run_of_job(2, incremental=True)
        self.assertEqual([False, True], self.increments())
        self.assertIsNone(step.reason)

    def test_the_next_try_is_full(self):
        self.base()
        ends = iter(('error', 'available'))
        finish = self.cloud.finish

        def end(status='available', reason=None):
            working = 'creating' in self.statuses()
            finish(next(ends) if working else 'available', 'base lost')

        self.patch(self.cloud, 'finish', end)
        step = self.run_of_job(1, incremental=True, most=1)
        self.assertEqual('success', step.state)
        self.assertEqual([True, False], self.increments())
        self.assertEqual(2, step.tries)
        self.assertEqual(
            'full backup, because the last incremental backup failed: '
            'base lost',
            step.reason)
        [failed] = [progress.step.reason for progress in self.stored
                    if progress.step.state == 'fail']
        self.assertIn('base lost', failed)
        self.assertIn('the next try makes a full backup', failed)
        self.assertEqual(['available'] * 2, self.statuses())

    def test_without_another_try_the_next_run_is_full(self):
        self.base()
        step = self.run_of_job(1, incremental=True, finish='error')
        self.assertEqual('fail', step.state)
        self.assertIn('the next run makes a full backup', step.reason)
        self.engine = self.process()
        step = self.run_of_job(2, incremental=True)
        self.assertEqual('success', step.state)
        self.assertEqual(
            'full backup, because the last incremental backup failed: '
            'disk full',
            step.reason)
        self.assertEqual([True, False], self.increments())
        self.assertEqual(['available'] * 2, self.statuses())
        self.run_of_job(3, incremental=True)
        self.assertTrue(self.increments()[-1])

    def test_nor_does_that_fill_a_quota(self):
        self.base()
        self.cloud.backup_quota = 3
        for number in range(1, 9):
            self.run_of_job(number, incremental=True, finish='error')
        self.assertEqual('success', self.run_of_job(
            9, incremental=True).state)

    def test_a_full_one_that_failed_after_it_is_asked_for_again(self):
        self.base()
        self.run_of_job(1, incremental=True, finish='error', most=3)
        self.assertEqual([True, False, False, False], self.increments())

    def test_the_next_holder_of_the_run_makes_a_full_backup(self):
        self.base()
        self.run_of_job(1, incremental=True, finish='error')
        self.run_id = 'run-2'
        progress, _context = self.call(self.context(incremental=True))
        # Gone before anybody went on.
        self.cloud.backups = {
            key: backup for key, backup in self.cloud.backups.items()
            if backup['status'] != 'error'}
        self.engine = self.process()
        step = messages.Step.from_document(progress.step.to_document())
        progress, _context = self.go(self.context(step, incremental=True))
        self.assertEqual('success', progress.step.state)
        self.assertFalse(self.increments()[-1])
        self.assertIn('full backup, because', progress.step.reason)

    def test_a_failure_before_the_newest_backup_is_forgotten(self):
        self.cloud.add_backup(
            'error', is_incremental=True, metadata=self.marks())
        self.clock.sleep(60)
        self.cloud.add_backup()
        self.run_of_job(1, incremental=True)
        self.assertEqual([True], self.increments())

    def test_a_failure_of_another_job_says_nothing(self):
        self.cloud.add_backup()
        self.clock.sleep(60)
        self.cloud.add_backup(
            'error', is_incremental=True,
            metadata=self.marks(freezer_job_id='job-2'))
        self.run_of_job(1, incremental=True)
        self.assertEqual([True], self.increments())

    def test_one_that_cinder_refuses_is_full_and_says_so(self):
        self.base()
        self.cloud.fail('POST', '/backups$', (400, 'parent is gone'))
        step = self.run_of_job(1, incremental=True)
        self.assertEqual('success', step.state)
        self.assertEqual('full backup, because Cinder refused an incremental '
                         'backup: Cinder: parent is gone (400)', step.reason)

    def test_what_was_no_increment_needs_no_reason(self):
        for keys in ({}, {'incremental': True},
                     {'incremental': True, 'full_every': 1}):
            self.cloud.backups.clear()
            self.assertIsNone(self.run_of_job(1, **keys).reason)
            self.assertIsNone(self.run_of_job(
                2, full_every=1, incremental=True).reason)

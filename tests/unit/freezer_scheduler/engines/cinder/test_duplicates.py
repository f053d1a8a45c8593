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

"""More than one backup for one action of one run, and what becomes of it."""

from __future__ import annotations

import dataclasses

import fixtures
from hypothesis import given
from hypothesis import strategies

from freezer_scheduler.engines.cinder import duplicates as cinder_duplicates
from freezer_scheduler.freezer import messages
from tests.unit.freezer_scheduler.engines import cases
from tests.unit.freezer_scheduler import fakes

LIMITS = cases.LIMITS
BACKUP_ID = 'f' * 32


def marks(run_id='run-1', step='0.1', **keys):
    return {'created_by': 'freezer', 'freezer_run_id': run_id,
            'freezer_job_id': 'job-1', 'freezer_action_id': 'action-1',
            'freezer_step': step, 'freezer_backup_id': BACKUP_ID, **keys}


class DuplicatesCase(cases.Case):

    def add(self, status='available', **keys):
        """Put a backup into Cinder that was made for this action."""
        self.clock.sleep(1)
        return self.cloud.add_backup(
            status, metadata=marks(**keys.pop('marks', {})), **keys)['id']

    def submitted(self, cinder_id, **keys):
        return self.context(messages.Step(
            'action-1', 0, messages.StepState.SUBMITTED, 1,
            volume_id=fakes.VOLUME, backup_id=BACKUP_ID,
            cinder_backup_id=cinder_id), **keys)

    def deletions_take(self, seconds):
        """Have the lease, of 60 seconds, pass; 35 are needed for each."""
        delete = self.cloud._delete

        def slowly(backup):
            self.lease -= seconds
            return delete(backup)

        self.useFixture(fixtures.MonkeyPatch(
            'tests.unit.freezer_scheduler.fake_cinder.FakeCinder._delete',
            lambda _cloud, backup: slowly(backup)))

    def left(self):
        self.cloud.finish()
        return set(self.cloud.backups)


class TestAfterTheBackup(DuplicatesCase):

    def ended(self, context):
        progress, _context = self.go(context)
        self.assertEqual('success', progress.step.state)
        self.assertEqual(progress.step.cinder_backup_id,
                         self.records()[-1].metadata['cinder_backup_id'])
        return progress.step.cinder_backup_id

    def test_the_younger_one_goes(self):
        first = self.add()
        self.add()
        self.assertEqual(first, self.ended(self.submitted(first)))
        self.assertEqual({first}, self.left())
        self.assertIn('a duplicate of', self.log.output)

    def test_the_oldest_is_recorded_whichever_was_polled(self):
        first = self.add()
        second = self.add()
        self.assertEqual(first, self.ended(self.submitted(second)))
        self.assertEqual({first}, self.left())

    def test_one_of_no_use_is_not_kept(self):
        self.add('error')
        second = self.add()
        self.assertEqual(second, self.ended(self.submitted(second)))
        self.assertEqual({second}, self.left())

    def test_one_that_is_still_made_is_waited_for(self):
        first = self.add()
        self.add('creating')
        self.assertEqual(first, self.ended(self.submitted(first)))
        self.assertEqual({first}, self.left())

    def test_another_goes_on_for_one_that_failed(self):
        first = self.add('error')
        second = self.add('creating')
        self.assertEqual(second, self.ended(self.submitted(first)))
        self.assertEqual({second}, self.left())

    def test_another_goes_on_for_one_that_was_deleted(self):
        second = self.add()
        self.assertEqual(second, self.ended(self.submitted('gone')))

    def test_what_others_build_on_stays(self):
        first = self.add()
        second = self.add(has_dependent_backups=True)
        self.assertEqual(first, self.ended(self.submitted(first)))
        self.assertEqual({first, second}, self.left())
        self.assertIn('and stays', self.log.output)

    def test_backups_of_others_are_no_duplicates(self):
        first = self.add()
        others = {
            self.add(marks={'run_id': 'run-0'}),
            self.add(marks={'freezer_backup_id': 'e' * 32}),
            self.add(marks={'created_by': 'somebody'}),
            self.add(volume_id='22222222-2222-4222-8222-222222222222'),
            self.cloud.add_backup()['id']}
        self.ended(self.submitted(first))
        self.assertEqual({first} | others, self.left())

    def test_nothing_is_deleted_without_lease_enough(self):
        first = self.add()
        self.add()
        self.lease = 0
        _progress, context = self.call(self.submitted(first))
        for _call in range(5):
            progress, context = self.call(context)
        self.assertFalse(progress.step.state.final)
        self.assertEqual(2, len(self.left()))

    def test_no_more_are_deleted_than_the_lease_allows(self):
        first = self.add()
        for _ in range(5):
            self.add()
        self.deletions_take(10)
        self.call(self.submitted(first))
        self.assertEqual(3, len(self.left()))


class TestBeforeTheNext(DuplicatesCase):

    def test_duplicates_of_an_earlier_run_go(self):
        first = self.add(marks={'run_id': 'run-0'})
        second = self.add(marks={'run_id': 'run-0'})
        self.call(self.context())
        self.assertEqual({first}, self.left())
        record = self.records()[0]
        self.assertEqual((BACKUP_ID, 'available', {'cinder_backup_id': first}),
                         (record.backup_id, record.status, record.metadata))
        self.assertIn(second, self.log.output)

    def test_records_that_users_made_up_are_not_reported(self):
        """The API would refuse the report, and those that go with it."""
        for record in ('f' * 33, 'F' * 32, 'x', 'f' * 32 + '\n'):
            for _ in range(2):
                self.add(marks={'run_id': 'run-0',
                                'freezer_backup_id': record})
        progress, _context = self.call(self.context())
        self.assertEqual(messages.StepState.SUBMITTING, progress.step.state)
        self.assertEqual([progress.step.backup_id],
                         [record.backup_id for record in self.records()])

    def test_of_many_only_those_that_fit_are_cleared_up(self):
        for number in range(300):
            for _ in range(2):
                self.add(marks={'run_id': f'run-0{number}',
                                'freezer_backup_id': f'{number:032x}'})
        self.call(self.context())
        # With one of its own.
        self.assertEqual(101, len(self.records()))
        self.call(self.context())
        self.assertEqual(400, len(self.left()))

    def test_no_more_are_deleted_than_the_lease_allows(self):
        for _ in range(6):
            self.add(marks={'run_id': 'run-0'})
        self.deletions_take(10)
        self.call(self.context())
        self.assertEqual(3, len(self.left()))

    def test_an_incremental_one_has_no_duplicate_for_its_base(self):
        first = self.add(marks={'run_id': 'run-0'})
        self.add(marks={'run_id': 'run-0'})
        progress, _context = self.go(self.context(incremental=True))
        self.assertEqual('success', progress.step.state)
        self.assertEqual({first, progress.step.cinder_backup_id}, self.left())

    def test_a_duplicate_is_no_full_one_to_count_from(self):
        self.add(marks={'run_id': 'run-0'})
        self.add(marks={'run_id': 'run-9'}, is_incremental=True)
        self.add(marks={'run_id': 'run-0'})
        self.go(self.context(incremental=True, full_every=2))
        self.assertFalse(self.cloud.posts[0]['incremental'])

    def test_a_record_of_another_job_is_left_alone(self):
        for _number in range(2):
            self.add(marks={'run_id': 'run-0', 'freezer_job_id': 'job-0'})
        self.call(self.context())
        self.assertEqual(1, len(self.left()))
        self.assertEqual(1, len(self.records()))

    def test_what_is_under_way_elsewhere_is_left_alone(self):
        self.add('creating', marks={'run_id': 'run-0'})
        self.add('error', marks={'run_id': 'run-0'})
        self.call(self.context())
        self.assertEqual(2, len(self.cloud.backups))

    def test_a_request_of_an_earlier_try_that_came_late(self):
        late = self.add('creating')
        step = messages.Step(
            'action-1', 0, tries=2, volume_id=fakes.VOLUME,
            backup_id=BACKUP_ID)
        progress, _context = self.go(self.context(step))
        self.assertEqual('success', progress.step.state)
        self.assertEqual(late, progress.step.cinder_backup_id)
        self.assertEqual([], self.cloud.posts)

    def test_a_volume_that_was_busy_with_our_own_backup(self):
        _progress, context = self.call(self.context())
        # The request is on its way when its answer is given up.
        self.cloud.fail('POST', '/backups$', fakes.lost_answer)
        _progress, context = self.call(context)
        self.clock.sleep(LIMITS.settle + 1)
        _progress, context = self.call(context)
        self.clock.sleep(LIMITS.settle + 1)
        progress, context = self.call(context)
        # Now it arrives, just before the second one is sent.
        backup_id = progress.step.backup_id
        self.cloud.add_backup('creating', metadata=marks(
            freezer_backup_id=backup_id))
        self.cloud.volumes[fakes.VOLUME] = 'backing-up'
        progress, _context = self.go(context)
        self.assertEqual('success', progress.step.state)
        self.assertEqual(1, len(self.left()))


class TestOrphaned(DuplicatesCase):

    def forsake(self, context, finish='available'):
        """Call as the scheduler does; return the number of looks."""
        for number in range(cases.MOST_CALLS):
            progress = self.engine.clean_up(context)
            if progress is None:
                return number
            self.clock.sleep(progress.after * 5)
            context = dataclasses.replace(context,
                                          engine_state=progress.engine_state)
            if number >= 3 and finish:
                self.cloud.finish(finish)
        self.fail('does not end')

    def test_the_younger_one_is_deleted_once_cinder_lets_it(self):
        first = self.add(marks={'freezer_backup_id': 'x'})
        self.clock.sleep(1)
        progress, context = self.go(self.context(), 'submitted')
        self.cloud.backups[first]['metadata'] = marks(
            freezer_backup_id=progress.step.backup_id)
        self.forsake(context)
        self.assertEqual({first}, self.left())

    def test_the_older_one_stays_and_so_does_the_others(self):
        progress, context = self.go(self.context(), 'submitted')
        self.cloud.finish()
        second = self.add(
            marks={'freezer_backup_id': progress.step.backup_id})
        self.forsake(context)
        self.assertEqual({progress.step.cinder_backup_id, second},
                         self.left())

    def test_a_backup_without_another_stays(self):
        progress, context = self.go(self.context(), 'submitted')
        self.assertEqual(0, self.forsake(context))
        self.assertEqual({progress.step.cinder_backup_id}, self.left())

    def test_a_lost_answer(self):
        self.cloud.fail('POST', '/backups$', fakes.lost_answer)
        _progress, context = self.call(self.context())
        progress, context = self.call(context)
        self.assertEqual('submitting', progress.step.state)
        backup_id = progress.step.backup_id
        first = self.add(marks={'freezer_backup_id': backup_id})
        self.add('creating', marks={'freezer_backup_id': backup_id})
        self.forsake(context)
        self.assertEqual({first}, self.left())

    def test_what_was_not_asked_for_is_not_looked_for(self):
        _progress, context = self.call(self.context())
        before = len(self.cloud.requests)
        self.assertEqual(0, self.forsake(context))
        self.assertEqual(0, self.forsake(self.submitted('x')))
        self.assertEqual(before, len(self.cloud.requests))

    def test_it_ends_whatever_cinder_does(self):
        for fault in (fakes.no_connection, 403):
            self.cloud.backups.clear()
            self.cloud.volumes[fakes.VOLUME] = 'available'
            _progress, context = self.go(self.context(), 'submitted')
            self.cloud.fail('GET', '/backups/detail', *[fault] * 999)
            self.forsake(context)
            self.cloud.faults.clear()


class TestChoice(cases.Case):

    @given(strategies.lists(strategies.tuples(
        strategies.sampled_from(('available', 'restoring', 'error',
                                 'creating', 'deleting')),
        strategies.integers(0, 3)), max_size=6), strategies.randoms())
    def test_every_observer_keeps_the_same_backup(self, made, chance):
        backups = [cases.backup(str(number), status, age)
                   for number, (status, age) in enumerate(made)]
        one = cinder_duplicates.choose(backups)
        chance.shuffle(backups)
        self.assertEqual(one, cinder_duplicates.choose(backups))
        usable = [backup for backup in backups
                  if backup.status in ('available', 'restoring')]
        if one is None:
            self.assertTrue(not usable or len(backups) == 1)
        else:
            self.assertEqual(
                min(usable, key=lambda backup: (backup.created_at,
                                                backup.id)), one.kept)
            self.assertNotIn(one.kept, one.others)
            self.assertEqual(len(backups), 1 + len(one.others))

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

"""Old backups are removed one by one, through crashes and refusals."""

from __future__ import annotations

import dataclasses
import datetime

from freezer_scheduler import documents
from tests.unit.freezer_scheduler.engines import cases
from tests.unit.freezer_scheduler import fakes

LIMITS = cases.LIMITS
DAY = 86400


class PruneCase(cases.Case):

    def setUp(self):
        super().setUp()
        self.number = 0

    def old(self, age, status='available', base=None, mine=True, **keys):
        """Put a backup into Cinder that was made days ago."""
        self.number += 1
        made = datetime.datetime.fromtimestamp(
            self.clock.epoch - age * DAY, datetime.UTC).replace(tzinfo=None)
        keys.setdefault('metadata', {
            'created_by': 'freezer',
            'freezer_backup_id': f'{self.number:032x}'} if mine else {})
        backup = self.cloud.add_backup(
            status, is_incremental=base is not None, parent=base,
            created_at=made.isoformat(), data_timestamp=made.isoformat(),
            **keys)
        return backup['id']

    def chain(self, age, increments=2, **keys):
        """Put a full backup and increments upon each other into Cinder."""
        ids = [self.old(age, **keys)]
        for number in range(1, increments + 1):
            ids.append(self.old(age - number / 10, base=ids[-1], **keys))
        return ids

    def admin(self, **keys):
        return self.order(action='admin', **keys)

    def deletions(self):
        return [path.rsplit('/', 1)[-1] for method, path
                in self.cloud.requests if method == 'DELETE']

    def deleted_records(self):
        return [(record.backup_id, record.metadata['cinder_backup_id'])
                for record in self.records() if record.status == 'deleted']

    def go(self, order, until='final', aborting=False, finish='available'):
        # Cinder needs a moment for each deletion.
        for _call in range(cases.MOST_CALLS):
            progress, order = self.call(order, aborting)
            if progress.step.state.final or progress.step.state == until:
                return progress, order
            self.clock.sleep(progress.after)
            if progress.after and finish:
                self.cloud.finish(finish, 'disk full')
        self.fail(f'does not come to {until}: {progress}')


class TestOrder(PruneCase):

    def test_chains_go_whole_oldest_first_and_newest_backup_first(self):
        first, second = self.chain(30), self.chain(20)
        third = self.chain(10)
        progress, _order = self.go(self.admin())
        self.assertEqual('success', progress.step.state)
        self.assertEqual(first[::-1] + second[::-1], self.deletions())
        self.assertEqual(third, list(self.cloud.backups))
        self.assertEqual('old backups removed: 6', progress.step.reason)

    def test_records_go_with_their_backups_and_not_before(self):
        first = self.chain(30)
        self.chain(10)
        self.go(self.admin())
        self.assertEqual(
            [(f'{number:032x}', first[number - 1]) for number in (3, 2, 1)],
            self.deleted_records())
        for progress in self.stored:
            for record in progress.backups:
                self.assertNotIn(record.metadata['cinder_backup_id'],
                                 [progress.step.removing])

    def test_a_deletion_is_stored_before_it_is_asked_for(self):
        self.chain(30, 0)
        self.chain(10, 0)
        order = self.admin()
        while not self.deletions():
            stored = order.step
            _progress, order = self.call(order)
        self.assertEqual(self.deletions(), [stored.removing])
        self.assertEqual('pruning', stored.state)

    def test_a_backup_is_available_before_old_ones_go(self):
        old = self.chain(30)
        progress, order = self.go(self.order(remove_older_than=7), 'pruning')
        self.assertEqual([], self.deletions())
        self.assertEqual('available', self.records()[-1].status)
        self.assertIsNone(progress.step.ended_at)
        progress, _order = self.go(order)
        self.assertEqual('success', progress.step.state)
        self.assertEqual(old[::-1], self.deletions())
        self.assertEqual([progress.step.cinder_backup_id],
                         list(self.cloud.backups))
        self.assertEqual('available', [
            record for record in self.records()
            if record.backup_id == progress.step.backup_id][-1].status)

    def test_days_count_back_from_when_the_run_was_due(self):
        """However wrong the clock of this host is."""
        for wrong in (365, -365):
            self.cloud.backups.clear()
            old, young = self.chain(30, 0), self.chain(20, 0)
            due = self.clock.epoch
            self.clock.epoch += wrong * DAY
            done, order = self.go(self.order(
                remove_older_than=25, due_at=due), 'submitted')
            self.cloud.finish()
            done, _order = self.go(order)
            self.clock.epoch = due
            self.assertEqual('success', done.step.state)
            self.assertEqual(
                [*young, done.step.cinder_backup_id],
                list(self.cloud.backups), f'{wrong} {old}')

    def test_nothing_is_removed_after_a_backup_that_failed(self):
        self.chain(30)
        order = self.order(remove_older_than=0, fullbackup_rotation=1)
        _progress, order = self.go(order, 'submitted')
        self.cloud.finish('error')
        progress, _order = self.go(order)
        self.assertEqual('fail', progress.step.state)
        self.assertEqual([], self.deletions())

    def test_the_chain_of_the_new_increment_is_not_touched(self):
        chain = self.chain(30)
        progress, _order = self.go(self.order(
            incremental=True, remove_older_than=0, remove_last_chain=True))
        self.assertEqual('success', progress.step.state)
        self.assertEqual([*chain, progress.step.cinder_backup_id],
                         list(self.cloud.backups))
        self.assertIsNone(progress.step.reason)

    def test_rotation_after_a_backup(self):
        self.chain(30)
        second = self.chain(20)
        progress, _order = self.go(self.order(fullbackup_rotation=2))
        self.assertEqual([*second, progress.step.cinder_backup_id],
                         list(self.cloud.backups))
        self.assertEqual('old backups removed: 3', progress.step.reason)

    def test_without_a_rule_nothing_is_listed_and_nothing_goes(self):
        self.chain(30)
        _progress, order = self.go(self.order(), 'submitted')
        self.cloud.finish()
        progress, _order = self.call(order)
        self.assertEqual('success', progress.step.state)
        self.assertEqual([], self.deletions())

    def test_what_stays_and_why(self):
        self.chain(30, mine=False, increments=0)
        foreign = self.old(25)
        theirs = self.old(24, base=foreign, mine=False)
        self.chain(10)
        progress, _order = self.go(self.admin())
        self.assertEqual('success', progress.step.state)
        self.assertEqual(
            f'old backups removed: 0; the chain of backup {foreign} stays: '
            f'backup {theirs} is not one of Freezer\'s', progress.step.reason)
        progress, _order = self.go(self.admin(
            cindernative_freezer_only=False))
        self.assertEqual('old backups removed: 3', progress.step.reason)

    def test_days_count_from_when_the_action_began(self):
        """However long the removal takes, no more becomes too old."""
        self.chain(10, 0)
        young = self.chain(6.99, 0)
        self.chain(0.1, 0)
        _progress, order = self.go(self.admin(remove_older_than=7), 'pruning')
        self.clock.sleep(DAY)
        self.go(dataclasses.replace(order, memory=None))
        self.assertIn(young[0], self.cloud.backups)
        self.assertEqual(2, len(self.cloud.backups))

    def test_a_record_that_is_none_of_a_record_is_not_told(self):
        for value in ('x', 'F' * 32, '0' * 33, '../../jobs', 7, None):
            self.old(30, metadata={'created_by': 'freezer',
                                   'freezer_backup_id': value})
        self.chain(10, 0)
        progress, _order = self.go(self.admin())
        self.assertEqual('old backups removed: 6', progress.step.reason)
        self.assertEqual([], self.deleted_records())

    def test_an_old_backup_that_names_the_new_record(self):
        order = self.order(fullbackup_rotation=1)
        progress, order = self.go(order, 'submitted')
        self.old(30, metadata={'created_by': 'freezer',
                               'freezer_backup_id': progress.step.backup_id})
        self.cloud.finish()
        progress, _order = self.go(order)
        self.assertEqual('old backups removed: 1', progress.step.reason)
        self.assertEqual([], self.deleted_records())


class TestCrash(PruneCase):

    def test_kill_at_any_moment_ends_in_the_same(self):
        """Whatever was done by whom, what stays and is told is the same."""
        for moment in range(1, 40):
            self.cloud.backups.clear()
            self.stored.clear()
            self.number = 0
            old = self.chain(30)
            kept = self.chain(10)
            order, ended = self.admin(), False
            for number in range(cases.MOST_CALLS):
                progress, after = self.call(order)
                ended = progress.step.state.final
                if ended:
                    break
                if number == moment:
                    # Half of the time before the answer was stored.
                    order = dataclasses.replace(
                        order if moment % 2 else after, memory=None)
                    self.engine = self.process()
                else:
                    order = after
                self.clock.sleep(progress.after)
                if progress.after:
                    self.cloud.finish()
            self.assertTrue(ended)
            self.assertEqual('success', progress.step.state)
            self.assertEqual(kept, list(self.cloud.backups))
            self.assertEqual({(f'{number:032x}', old[number - 1])
                              for number in (1, 2, 3)},
                             set(self.deleted_records()))

    def test_taken_over_before_the_deletion_was_asked_for(self):
        first = self.chain(30, 0)
        second = self.chain(10, 0)
        order = self.admin()
        while order.step.removing is None:
            _progress, order = self.call(order)
        # Meanwhile the user deleted what should have stayed.
        del self.cloud.backups[second[0]]
        progress, _order = self.go(dataclasses.replace(order, memory=None))
        self.assertEqual('success', progress.step.state)
        self.assertEqual(first, list(self.cloud.backups))

    def test_no_deletion_without_a_lease(self):
        self.chain(30, 0)
        self.chain(10, 0)
        order = self.admin()
        self.lease = 1
        for _call in range(20):
            progress, order = self.call(order)
            self.clock.sleep(progress.after)
        self.assertEqual([], self.deletions())
        self.lease = 60
        progress, _order = self.go(order)
        self.assertEqual('success', progress.step.state)
        self.assertEqual(1, len(self.deletions()))

    def test_a_lost_answer_is_asked_for_again(self):
        self.chain(30)
        self.chain(10)
        self.cloud.fail('DELETE', '/backups/', ('accept', fakes.lost_answer),
                        fakes.broken, 503)
        progress, _order = self.go(self.admin())
        self.assertEqual('success', progress.step.state)
        self.assertEqual('old backups removed: 3', progress.step.reason)
        self.assertEqual(3, len(self.deleted_records()))

    def test_somebody_else_deletes_it_too(self):
        old = self.chain(30, 0)
        self.chain(10, 0)
        order = self.admin()
        while order.step.removing is None:
            _progress, order = self.call(order)
        self.cloud.backups[old[0]]['status'] = 'deleting'
        progress, _order = self.go(order)
        self.assertEqual('old backups removed: 1', progress.step.reason)
        self.assertEqual(1, len(self.deleted_records()))

    def test_it_is_gone_already(self):
        old = self.chain(30, 0)
        self.chain(10, 0)
        order = self.admin()
        while order.step.removing is None:
            _progress, order = self.call(order)
        del self.cloud.backups[old[0]]
        progress, _order = self.go(order)
        self.assertEqual('success', progress.step.state)
        self.assertEqual(1, len(self.deleted_records()))

    def test_cinder_counts_a_moment_later(self):
        """A backup may be gone and still count where it was made upon."""
        old = self.chain(30, 1)
        self.chain(10, 0)
        order = self.admin()
        while old[1] in self.cloud.backups:
            progress, order = self.call(order)
            self.clock.sleep(progress.after)
            self.cloud.finish()
        self.cloud.backups[old[0]]['has_dependent_backups'] = True
        for _call in range(5):
            progress, order = self.call(order)
            self.clock.sleep(progress.after)
        self.assertEqual('pruning', progress.step.state)
        self.cloud.backups[old[0]]['has_dependent_backups'] = False
        progress, _order = self.go(order)
        self.assertEqual('old backups removed: 2', progress.step.reason)

    def test_a_count_that_stays_wrong_is_told(self):
        old = self.chain(30, 1)
        self.chain(10, 0)
        self.cloud.backups[old[1]]['has_dependent_backups'] = True
        progress, _order = self.go(self.admin())
        self.assertEqual('success', progress.step.state)
        self.assertIn(f'depends on backup {old[1]}', progress.step.reason)
        self.assertEqual([], self.deletions())


class TestFailure(PruneCase):

    def ended(self, made=False, **keys):
        order = self.order(fullbackup_rotation=1, **keys) if made else (
            self.admin(**keys))
        progress, _order = self.go(order)
        self.assertEqual('fail', progress.step.state)
        self.assertIsNone(progress.step.removing)
        self.assertEqual(not made, progress.retry)
        if made:
            self.assertIn(f'backup {progress.step.cinder_backup_id} is '
                          'available', progress.step.reason)
        return progress.step.reason

    def test_cinder_refuses(self):
        for made in (False, True):
            old = self.chain(30, 0)
            self.chain(10, 0)
            self.cloud.fail('DELETE', '/backups/', (400, 'no dice'))
            reason = self.ended(made)
            self.assertIn(f'backup {old[0]} stays: Cinder: no dice', reason)
            self.assertIn('old backups removed: 0', reason)
            self.cloud.backups.clear()

    def test_cinder_fails_to_delete(self):
        for status in ('error', 'error_deleting'):
            old = self.chain(30, 1)
            self.chain(10, 0)
            order = self.admin()
            while not self.deletions():
                _progress, order = self.call(order)
            self.cloud.backups[old[1]].update(status=status,
                                              fail_reason='no such file')
            progress, _order = self.go(order)
            self.assertEqual('fail', progress.step.state)
            self.assertIn(f'{status} (no such file)', progress.step.reason)
            self.assertEqual([], self.deleted_records())
            self.assertEqual(1, len(self.deletions()))
            self.cloud.backups.clear()
            self.cloud.requests.clear()

    def test_a_deletion_that_does_not_end(self):
        self.chain(30, 0)
        self.chain(10, 0)
        order = self.admin()
        for _call in range(cases.MOST_CALLS * 10):
            progress, order = self.call(order)
            if progress.step.state.final:
                break
            self.clock.sleep(progress.after)
        self.assertEqual('fail', progress.step.state)
        self.assertIn('still being deleted after 3600', progress.step.reason)

    def test_cinder_is_away_for_a_while_and_for_too_long(self):
        self.chain(30, 0)
        self.chain(10, 0)
        self.cloud.fail('GET', '/backups', *[fakes.no_connection] * 5)
        progress, _order = self.go(self.admin())
        self.assertEqual('success', progress.step.state)
        self.cloud.fail('GET', '/backups', *[fakes.no_connection] * 500)
        self.assertIn('cannot be reached', self.ended())

    def test_the_trust_is_gone(self):
        self.chain(30, 0)
        self.chain(10, 0)
        _progress, order = self.go(self.admin(), 'pruning')
        self.cloud.trusts.clear()
        progress, _order = self.go(order)
        self.assertEqual('fail', progress.step.state)
        self.assertFalse(progress.retry)

    def test_an_admin_action_that_cannot_be_read(self):
        progress, _order = self.go(self.admin(remove_older_than=False))
        self.assertEqual('fail', progress.step.state)
        self.assertIn('remove_older_than:', progress.step.reason)
        self.assertEqual([], self.cloud.requests)

    def test_another_try_begins_anew(self):
        self.chain(30, 0)
        self.chain(10, 0)
        self.cloud.fail('DELETE', '/backups/', (400, 'no dice'))
        progress, _order = self.go(self.admin())
        step = dataclasses.replace(
            progress.step, state=documents.StepState.PENDING, tries=2)
        progress, _order = self.go(self.admin(step=step))
        self.assertEqual('success', progress.step.state)
        self.assertEqual('old backups removed: 1', progress.step.reason)

    def test_the_try_before_was_to_make_a_backup(self):
        self.chain(30, 0)
        self.chain(10, 0)
        step = documents.Step('action-1', 0, tries=2, backup_id='a' * 32,
                              cinder_backup_id='failed')
        progress, _order = self.go(self.admin(step=step))
        self.assertEqual(('success', 'old backups removed: 1'),
                         (progress.step.state, progress.step.reason))

    def test_the_action_was_changed_meanwhile(self):
        self.chain(30, 0)
        _progress, order = self.go(self.order(remove_older_than=7), 'pruning')
        progress, _order = self.go(dataclasses.replace(
            order, memory=None, freezer_action=fakes.action()))
        self.assertEqual('success', progress.step.state)
        self.assertEqual([], self.deletions())


class TestAbort(PruneCase):

    def test_before_it_begins(self):
        progress, _order = self.go(self.admin(), aborting=True)
        self.assertEqual('aborted', progress.step.state)
        self.assertEqual([], self.cloud.requests)

    def test_the_next_deletion_is_not_begun(self):
        old = self.chain(30)
        _progress, order = self.go(self.order(remove_older_than=7), 'pruning')
        while not self.deletions():
            _progress, order = self.call(order)
        progress, _order = self.go(order, aborting=True)
        self.assertEqual('aborted', progress.step.state)
        self.assertEqual(
            f'aborted; Cinder\'s backup {progress.step.cinder_backup_id} is '
            'available; old backups removed: 1', progress.step.reason)
        self.assertEqual([old[-1]], self.deletions())
        # What was under way has ended, and its record with it.
        self.assertEqual(old[-1], self.deleted_records()[0][1])
        self.assertNotIn(old[-1], self.cloud.backups)

    def test_a_deletion_that_is_only_meant_is_dropped(self):
        self.chain(30, 0)
        self.chain(10, 0)
        order = self.admin()
        while order.step.removing is None:
            _progress, order = self.call(order)
        progress, _order = self.go(order, aborting=True)
        self.assertEqual('aborted', progress.step.state)
        self.assertEqual([], self.deletions())


class TestStored(cases.Case):

    def test_what_is_stored_is_read_again(self):
        step = documents.Step(
            'a', 0, documents.StepState.PRUNING, tries=1, volume_id='v',
            removing='c', removing_record='r', removed=3)
        self.assertEqual(step, documents.Step.from_document(
            step.to_document()))
        self.assertFalse(step.state.final)
        plain = documents.Step('a', 0).to_document()
        self.assertFalse({'removing', 'removed'} & set(plain))

    def test_memory_of_a_backup_is_none_of_a_removal(self):
        order = self.order(step=documents.Step(
            'a', 0, documents.StepState.PRUNING, volume_id=fakes.VOLUME),
            action='admin', memory='something else')
        progress, _order = self.call(order)
        self.assertEqual('success', progress.step.state)

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
import zoneinfo

from freezer_scheduler.freezer import messages
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
        return self.context(action='admin', **keys)

    def deletions(self):
        return [path.rsplit('/', 1)[-1] for method, path
                in self.cloud.requests if method == 'DELETE']

    def deleted_records(self):
        return [(record.backup_id, record.metadata['cinder_backup_id'])
                for record in self.records() if record.status == 'deleted']

    def go(self, context, until='final', aborting=False, finish='available'):
        # Cinder needs a moment for each deletion.
        for _call in range(cases.MOST_CALLS):
            progress, context = self.call(context, aborting)
            if progress.step.state.final or progress.step.state == until:
                return progress, context
            self.clock.sleep(progress.after)
            if progress.after and finish:
                self.cloud.finish(finish, 'disk full')
        self.fail(f'does not come to {until}: {progress}')


class TestOrder(PruneCase):

    def test_chains_go_whole_oldest_first_and_newest_backup_first(self):
        first, second = self.chain(30), self.chain(20)
        third = self.chain(10)
        progress, _context = self.go(self.admin())
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
        context = self.admin()
        while not self.deletions():
            stored = context.step
            _progress, context = self.call(context)
        self.assertEqual(self.deletions(), [stored.removing])
        self.assertEqual('pruning', stored.state)

    def test_a_backup_is_available_before_old_ones_go(self):
        old = self.chain(30)
        progress, context = self.go(self.context(remove_older_than=7),
                                    'pruning')
        self.assertEqual([], self.deletions())
        self.assertEqual('available', self.records()[-1].status)
        self.assertIsNone(progress.step.ended_at)
        progress, _context = self.go(context)
        self.assertEqual('success', progress.step.state)
        self.assertEqual(old[::-1], self.deletions())
        self.assertEqual([progress.step.cinder_backup_id],
                         list(self.cloud.backups))
        self.assertEqual('available', [
            record for record in self.records()
            if record.backup_id == progress.step.backup_id][-1].status)

    def test_days_are_those_of_the_zone_of_the_schedule(self):
        """23:00 and 01:00 in UTC are one day in Los Angeles."""
        day = self.clock.epoch // DAY * DAY
        for zone, removed in (
                (datetime.UTC, 0),
                (zoneinfo.ZoneInfo('America/Los_Angeles'), 1)):
            self.cloud.backups.clear()
            self.cloud.requests.clear()
            ids = [self.old((self.clock.epoch - day) / DAY - hours / 24)
                   for hours in (-36, -1, 1)]
            progress, _context = self.go(dataclasses.replace(
                self.admin(keep_daily=2), zone=zone))
            self.assertEqual('success', progress.step.state)
            self.assertEqual([ids[removed]], self.deletions())

    def test_a_held_chain_stays_and_the_reason_says_so(self):
        held = self.chain(30)
        for backup_id in held[1:2]:
            self.cloud.backups[backup_id]['metadata'][
                'freezer_hold_until'] = '2100-01-01'
        other = self.chain(20)
        self.chain(10)
        progress, _context = self.go(self.admin(keep_last=1))
        self.assertEqual('success', progress.step.state)
        self.assertEqual(other[::-1], self.deletions())
        self.assertIn(f'of backup {held[1]}, freezer_hold_until is 2100-01-01',
                      progress.step.reason)

    def test_days_count_back_from_when_the_run_was_due(self):
        """However wrong the clock of this host is."""
        for wrong in (365, -365):
            self.cloud.backups.clear()
            old, young = self.chain(30, 0), self.chain(20, 0)
            due = self.clock.epoch
            self.clock.epoch += wrong * DAY
            done, context = self.go(self.context(
                remove_older_than=25, due_at=due), 'submitted')
            self.cloud.finish()
            done, _context = self.go(context)
            self.clock.epoch = due
            self.assertEqual('success', done.step.state)
            self.assertEqual(
                [*young, done.step.cinder_backup_id],
                list(self.cloud.backups), f'{wrong} {old}')

    def test_nothing_is_removed_after_a_backup_that_failed(self):
        self.chain(30)
        context = self.context(remove_older_than=0, fullbackup_rotation=1)
        _progress, context = self.go(context, 'submitted')
        self.cloud.finish('error')
        progress, _context = self.go(context)
        self.assertEqual('fail', progress.step.state)
        # But for that one.
        self.assertEqual([context.step.cinder_backup_id], self.deletions())

    def test_the_chain_of_the_new_increment_is_not_touched(self):
        chain = self.chain(30)
        progress, _context = self.go(self.context(
            incremental=True, remove_older_than=0, remove_last_chain=True))
        self.assertEqual('success', progress.step.state)
        self.assertEqual([*chain, progress.step.cinder_backup_id],
                         list(self.cloud.backups))
        self.assertIsNone(progress.step.reason)

    def test_rotation_after_a_backup(self):
        self.chain(30)
        second = self.chain(20)
        progress, _context = self.go(self.context(fullbackup_rotation=2))
        self.assertEqual([*second, progress.step.cinder_backup_id],
                         list(self.cloud.backups))
        self.assertEqual('old backups removed: 3', progress.step.reason)

    def test_without_a_rule_nothing_is_listed_and_nothing_goes(self):
        self.chain(30)
        _progress, context = self.go(self.context(), 'submitted')
        self.cloud.finish()
        progress, _context = self.call(context)
        self.assertEqual('success', progress.step.state)
        self.assertEqual([], self.deletions())

    def test_what_stays_and_why(self):
        self.chain(30, mine=False, increments=0)
        foreign = self.old(25)
        theirs = self.old(24, base=foreign, mine=False)
        self.chain(10)
        progress, _context = self.go(self.admin())
        self.assertEqual('success', progress.step.state)
        self.assertEqual(
            f'old backups removed: 0; the chain of backup {foreign} stays: '
            f'backup {theirs} was not made by Freezer', progress.step.reason)
        progress, _context = self.go(self.admin(
            cindernative_freezer_only=False))
        self.assertEqual('old backups removed: 3', progress.step.reason)

    def test_days_count_from_when_the_action_began(self):
        """However long the removal takes, no more becomes too old."""
        self.chain(10, 0)
        young = self.chain(6.99, 0)
        self.chain(0.1, 0)
        _progress, context = self.go(self.admin(remove_older_than=7),
                                     'pruning')
        self.clock.sleep(DAY)
        self.go(dataclasses.replace(context, engine_state=None))
        self.assertIn(young[0], self.cloud.backups)
        self.assertEqual(2, len(self.cloud.backups))

    def test_a_record_that_is_none_of_a_record_is_not_told(self):
        for value in ('x', 'F' * 32, '0' * 33, '../../jobs', 7, None):
            self.old(30, metadata={'created_by': 'freezer',
                                   'freezer_backup_id': value})
        self.chain(10, 0)
        progress, _context = self.go(self.admin())
        self.assertEqual('old backups removed: 6', progress.step.reason)
        self.assertEqual([], self.deleted_records())

    def test_an_old_backup_that_names_the_new_record(self):
        context = self.context(fullbackup_rotation=1)
        progress, context = self.go(context, 'submitted')
        self.old(30, metadata={'created_by': 'freezer',
                               'freezer_backup_id': progress.step.backup_id})
        self.cloud.finish()
        progress, _context = self.go(context)
        self.assertEqual('old backups removed: 1', progress.step.reason)
        self.assertEqual([], self.deleted_records())


class TestCrash(PruneCase):

    def test_kill_at_any_moment_ends_in_the_same(self):
        """Any number of holders ends with the same backups and reports."""
        for moment in range(1, 40):
            self.cloud.backups.clear()
            self.stored.clear()
            self.number = 0
            old = self.chain(30)
            kept = self.chain(10)
            context, ended = self.admin(), False
            for number in range(cases.MOST_CALLS):
                progress, after = self.call(context)
                ended = progress.step.state.final
                if ended:
                    break
                if number == moment:
                    # Half of the time before the answer was stored.
                    context = dataclasses.replace(
                        context if moment % 2 else after, engine_state=None)
                    self.engine = self.process()
                else:
                    context = after
                self.clock.sleep(progress.after)
                if progress.after:
                    self.cloud.finish()
            self.assertTrue(ended)
            self.assertEqual('success', progress.step.state)
            self.assertEqual(kept, list(self.cloud.backups))
            self.assertEqual({(f'{number:032x}', old[number - 1])
                              for number in (1, 2, 3)},
                             set(self.deleted_records()))

    def test_reclaimed_before_the_request_for_the_deletion(self):
        first = self.chain(30, 0)
        second = self.chain(10, 0)
        context = self.admin()
        while context.step.removing is None:
            _progress, context = self.call(context)
        # Meanwhile the user deleted what should have stayed.
        del self.cloud.backups[second[0]]
        progress, _context = self.go(
            dataclasses.replace(context, engine_state=None))
        self.assertEqual('success', progress.step.state)
        self.assertEqual(first, list(self.cloud.backups))

    def test_no_deletion_without_a_lease(self):
        self.chain(30, 0)
        self.chain(10, 0)
        context = self.admin()
        self.lease = 1
        for _call in range(20):
            progress, context = self.call(context)
            self.clock.sleep(progress.after)
        self.assertEqual([], self.deletions())
        self.lease = 60
        progress, _context = self.go(context)
        self.assertEqual('success', progress.step.state)
        self.assertEqual(1, len(self.deletions()))

    def test_a_lost_answer_is_asked_for_again(self):
        self.chain(30)
        self.chain(10)
        self.cloud.fail('DELETE', '/backups/', ('accept', fakes.lost_answer),
                        fakes.broken, 503)
        progress, _context = self.go(self.admin())
        self.assertEqual('success', progress.step.state)
        self.assertEqual('old backups removed: 3', progress.step.reason)
        self.assertEqual(3, len(self.deleted_records()))

    def test_a_user_deletes_the_same_backup(self):
        old = self.chain(30, 0)
        self.chain(10, 0)
        context = self.admin()
        while context.step.removing is None:
            _progress, context = self.call(context)
        self.cloud.backups[old[0]]['status'] = 'deleting'
        progress, _context = self.go(context)
        self.assertEqual('old backups removed: 1', progress.step.reason)
        self.assertEqual(1, len(self.deleted_records()))

    def test_it_is_gone_already(self):
        old = self.chain(30, 0)
        self.chain(10, 0)
        context = self.admin()
        while context.step.removing is None:
            _progress, context = self.call(context)
        del self.cloud.backups[old[0]]
        progress, _context = self.go(context)
        self.assertEqual('success', progress.step.state)
        self.assertEqual(1, len(self.deleted_records()))

    def test_cinder_counts_a_moment_later(self):
        """A backup may be gone and still count where it was made upon."""
        old = self.chain(30, 1)
        self.chain(10, 0)
        context = self.admin()
        while old[1] in self.cloud.backups:
            progress, context = self.call(context)
            self.clock.sleep(progress.after)
            self.cloud.finish()
        self.cloud.backups[old[0]]['has_dependent_backups'] = True
        for _call in range(5):
            progress, context = self.call(context)
            self.clock.sleep(progress.after)
        self.assertEqual('pruning', progress.step.state)
        self.cloud.backups[old[0]]['has_dependent_backups'] = False
        progress, _context = self.go(context)
        self.assertEqual('old backups removed: 2', progress.step.reason)

    def test_a_count_that_stays_wrong_is_told(self):
        old = self.chain(30, 1)
        self.chain(10, 0)
        self.cloud.backups[old[1]]['has_dependent_backups'] = True
        progress, _context = self.go(self.admin())
        self.assertEqual('success', progress.step.state)
        self.assertIn(f'depends on backup {old[1]}', progress.step.reason)
        self.assertEqual([], self.deletions())


class TestUndeletable(PruneCase):
    """One backup that will not go stops nothing but what it depends on."""

    def kept_apart(self, made=False, **keys):
        """Run, and return the reason; the run is a success."""
        context = self.context(fullbackup_rotation=1, **keys) if made else (
            self.admin(**keys))
        for _call in range(cases.MOST_CALLS * 10):
            progress, context = self.call(context)
            if progress.step.state.final:
                break
            self.clock.sleep(progress.after)
            if progress.after:
                self.cloud.finish()
        self.assertEqual('success', progress.step.state, progress)
        self.assertIsNone(progress.step.removing)
        self.assertFalse(progress.retry)
        return progress.step.reason

    def faulty(self, backup_id, *faults):
        self.cloud.fail('DELETE', f'/backups/{backup_id}', *faults)

    def test_any_answer_of_cinder_to_a_deletion(self):
        for made in (False, True):
            for answer, words in (
                    ((400, 'no dice'), 'Cinder: no dice (400)'),
                    ((404, 'Service cinder-backup could not be found.'),
                     'Service cinder-backup could not be found. (404)'),
                    ((409, 'busy'), 'Cinder: busy (409)'),
                    ((413, 'too much'), 'Cinder: too much (413)'),
                    (500, 'Cinder answered 500'),
                    (503, 'Cinder answered 503'),
                    (fakes.broken, 'Cinder gave')):
                self.cloud.backups.clear()
                self.old_backups.clear()
                stuck = self.old(40)
                self.chain(30)
                kept = self.chain(10, 0)
                self.faulty(stuck, *[answer] * 20)
                reason = self.kept_apart(made)
                self.cloud.faults.clear()
                left = [one for one, backup in self.cloud.backups.items()
                        if backup['created_at'] < self.cloud.time()]
                self.assertIn(stuck, left)
                self.assertEqual(made, kept[0] not in left)
                removed = 4 if made else 3
                self.assertIn(f'old backups removed: {removed}; backup '
                              f'{stuck} stays: ', reason)
                self.assertIn(words, reason)
                self.assertEqual([True] * removed,
                                 sorted(self.old_backups)[1:])
                self.assertFalse(sorted(self.old_backups)[0])

    def test_an_increment_keeps_what_it_depends_on(self):
        for number in range(3):
            self.cloud.backups.clear()
            first, second = self.chain(40), self.chain(30)
            kept = self.chain(10)
            self.cloud.undeletable.add(first[number])
            reason = self.kept_apart()
            self.assertIn(f'backup {first[number]} stays', reason)
            self.assertEqual({*first[:number + 1], *kept},
                             set(self.cloud.backups))
            # The next run tries again.
            self.cloud.undeletable.clear()
            self.kept_apart()
            self.assertEqual(set(kept), set(self.cloud.backups))
            self.assertNotIn(second[0], self.cloud.backups)

    def test_the_data_of_a_snapshots_backup_in_ceph_is_not_risked(self):
        failed, old = self.old(50, 'error'), self.chain(40, 1)
        theirs = self.old(30, mine=False, object_count=0, snapshot_id='s')
        kept = self.chain(10, 0)
        reason = self.kept_apart()
        self.assertIn(f'backup {failed} stays: Cinder could delete the data '
                      f'of backup {theirs}', reason)
        self.assertEqual(set(old), set(self.deletions()))
        self.assertEqual({failed, theirs, *kept}, set(self.cloud.backups))

    def test_each_is_asked_for_once_in_a_run(self):
        stuck = [self.old(40 - number) for number in range(5)]
        self.chain(10, 0)
        self.cloud.undeletable.update(stuck)
        reason = self.kept_apart()
        self.assertEqual(stuck, self.deletions())
        self.assertIn('; 2 more stay', reason)
        self.assertEqual([False] * 5, self.old_backups)

    def test_cinder_takes_it_on_and_fails(self):
        for status in ('error', 'error_deleting'):
            self.cloud.backups.clear()
            first, second = self.chain(40, 1), self.chain(30, 1)
            kept = self.chain(10, 0)
            context = self.admin()
            while not self.deletions():
                _progress, context = self.call(context)
            self.cloud.backups[first[1]].update(status=status,
                                                fail_reason='no such file')
            progress, _context = self.go(context)
            self.assertEqual('success', progress.step.state)
            self.assertIn(f'backup {first[1]} stays: Cinder did not delete '
                          f'it, and it is {status} (no such file) now',
                          progress.step.reason)
            self.assertEqual({*first, *kept}, set(self.cloud.backups))
            self.assertNotIn(second[0], self.cloud.backups)
            self.assertEqual(2, len(self.deleted_records()))
            self.cloud.requests.clear()
            self.stored.clear()

    def test_one_that_is_in_error_deleting_for_ever(self):
        first = self.chain(40, 1)
        self.chain(30, 1)
        kept = self.chain(10, 0)
        self.cloud.backups[first[1]]['status'] = 'error_deleting'
        for made in (False, True):
            self.old_backups.clear()
            reason = self.kept_apart(made)
            self.assertIn(f'backup {first[1]} is error_deleting', reason)
            self.assertIn(False, self.old_backups)
            self.assertEqual(made, kept[0] not in self.cloud.backups)
            self.assertLessEqual(set(first), set(self.cloud.backups))

    def test_a_deletion_that_does_not_end(self):
        stuck = self.old(40)
        self.chain(30, 0)
        self.chain(10, 0)
        context = self.admin()
        for _call in range(cases.MOST_CALLS * 10):
            progress, context = self.call(context)
            if progress.step.state.final:
                break
            self.clock.sleep(progress.after)
            if progress.after:
                self.cloud.finish()
                self.cloud.backups.setdefault(stuck, {
                    **self.cloud.add_backup('deleting'), 'id': stuck})
                self.cloud.backups = {
                    key: value for key, value in self.cloud.backups.items()
                    if key == value['id']}
        self.assertEqual('success', progress.step.state)
        self.assertIn(f'backup {stuck} stays: it is still being deleted '
                      'after 3600', progress.step.reason)

    def test_a_kill_forgets_only_what_was_refused(self):
        """The next holder asks once more, and ends with the same result."""
        for moment in range(1, 30):
            self.cloud.backups.clear()
            self.stored.clear()
            first, second = self.chain(40), self.chain(30)
            kept = self.chain(10)
            self.cloud.undeletable = {first[1]}
            context = self.admin()
            for number in range(cases.MOST_CALLS):
                progress, after = self.call(context)
                if progress.step.state.final:
                    break
                context = after
                if number == moment:
                    context = dataclasses.replace(context, engine_state=None)
                    self.engine = self.process()
                self.clock.sleep(progress.after)
                if progress.after:
                    self.cloud.finish()
            self.assertEqual('success', progress.step.state)
            self.assertIn(f'old backups removed: 4; backup {first[1]} stays',
                          progress.step.reason)
            self.assertEqual({*first[:2], *kept}, set(self.cloud.backups))
            self.assertNotIn(second[0], self.cloud.backups)


class TestFailure(PruneCase):

    def ended(self, made=False, **keys):
        context = self.context(fullbackup_rotation=1, **keys) if made else (
            self.admin(**keys))
        progress, _context = self.go(context)
        self.assertEqual('fail', progress.step.state)
        self.assertIsNone(progress.step.removing)
        self.assertTrue(progress.retry)
        return progress.step.reason

    def test_cinder_is_unavailable_after_a_good_backup(self):
        """What becomes of old backups is no failure of the new one."""
        self.chain(30, 0)
        _progress, context = self.go(self.context(fullbackup_rotation=1),
                                     'pruning')
        self.cloud.fail('GET', '/backups', *[fakes.no_connection] * 500)
        progress, _context = self.go(context)
        self.assertEqual('success', progress.step.state)
        self.assertIn('old backups stay: Cinder cannot be reached',
                      progress.step.reason)

    def test_cinder_is_unavailable_for_a_while_and_for_too_long(self):
        self.chain(30, 0)
        self.chain(10, 0)
        self.cloud.fail('GET', '/backups', *[fakes.no_connection] * 5)
        progress, _context = self.go(self.admin())
        self.assertEqual('success', progress.step.state)
        self.cloud.fail('GET', '/backups', *[fakes.no_connection] * 500)
        self.assertIn('cannot be reached', self.ended())

    def test_the_trust_is_gone(self):
        self.chain(30, 0)
        self.chain(10, 0)
        _progress, context = self.go(self.admin(), 'pruning')
        self.cloud.trusts.clear()
        progress, _context = self.go(context)
        self.assertEqual('fail', progress.step.state)
        self.assertFalse(progress.retry)

    def test_an_admin_action_that_cannot_be_read(self):
        progress, _context = self.go(self.admin(remove_older_than=False))
        self.assertEqual('fail', progress.step.state)
        self.assertIn('remove_older_than:', progress.step.reason)
        self.assertEqual([], self.cloud.requests)

    def test_another_try_begins_anew(self):
        self.chain(30, 0)
        self.chain(10, 0)
        self.cloud.fail('GET', '/backups', *[fakes.no_connection] * 500)
        progress, _context = self.go(self.admin())
        self.cloud.faults.clear()
        step = dataclasses.replace(
            progress.step, state=messages.StepState.PENDING, tries=2)
        progress, _context = self.go(self.admin(step=step))
        self.assertEqual('success', progress.step.state)
        self.assertEqual('old backups removed: 1', progress.step.reason)

    def test_the_try_before_was_to_make_a_backup(self):
        self.chain(30, 0)
        self.chain(10, 0)
        step = messages.Step('action-1', 0, tries=2, backup_id='a' * 32,
                             cinder_backup_id='failed')
        progress, _context = self.go(self.admin(step=step))
        self.assertEqual(('success', 'old backups removed: 1'),
                         (progress.step.state, progress.step.reason))

    def test_the_action_was_changed_meanwhile(self):
        self.chain(30, 0)
        _progress, context = self.go(self.context(remove_older_than=7),
                                     'pruning')
        progress, _context = self.go(dataclasses.replace(
            context, engine_state=None, freezer_action=fakes.action()))
        self.assertEqual('success', progress.step.state)
        self.assertEqual([], self.deletions())


class TestAbort(PruneCase):

    def test_before_it_begins(self):
        progress, _context = self.go(self.admin(), aborting=True)
        self.assertEqual('aborted', progress.step.state)
        self.assertEqual([], self.cloud.requests)

    def test_the_next_deletion_is_not_begun(self):
        old = self.chain(30)
        _progress, context = self.go(self.context(remove_older_than=7),
                                     'pruning')
        while not self.deletions():
            _progress, context = self.call(context)
        progress, _context = self.go(context, aborting=True)
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
        context = self.admin()
        while context.step.removing is None:
            _progress, context = self.call(context)
        progress, _context = self.go(context, aborting=True)
        self.assertEqual('aborted', progress.step.state)
        self.assertEqual([], self.deletions())


class TestStored(cases.Case):

    def test_what_is_stored_is_read_again(self):
        step = messages.Step(
            'a', 0, messages.StepState.PRUNING, tries=1, volume_id='v',
            removing='c', removing_record='r', removed=3,
            engine='cindernative', action='admin')
        self.assertEqual(step, messages.Step.from_document(
            step.to_document()))
        self.assertFalse(step.state.final)
        plain = messages.Step('a', 0).to_document()
        self.assertFalse({'removing', 'removed'} & set(plain))

    def test_the_engine_state_of_a_backup_is_not_used_for_a_removal(self):
        context = self.context(step=messages.Step(
            'a', 0, messages.StepState.PRUNING, volume_id=fakes.VOLUME),
            action='admin', engine_state='something else')
        progress, _context = self.call(context)
        self.assertEqual('success', progress.step.state)

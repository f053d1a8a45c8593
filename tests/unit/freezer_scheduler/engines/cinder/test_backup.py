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

"""Cinder-native backups, through crashes, lost answers and refusals."""

from __future__ import annotations

import dataclasses

from freezer_scheduler.freezer import messages
from tests.unit.freezer_scheduler.engines import cases
from tests.unit.freezer_scheduler import fakes

LIMITS = cases.LIMITS


class TestBackup(cases.Case):

    def test_success_only_on_available(self):
        progress, context = self.go(self.context(), 'submitted')
        for _call in range(20):
            progress, context = self.call(context)
            self.assertEqual('submitted', progress.step.state)
            self.clock.sleep(progress.after)
        self.cloud.finish()
        progress, _context = self.call(context)
        self.assertEqual('success', progress.step.state)
        self.assertEqual(1, len(self.cloud.posts))

    def test_the_intent_is_stored_before_anything_is_sent(self):
        progress, _context = self.call(self.context())
        self.assertEqual('submitting', progress.step.state)
        self.assertEqual('creating', progress.backups[0].status)
        self.assertEqual([], self.cloud.posts)

    def test_a_trust_without_an_endpoint_fails_the_run(self):
        """Keystone may show it another catalogue than the service."""
        for catalogue in ([], [fakes.entry('image', 'http://x', 'two')]):
            self.engine = self.process()
            self.cloud.catalogue = catalogue
            progress, _context = self.call(self.context())
            self.assertEqual('fail', progress.step.state)
            self.assertIn('the catalogue has no public endpoint of Cinder',
                          progress.step.reason)
            self.assertTrue(progress.retry)
        self.assertEqual([], self.cloud.posts)

    def test_a_backup_under_way_waits_for_its_endpoint(self):
        _progress, context = self.go(self.context(), until='submitted')
        self.engine = self.process()
        self.cloud.catalogue = []
        progress, context = self.call(context)
        self.assertEqual('submitted', progress.step.state)
        self.cloud.catalogue = None
        self.engine = self.process()
        self.cloud.finish()
        progress, _context = self.call(context)
        self.assertEqual('success', progress.step.state)

    def test_what_is_sent(self):
        self.go(self.context(container='c1', cindernative_backup_az='az1',
                             backup_name='n1', log_file='/etc/passwd',
                             unknown='intruder'))
        self.assertEqual({
            'volume_id': fakes.VOLUME, 'container': 'c1', 'name': 'n1',
            'description': f'Backup created by Freezer for volume '
                           f'{fakes.VOLUME}',
            'force': True, 'incremental': False, 'availability_zone': 'az1',
            'metadata': {
                'created_by': 'freezer', 'freezer_run_id': 'run-1',
                'freezer_job_id': 'job-1', 'freezer_action_id': 'action-1',
                'freezer_step': '0.1',
                'freezer_backup_id': self.records()[0].backup_id,
                'freezer_container': 'c1'}},
            self.cloud.posts[0])

    def test_the_record_goes_from_creating_to_available(self):
        self.go(self.context())
        records = self.records()
        self.assertEqual(['creating', 'creating', 'available'],
                         [record.status for record in records])
        self.assertEqual(1, len({record.backup_id for record in records}))
        told = {}
        for record in records:
            told.update(record.metadata)
        cinder_id = next(iter(self.cloud.backups))
        for key, value in (
                ('cinder_backup_id', cinder_id), ('size', 1),
                ('is_incremental', False), ('curr_backup_level', 0),
                ('mode', 'cindernative'), ('action', 'backup'),
                ('backup_media', 'cindernative'), ('hostname', 'here'),
                ('container', self.cloud.backups[cinder_id]['container']),
                ('cindernative_backup_container', ''), ('path_to_backup', ''),
                ('cindernative_vol_id', fakes.VOLUME)):
            self.assertEqual(value, told[key], key)
        self.assertIsInstance(told['time_stamp'], int)
        self.assertGreater(told['duration'], 0)

    def test_incremental_with_a_base(self):
        self.cloud.add_backup()
        self.go(self.context(incremental=True))
        self.assertTrue(self.cloud.posts[0]['incremental'])
        self.assertEqual(1, self.records()[-1].metadata['curr_backup_level'])

    def test_full_where_there_is_no_base(self):
        self.cloud.add_backup('error')
        self.go(self.context(incremental=True))
        self.assertEqual([False], [post['incremental']
                                   for post in self.cloud.posts])

    def test_full_where_cinder_refuses_the_increment(self):
        self.cloud.add_backup()
        self.cloud.fail('POST', '/backups$', (400, 'parent is gone'))
        progress, _context = self.go(self.context(incremental=True))
        self.assertEqual('success', progress.step.state)
        # The first one was refused: only the second made a backup.
        self.assertEqual([False], [post['incremental']
                                   for post in self.cloud.posts])


class TestFailure(cases.Case):

    def ended(self, **keys):
        finish = keys.pop('finish', 'available')
        progress, _context = self.go(self.context(**keys), finish=finish)
        self.assertEqual('fail', progress.step.state)
        return progress

    def test_an_unusable_action(self):
        progress = self.ended(cindernative_vol_id='../x')
        self.assertIn('cindernative_vol_id', progress.step.reason)
        self.assertFalse(progress.retry)
        self.assertEqual([], self.cloud.requests)

    def test_error_in_cinder_with_its_reason(self):
        progress = self.ended(finish='error')
        self.assertIn('disk full', progress.step.reason)
        self.assertTrue(progress.retry)
        self.assertEqual('error', self.records()[-1].status)

    def test_another_try_clears_up_after_the_last(self):
        progress, _context = self.go(self.context(), finish='error')
        failed = progress.step.cinder_backup_id
        step = dataclasses.replace(
            progress.step, state=messages.StepState.PENDING, tries=2)
        progress, _context = self.go(self.context(step))
        self.assertEqual('success', progress.step.state)
        self.assertNotIn(failed, self.cloud.backups)
        self.assertIsNone(next(
            progress.step.cinder_backup_id for progress in self.stored
            if progress.step.tries == 2))
        self.assertEqual(['0.1', '0.2'], [
            post['metadata']['freezer_step'] for post in self.cloud.posts])
        self.assertEqual(1, len({r.backup_id for r in self.records()}))

    def test_a_missing_volume(self):
        self.cloud.volumes.clear()
        progress = self.ended()
        self.assertIn('not there', progress.step.reason)
        self.assertFalse(progress.retry)

    def test_over_quota(self):
        self.cloud.fail('POST', '/backups$', (413, 'limit exceeded'))
        progress = self.ended()
        self.assertIn('limit exceeded (413)', progress.step.reason)
        self.assertTrue(progress.retry)

    def test_refused_by_cinder(self):
        self.cloud.fail('POST', '/backups$', (400, 'no such thing'))
        self.assertIn('no such thing', self.ended().step.reason)

    def test_a_trust_that_is_gone(self):
        self.cloud.trusts.clear()
        progress = self.ended()
        self.assertIn('no longer exists', progress.step.reason)
        self.assertNotIn(fakes.TRUST, progress.step.reason)
        self.assertFalse(progress.retry)

    def test_a_role_that_is_lost(self):
        self.cloud.fail('POST', '/backups$', 403)
        self.assertIn('delegated', self.ended().step.reason)

    def test_a_trust_lost_while_cinder_works(self):
        progress, context = self.go(self.context(), 'submitted')
        self.cloud.trusts.clear()
        progress, _context = self.go(context)
        self.assertIn('is not known', progress.step.reason)
        self.assertIn(progress.step.cinder_backup_id, progress.step.reason)
        self.assertFalse(progress.retry)

    def test_a_backup_that_a_user_deletes(self):
        _progress, context = self.go(self.context(), 'submitted')
        self.cloud.backups.clear()
        progress, _context = self.go(context)
        self.assertIn('was deleted', progress.step.reason)

    def test_time_limit(self):
        _progress, context = self.go(self.context(), 'submitted')
        self.clock.sleep(LIMITS.backup_timeout + 1)
        progress, _context = self.call(context)
        self.assertIn('after 3600 seconds', progress.step.reason)
        self.assertFalse(progress.retry)

    def test_a_reason_of_many_lines(self):
        _progress, context = self.go(self.context(), 'submitted')
        self.cloud.finish('error', 'no\n2026 CRITICAL forged' + 'x' * 9999)
        progress, _context = self.call(context)
        self.assertTrue(progress.step.reason.isprintable())
        self.assertLess(len(progress.step.reason), 500)

    def test_a_clock_that_jumps_is_no_time_limit(self):
        for jump in (10 * 86400, -10 * 86400):
            self.cloud.volumes[fakes.VOLUME] = 'available'
            _progress, context = self.go(self.context(), 'submitted')
            self.clock.epoch += jump
            progress, context = self.call(context)
            self.assertEqual('submitted', progress.step.state)
            self.cloud.finish()
            progress, _context = self.call(context)
            self.assertEqual('success', progress.step.state)
            self.assertGreaterEqual(
                self.records()[-1].metadata['duration'], 0)

    def test_the_time_limit_of_a_run_taken_over_begins_anew(self):
        progress, context = self.go(self.context(), 'submitted')
        self.clock.epoch += 10 * 86400
        self.engine = self.process()
        progress, context = self.call(self.context(progress.step))
        self.assertEqual('submitted', progress.step.state)
        self.clock.sleep(LIMITS.backup_timeout + 1)
        progress, _context = self.call(context)
        self.assertIn('after 3600 seconds', progress.step.reason)

    def test_a_jump_while_it_is_not_known_what_cinder_did(self):
        self.cloud.fail('POST', '/backups$', ('accept', fakes.lost_answer))
        _progress, context = self.call(self.context())
        _progress, context = self.call(context)
        self.clock.epoch += 10 * 86400
        progress, _context = self.go(context)
        self.assertEqual('success', progress.step.state)


class TestWaiting(cases.Case):

    def test_a_busy_volume_is_waited_for(self):
        self.cloud.volumes[fakes.VOLUME] = 'backing-up'
        _progress, context = self.call(self.context())
        progress, context = self.call(context)
        self.assertEqual('pending', progress.step.state)
        self.assertIn('backing-up', progress.step.reason)
        for _call in range(10):
            self.clock.sleep(progress.after)
            progress, context = self.call(context)
        self.assertEqual(1, len(self.cloud.posts))
        self.cloud.volumes[fakes.VOLUME] = 'in-use'
        progress, _context = self.go(context)
        self.assertEqual('success', progress.step.state)
        self.assertEqual(2, len(self.cloud.posts))

    def test_a_wait_has_an_end(self):
        self.cloud.volumes[fakes.VOLUME] = 'restoring-backup'
        progress, _context = self.go(self.context(), finish=None)
        self.assertEqual('fail', progress.step.state)
        self.assertIn('stayed restoring-backup', progress.step.reason)
        self.assertTrue(progress.retry)
        self.assertGreater(self.clock.now, 1000 + LIMITS.busy_timeout)

    def test_keystone_is_unavailable(self):
        self.cloud.fail('POST', '/auth/tokens', *[fakes.no_connection] * 5,
                        *[503] * 5)
        progress, _context = self.go(self.context())
        self.assertEqual('success', progress.step.state)

    def test_cinder_away(self):
        self.cloud.fail('POST', '/backups$', *[fakes.no_connection] * 9)
        progress, _context = self.go(self.context())
        self.assertEqual('success', progress.step.state)
        self.assertEqual(1, len(self.cloud.posts))

    def test_cinder_away_for_too_long(self):
        self.cloud.fail('POST', '/backups$', *[fakes.no_connection] * 999)
        progress, _context = self.go(self.context())
        self.assertEqual('fail', progress.step.state)
        self.assertTrue(progress.retry)
        self.assertIn('cannot be reached', progress.step.reason)

    def test_cinder_away_while_it_is_followed(self):
        _progress, context = self.go(self.context(), 'submitted')
        self.cloud.fail('GET', '/backups/', *[fakes.no_connection] * 3,
                        *[fakes.lost_answer] * 3, 500, 503)
        progress, _context = self.go(context)
        self.assertEqual('success', progress.step.state)

    def test_looks_grow_apart(self):
        _progress, context = self.go(self.context(), 'submitted')
        waits = []
        for _call in range(12):
            progress, context = self.call(context)
            waits.append(progress.after)
        self.assertEqual(sorted(waits), waits)
        self.assertLess(waits[0], 1)
        self.assertEqual(LIMITS.poll_interval, waits[-1])

    def test_cinder_asks_to_wait(self):
        self.cloud.fail('POST', '/backups$', 429, 429)
        progress, _context = self.go(self.context())
        self.assertEqual('success', progress.step.state)


class TestSubmitOnce(cases.Case):
    """At most one backup per try, whatever happens around the POST."""

    def made(self):
        return len(self.cloud.backups)

    def test_answers_that_never_came(self):
        for fault in (fakes.lost_answer, fakes.broken, 500, 502, 503, 504):
            self.cloud.backups.clear()
            self.cloud.volumes[fakes.VOLUME] = 'available'
            self.cloud.posts.clear()
            self.cloud.fail('POST', '/backups$', ('accept', fault))
            progress, _context = self.go(self.context())
            self.assertEqual('success', progress.step.state)
            self.assertEqual(1, len(self.cloud.posts), str(fault))
            self.assertEqual(1, self.made())

    def test_requests_that_never_arrived(self):
        for fault in (fakes.lost_answer, fakes.broken, 500):
            self.cloud.backups.clear()
            self.cloud.volumes[fakes.VOLUME] = 'available'
            self.cloud.fail('POST', '/backups$', fault)
            before = self.clock.now
            progress, _context = self.go(self.context())
            self.assertEqual('success', progress.step.state)
            self.assertEqual(1, self.made())
            # Not before the first one can no longer be on its way.
            self.assertGreater(self.clock.now - before,
                               LIMITS.request_timeout)

    def test_a_backup_that_shows_up_late(self):
        self.cloud.fail('POST', '/backups$', fakes.lost_answer)
        _progress, context = self.call(self.context())
        progress, context = self.call(context)
        self.clock.sleep(progress.after)
        progress, context = self.call(context)
        self.assertEqual([], self.cloud.posts)
        order_marks = {
            'created_by': 'freezer', 'freezer_run_id': 'run-1',
            'freezer_job_id': 'job-1', 'freezer_action_id': 'action-1',
            'freezer_step': '0.1',
            'freezer_backup_id': progress.step.backup_id}
        late = self.cloud.add_backup('creating', metadata=order_marks)
        self.clock.sleep(LIMITS.settle - 5)
        progress, _context = self.go(context)
        self.assertEqual(late['id'], progress.step.cinder_backup_id)
        self.assertEqual([], self.cloud.posts)

    def test_the_listing_fails_too(self):
        self.cloud.fail('POST', '/backups$', ('accept', fakes.lost_answer))
        self.cloud.fail('GET', '/backups/detail', *[fakes.lost_answer] * 20)
        progress, _context = self.go(self.context())
        self.assertEqual('success', progress.step.state)
        self.assertEqual(1, len(self.cloud.posts))

    def test_a_listing_of_many_pages(self):
        for _number in range(250):
            self.cloud.add_backup()
        self.cloud.fail('POST', '/backups$', ('accept', fakes.lost_answer))
        _progress, context = self.call(self.context())
        progress, context = self.call(context)
        for _number in range(250):
            self.cloud.add_backup()
        progress, _context = self.go(context)
        self.assertEqual('success', progress.step.state)
        self.assertEqual(1, len(self.cloud.posts))

    def test_cinder_never_takes_it(self):
        self.cloud.fail('POST', '/backups$', *[fakes.lost_answer] * 99)
        progress, _context = self.go(self.context())
        self.assertEqual('fail', progress.step.state)
        self.assertIn('3 times', progress.step.reason)
        self.assertEqual([], self.cloud.posts)

    def test_nothing_is_sent_without_lease_enough(self):
        _progress, context = self.call(self.context())
        self.lease = LIMITS.lease_needed - 1
        for _call in range(5):
            progress, context = self.call(context)
            self.assertEqual('submitting', progress.step.state)
        self.assertEqual([], self.cloud.posts)
        self.lease = LIMITS.lease_needed
        progress, _context = self.go(context)
        self.assertEqual('success', progress.step.state)

    def test_a_token_that_ended_sends_nothing_later_on(self):
        def slowly_refused(request):
            self.lease = 0
            return self.cloud._answer(request, 401, {'error': {}})

        _progress, context = self.call(self.context())
        self.cloud.fail('POST', '/backups$', slowly_refused)
        for _call in range(5):
            _progress, context = self.call(context)
        self.assertEqual([], self.cloud.posts)

    def test_a_token_that_ended_is_not_a_second_post(self):
        _progress, context = self.call(self.context())
        self.cloud.fail('POST', '/backups$', 401)
        progress, _context = self.go(context)
        self.assertEqual('success', progress.step.state)
        self.assertEqual(1, len(self.cloud.posts))
        self.assertEqual(2, len(self.cloud.logins))


class TestReclaimed(cases.Case):
    """Another process goes on with nothing but what was stored."""

    def reclaim(self, step):
        self.engine = self.process()
        return self.go(self.context(step))

    def test_before_the_post(self):
        progress, _context = self.call(self.context())
        progress, _context = self.reclaim(progress.step)
        self.assertEqual('success', progress.step.state)
        self.assertEqual(1, len(self.cloud.posts))

    def test_after_the_post_before_its_result_was_stored(self):
        stored, context = self.call(self.context())
        self.call(context)
        self.assertEqual(1, len(self.cloud.posts))
        progress, _context = self.reclaim(stored.step)
        self.assertEqual('success', progress.step.state)
        self.assertEqual(1, len(self.cloud.posts))
        self.assertEqual(next(iter(self.cloud.backups)),
                         progress.step.cinder_backup_id)

    def test_a_release_that_no_longer_reads_the_action(self):
        """The backup is good; what the action says of old ones is not."""
        progress, context = self.go(self.context(
            fullbackup_rotation=2), 'submitted')
        progress, _context = self.go(dataclasses.replace(
            context, engine_state=None, freezer_action={
                **context.freezer_action, 'fullbackup_rotation': 'two'}))
        self.assertEqual('success', progress.step.state)
        self.assertEqual('old backups stay: fullbackup_rotation: must be a '
                         'whole number', progress.step.reason)
        self.assertEqual(['available'], [
            backup['status'] for backup in self.cloud.backups.values()])

    def test_while_cinder_works(self):
        progress, _context = self.go(self.context(), 'submitted')
        progress, _context = self.reclaim(progress.step)
        self.assertEqual('success', progress.step.state)
        self.assertEqual(1, len(self.cloud.posts))

    def test_while_the_volume_is_busy(self):
        self.cloud.volumes[fakes.VOLUME] = 'backing-up'
        _progress, context = self.call(self.context())
        progress, _context = self.call(context)
        self.cloud.volumes[fakes.VOLUME] = 'available'
        progress, _context = self.reclaim(progress.step)
        self.assertEqual('success', progress.step.state)
        self.assertEqual(1, len(self.cloud.backups))

    def test_a_backup_of_another_run_is_not_taken_for_ours(self):
        progress, _context = self.call(self.context())
        other = self.cloud.add_backup('available', metadata={
            'created_by': 'freezer', 'freezer_run_id': 'run-0',
            'freezer_job_id': 'job-1', 'freezer_action_id': 'action-1',
            'freezer_step': '0.1', 'freezer_backup_id': 'x' * 32})
        progress, _context = self.reclaim(progress.step)
        self.assertNotEqual(other['id'], progress.step.cinder_backup_id)

    def test_the_oldest_of_two_is_kept(self):
        progress, _context = self.call(self.context())
        marks = {'created_by': 'freezer', 'freezer_run_id': 'run-1',
                 'freezer_job_id': 'job-1', 'freezer_action_id': 'action-1',
                 'freezer_step': '0.1',
                 'freezer_backup_id': progress.step.backup_id}
        first = self.cloud.add_backup('creating', metadata=marks)
        self.clock.sleep(1)
        self.cloud.add_backup('creating', metadata=marks)
        progress, _context = self.reclaim(progress.step)
        self.assertEqual(first['id'], progress.step.cinder_backup_id)


class TestAbort(cases.Case):

    def test_before_anything_was_sent(self):
        _progress, context = self.call(self.context())
        progress, _context = self.go(context, aborting=True)
        self.assertEqual('aborted', progress.step.state)
        self.assertEqual([], self.cloud.posts)
        self.assertEqual('deleted', self.records()[-1].status)

    def test_a_backup_in_error_is_deleted(self):
        _progress, context = self.go(self.context(), 'submitted')
        self.cloud.finish('error')
        cinder_id = context.step.cinder_backup_id
        progress, context = self.call(context, aborting=True)
        self.assertEqual('deleting', self.cloud.backups[cinder_id]['status'])
        self.assertFalse(progress.step.state.final)
        del self.cloud.backups[cinder_id]
        progress, _context = self.call(context, aborting=True)
        self.assertEqual('aborted', progress.step.state)
        self.assertEqual('deleted', self.records()[-1].status)

    def test_what_the_last_try_left_is_deleted(self):
        progress, _context = self.go(self.context(), finish='error')
        step = dataclasses.replace(
            progress.step, state=messages.StepState.PENDING)
        progress, _context = self.go(self.context(step), aborting=True)
        self.assertEqual('aborted', progress.step.state)
        self.cloud.finish()
        self.assertEqual({}, self.cloud.backups)

    def test_cinder_does_not_let_go_and_finishes(self):
        _progress, context = self.go(self.context(), 'submitted')
        progress, _context = self.go(context, aborting=True)
        self.assertEqual('aborted', progress.step.state)
        self.assertIn(progress.step.cinder_backup_id, progress.step.reason)
        self.assertEqual('available', self.records()[-1].status)
        self.assertIn(progress.step.cinder_backup_id, self.cloud.backups)

    def test_nothing_more_is_sent_while_the_outcome_is_unknown(self):
        self.cloud.fail('POST', '/backups$', fakes.lost_answer)
        _progress, context = self.call(self.context())
        progress, context = self.call(context)
        progress, _context = self.go(context, aborting=True)
        self.assertEqual('aborted', progress.step.state)
        self.assertEqual([], self.cloud.posts)

    def test_a_lost_answer_and_then_the_abort(self):
        self.cloud.fail('POST', '/backups$', ('accept', fakes.lost_answer))
        _progress, context = self.call(self.context())
        _progress, context = self.call(context)
        progress, _context = self.go(context, aborting=True, finish='error')
        self.assertEqual('aborted', progress.step.state)
        self.assertEqual({}, self.cloud.backups)

    def test_only_our_own_backup_is_deleted(self):
        foreign = self.cloud.add_backup('error')
        step = messages.Step(
            'action-1', 0, messages.StepState.SUBMITTED, 1,
            volume_id=fakes.VOLUME, backup_id='f' * 32,
            cinder_backup_id=foreign['id'])
        progress, _context = self.go(self.context(step), aborting=True)
        self.assertTrue(progress.step.state.final)
        self.assertEqual('error', foreign['status'])

    def test_nothing_is_deleted_without_lease_enough(self):
        _progress, context = self.go(self.context(), 'submitted')
        self.cloud.finish('error')
        self.lease = 0
        for _call in range(5):
            progress, context = self.call(context, aborting=True)
        self.assertFalse(progress.step.state.final)
        self.assertNotIn('DELETE', [method for method, _path
                                    in self.cloud.requests])

    def test_an_abort_with_a_trust_that_is_gone(self):
        _progress, context = self.go(self.context(), 'submitted')
        self.cloud.trusts.clear()
        progress, _context = self.go(context, aborting=True)
        self.assertEqual('aborted', progress.step.state)
        self.assertEqual('error', self.records()[-1].status)

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

"""Restores, into the volume itself and into a new one."""

from __future__ import annotations

from freezer_scheduler.freezer import messages
from tests.unit.freezer_scheduler.engines import cases
from tests.unit.freezer_scheduler import fakes


class RestoreCase(cases.Case):

    def context(self, step=None, engine_state=None, trust=fakes.TRUST, **keys):
        return super().context(step, engine_state, trust,
                               **{'action': 'restore', **keys})

    def restored(self):
        return [path for method, path in self.cloud.requests
                if method == 'POST' and path.endswith('/restore')]


class TestRestore(RestoreCase):

    def failed(self, **keys):
        progress, _context = self.go(self.context(**keys))
        self.assertEqual('fail', progress.step.state)
        return progress

    def test_the_newest(self):
        self.cloud.add_backup()
        newest = self.cloud.add_backup()
        self.cloud.add_backup('error')
        progress, context = self.go(self.context(), 'submitted')
        self.assertIn(newest['id'], self.restored()[0])
        for _call in range(5):
            progress, context = self.call(context)
            self.assertEqual('submitted', progress.step.state)
        self.cloud.finish()
        progress, _context = self.call(context)
        self.assertEqual('success', progress.step.state)
        self.assertEqual((), progress.backups)

    def test_the_given_one_into_its_own_volume(self):
        old = self.cloud.add_backup()
        self.cloud.add_backup()
        progress, _context = self.go(self.context(
            cindernative_backup_id=old['id'], cindernative_vol_id=None))
        self.assertEqual('success', progress.step.state)
        self.assertIn(old['id'], self.restored()[0])
        self.assertEqual(fakes.VOLUME, progress.step.volume_id)

    def test_the_newest_that_is_old_enough(self):
        old = self.cloud.add_backup(created_at='2020-01-01T00:00:00')
        self.cloud.add_backup(created_at='2020-01-03T00:00:00')
        progress, _context = self.go(self.context(
            restore_from_date='2020-01-02T00:00:00'))
        self.assertEqual('success', progress.step.state)
        self.assertIn(old['id'], self.restored()[0])

    def test_none_is_old_enough(self):
        self.cloud.add_backup()
        progress = self.failed(restore_from_date='2019-01-01T00:00:00')
        self.assertIn('old enough', progress.step.reason)
        self.assertEqual([], self.restored())

    def test_no_backup(self):
        self.assertIn('no available backup', self.failed().step.reason)

    def test_a_volume_in_use(self):
        self.cloud.add_backup()
        self.cloud.volumes[fakes.VOLUME] = 'in-use'
        progress = self.failed()
        self.assertIn('must be available', progress.step.reason)
        self.assertEqual([], self.restored())

    def test_a_volume_left_in_error(self):
        self.cloud.add_backup(container='freezer_backups')
        _progress, context = self.go(self.context(), 'submitted')
        self.cloud.volumes[fakes.VOLUME] = 'error_restoring'
        progress, _context = self.call(context)
        self.assertEqual('fail', progress.step.state)
        self.assertIn('error_restoring', progress.step.reason)
        # Cinder says no more. Some drivers restore from one container only.
        self.assertIn('in container freezer_backups', progress.step.reason)

    def test_a_volume_left_in_error_by_a_backup_without_container(self):
        self.cloud.add_backup()['container'] = None
        _progress, context = self.go(self.context(), 'submitted')
        self.cloud.volumes[fakes.VOLUME] = 'error_restoring'
        progress, _context = self.call(context)
        self.assertNotIn('container', progress.step.reason)

    def test_a_time_limit_that_no_clock_can_shorten(self):
        self.cloud.add_backup()
        _progress, context = self.go(self.context(), 'submitted')
        self.clock.epoch += 10 * 86400
        progress, context = self.call(context)
        self.assertEqual('submitted', progress.step.state)
        self.clock.sleep(cases.LIMITS.backup_timeout + 1)
        progress, _context = self.call(context)
        self.assertIn('after 3600 seconds', progress.step.reason)

    def test_a_lost_answer(self):
        self.cloud.add_backup()
        self.cloud.fail('POST', '/restore', ('accept', fakes.lost_answer))
        progress, _context = self.go(self.context())
        self.assertEqual('success', progress.step.state)
        self.assertEqual(1, len(self.restored()))

    def test_a_lost_request_is_not_sent_again(self):
        self.cloud.add_backup()
        self.cloud.fail('POST', '/restore', fakes.lost_answer)
        progress = self.failed()
        self.assertIn('not known', progress.step.reason)
        self.assertFalse(progress.retry)
        self.assertEqual(1, len(self.restored()))

    def test_reclaimed_during_the_restore(self):
        self.cloud.add_backup()
        progress, _context = self.go(self.context(), 'submitted')
        self.engine = self.process()
        progress, _context = self.go(self.context(progress.step))
        self.assertEqual('success', progress.step.state)
        self.assertEqual(1, len(self.restored()))

    def test_reclaimed_before_or_after_the_request(self):
        self.cloud.add_backup()
        progress, _context = self.call(self.context())
        self.assertEqual('submitting', progress.step.state)
        self.engine = self.process()
        progress, _context = self.go(self.context(progress.step))
        self.assertEqual('fail', progress.step.state)
        self.assertEqual([], self.restored())

    def test_an_abort_deletes_no_backup(self):
        self.cloud.add_backup()
        _progress, context = self.go(self.context(), 'submitted')
        progress, _context = self.go(context, aborting=True)
        self.assertEqual('aborted', progress.step.state)
        self.assertEqual(['available'], [
            backup['status'] for backup in self.cloud.backups.values()])

    def test_an_abort_before_it_began(self):
        self.cloud.add_backup()
        _progress, context = self.call(self.context())
        progress, _context = self.go(context, aborting=True)
        self.assertEqual('aborted', progress.step.state)
        self.assertEqual([], self.restored())


class TestBusy(RestoreCase):

    def test_a_busy_volume_is_waited_for(self):
        self.cloud.add_backup()
        for busy in ('backing-up', 'restoring-backup', 'detaching'):
            self.cloud.volumes[fakes.VOLUME] = busy
            progress, context = self.call(self.context())
            for _call in range(5):
                self.assertEqual('pending', progress.step.state)
                self.assertIn(f'waits: the volume is {busy}',
                              progress.step.reason)
                self.clock.sleep(progress.after)
                progress, context = self.call(context)
            self.cloud.volumes[fakes.VOLUME] = 'available'
            progress, _context = self.go(context)
            self.assertEqual('success', progress.step.state)
        self.assertEqual(3, len(self.restored()))

    def test_a_wait_has_an_end(self):
        self.cloud.add_backup()
        self.cloud.volumes[fakes.VOLUME] = 'backing-up'
        progress, _context = self.go(self.context(), finish=None)
        self.assertEqual('fail', progress.step.state)
        self.assertIn('the volume is backing-up for', progress.step.reason)
        self.assertTrue(progress.retry)
        self.assertEqual([], self.restored())

    def test_a_volume_that_became_busy_in_between(self):
        self.cloud.add_backup()
        _progress, context = self.call(self.context())
        self.cloud.volumes[fakes.VOLUME] = 'backing-up'
        progress, context = self.call(context)
        self.assertEqual('pending', progress.step.state)
        progress, _context = self.go(context)
        self.assertEqual('success', progress.step.state)

    def test_a_backup_that_is_restored_elsewhere_is_waited_for(self):
        backup = self.cloud.add_backup('restoring')
        progress, context = self.call(self.context(
            cindernative_backup_id=backup['id']))
        self.assertEqual('pending', progress.step.state)
        self.assertIn('is restoring', progress.step.reason)
        progress, _context = self.go(context)
        self.assertEqual('success', progress.step.state)

    def test_an_abort_while_it_waits(self):
        self.cloud.add_backup()
        self.cloud.volumes[fakes.VOLUME] = 'backing-up'
        _progress, context = self.call(self.context())
        progress, _context = self.call(context, aborting=True)
        self.assertEqual('aborted', progress.step.state)
        self.assertEqual([], self.restored())


class TestNewVolume(RestoreCase):

    def setUp(self):
        super().setUp()
        self.backup = self.cloud.add_backup(size=7)
        self.cloud.described[fakes.VOLUME] = {
            'volume_type': 'fast', 'metadata': {'of': 'the source'}}

    def context(self, step=None, engine_state=None, trust=fakes.TRUST, **keys):
        return super().context(step, engine_state, trust,
                               **{'cindernative_new_volume': True, **keys})

    def new(self):
        """Return ids of the volumes but the first."""
        return [volume for volume in self.cloud.volumes
                if volume != fakes.VOLUME]

    def ended(self, context=None, state='success'):
        progress, _context = self.go(context or self.context())
        self.assertEqual(state, progress.step.state)
        return progress

    def reclaimed(self, step):
        self.engine = self.process()
        return self.ended(self.context(step))

    def test_it_is_made_and_restored_into(self):
        progress = self.ended()
        [made] = self.new()
        self.assertEqual(made, progress.step.volume_id)
        self.assertIn(made, progress.step.reason)
        described = self.cloud.described[made]
        self.assertEqual(
            ('freezer_restore_' + self.backup['id'], 7, 'fast'),
            (described['name'], described['size'],
             described['volume_type']))
        self.assertEqual({'of': 'the source',
                          'src_backup_id': self.backup['id']},
                         described['metadata'])
        self.assertEqual('available', self.cloud.volumes[fakes.VOLUME])

    def test_its_name(self):
        progress = self.ended(self.context(
            cindernative_new_volume_name='{volume_id} {backup_id}'))
        self.assertEqual(
            f'{fakes.VOLUME} {self.backup["id"]}',
            self.cloud.described[progress.step.volume_id]['name'])

    def test_a_name_that_is_too_long_makes_nothing(self):
        progress = self.ended(self.context(
            cindernative_new_volume_name='{volume_id}' * 9), 'fail')
        self.assertIn('longer than', progress.step.reason)
        self.assertEqual([], self.new())

    def test_the_volume_that_was_backed_up_is_gone(self):
        self.cloud.volumes.clear()
        self.cloud.described.clear()
        progress = self.ended(self.context(
            cindernative_backup_id=self.backup['id']))
        self.assertEqual([progress.step.volume_id], self.new())

    def test_a_volume_in_use_does_not_matter(self):
        self.cloud.volumes[fakes.VOLUME] = 'in-use'
        self.ended()

    def test_answers_that_never_came(self):
        for fault in (fakes.lost_answer, fakes.broken, 500, 503):
            for part in ('/volumes$', '/restore$'):
                self.cloud.fail('POST', part, ('accept', fault))
                before = len(self.new())
                self.ended()
                self.assertEqual(before + 1, len(self.new()))

    def test_requests_that_never_arrived(self):
        for fault in (fakes.lost_answer, 500):
            for part in ('/volumes$', '/restore$'):
                self.cloud.fail('POST', part, fault)
                before = len(self.new())
                self.ended()
                self.assertEqual(before + 1, len(self.new()))

    def test_a_request_that_came_late_made_no_second_one(self):
        _progress, context = self.call(self.context())
        progress, context = self.call(context)
        self.cloud.volumes['late'] = 'available'
        self.cloud.described['late'] = dict(
            self.cloud.described[progress.step.volume_id])
        progress = self.ended(context)
        self.cloud.finish()
        self.assertEqual([progress.step.volume_id], self.new())
        self.assertIn('it is a duplicate of', self.log.output)

    def test_reclaimed_at_any_point(self):
        context, calls = self.context(), 0
        progress, context = self.call(context)
        while not progress.step.state.final:
            calls += 1
            self.assertLess(calls, cases.MOST_CALLS, 'it does not end')
            self.clock.sleep(progress.after)
            if calls > 5:
                self.cloud.finish()
            progress, context = self.call(context)
        self.assertGreater(calls, 5)
        for number in range(1, calls):
            self.cloud.volumes = {fakes.VOLUME: 'available'}
            self.backup['status'] = 'available'
            context = self.context()
            for call in range(number):
                progress, context = self.call(context)
                self.clock.sleep(progress.after)
                if call > 5:
                    self.cloud.finish()
            progress = self.reclaimed(progress.step)
            self.assertEqual([progress.step.volume_id], self.new())

    def test_a_restore_that_fails_leaves_no_volume(self):
        _progress, context = self.go(self.context(), 'submitted')
        [made] = self.new()
        self.cloud.volumes[made] = 'error_restoring'
        progress = self.ended(context, 'fail')
        self.assertIn('error_restoring', progress.step.reason)
        self.assertIn(f'{made} is deleted', progress.step.reason)
        self.cloud.finish()
        self.assertEqual([], self.new())

    def test_a_volume_that_cannot_be_made(self):
        self.cloud.fail('POST', '/volumes$', (413, 'over quota'))
        progress = self.ended(state='fail')
        self.assertIn('over quota', progress.step.reason)
        self.assertTrue(progress.retry)
        _progress, context = self.call(self.context())
        progress, context = self.call(context)
        self.cloud.volumes[progress.step.volume_id] = 'error'
        progress = self.ended(context, 'fail')
        self.assertIn('could not make', progress.step.reason)
        self.assertTrue(progress.retry)
        self.cloud.finish()
        self.assertEqual([], self.new())

    def test_a_volume_that_cinder_does_not_delete_is_named(self):
        _progress, context = self.go(self.context(), 'submitted')
        [made] = self.new()
        self.cloud.volumes[made] = 'error_restoring'
        self.cloud.fail('DELETE', '/volumes/', (400, 'no'))
        progress = self.ended(context, 'fail')
        self.assertIn(f'{made} stays', progress.step.reason)

    def test_an_abort_before_the_restore_leaves_nothing(self):
        context = self.context()
        for _call in range(4):
            progress, context = self.call(context)
            self.engine = self.process()
        self.cloud.finish()
        progress, context = self.call(context, aborting=True)
        self.assertEqual('aborted', progress.step.state)
        self.cloud.finish()
        self.assertEqual([], self.new())

    def test_an_abort_during_the_restore_names_the_volume(self):
        _progress, context = self.go(self.context(), 'submitted')
        progress, _context = self.go(context, aborting=True)
        self.assertEqual('aborted', progress.step.state)
        self.assertIn(self.new()[0], progress.step.reason)

    def test_the_volume_of_another_is_never_deleted(self):
        for state in ('submitting', 'submitted'):
            self.cloud.volumes[fakes.VOLUME] = 'error'
            step = messages.Step(
                'action-1', 0, messages.StepState(state), 1,
                volume_id=fakes.VOLUME, cinder_backup_id=self.backup['id'],
                new_volume=True)
            progress, _context = self.go(self.context(step), aborting=True)
            self.assertTrue(progress.step.state.final)
            self.assertEqual('error', self.cloud.volumes[fakes.VOLUME])

    def test_nothing_is_sent_without_lease_enough(self):
        _progress, context = self.call(self.context())
        self.lease = 0
        for _call in range(5):
            progress, context = self.call(context)
        self.assertEqual([], self.new())
        self.assertFalse(progress.step.state.final)

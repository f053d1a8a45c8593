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

"""Restores into the volume itself."""

from __future__ import annotations

from freezer_scheduler import documents
from tests.unit.freezer_scheduler.engines import cases
from tests.unit.freezer_scheduler import fakes


class TestRestore(cases.Case):

    def order(self, step=None, memory=None, trust=fakes.TRUST, **keys):
        return super().order(step, memory, trust,
                             **{'action': 'restore', **keys})

    def restored(self):
        return [path for method, path in self.cloud.requests
                if method == 'POST']

    def failed(self, **keys):
        progress, _order = self.go(self.order(**keys))
        self.assertEqual('fail', progress.step.state)
        return progress

    def test_the_newest(self):
        self.cloud.add_backup()
        newest = self.cloud.add_backup()
        self.cloud.add_backup('error')
        progress, order = self.go(self.order(), 'submitted')
        self.assertIn(newest['id'], self.restored()[0])
        for _call in range(5):
            progress, order = self.call(order)
            self.assertEqual('submitted', progress.step.state)
        self.cloud.finish()
        progress, _order = self.call(order)
        self.assertEqual('success', progress.step.state)
        self.assertEqual((), progress.backups)

    def test_the_given_one_into_its_own_volume(self):
        old = self.cloud.add_backup()
        self.cloud.add_backup()
        progress, _order = self.go(self.order(
            cindernative_backup_id=old['id'], cindernative_vol_id=None))
        self.assertEqual('success', progress.step.state)
        self.assertIn(old['id'], self.restored()[0])
        self.assertEqual(fakes.VOLUME, progress.step.volume_id)

    def test_the_newest_that_is_old_enough(self):
        old = self.cloud.add_backup(created_at='2020-01-01T00:00:00')
        self.cloud.add_backup(created_at='2020-01-03T00:00:00')
        progress, _order = self.go(self.order(
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
        self.cloud.add_backup()
        _progress, order = self.go(self.order(), 'submitted')
        self.cloud.volumes[fakes.VOLUME] = 'error_restoring'
        progress, _order = self.call(order)
        self.assertEqual('fail', progress.step.state)
        self.assertIn('error_restoring', progress.step.reason)

    def test_a_time_limit_that_no_clock_can_shorten(self):
        self.cloud.add_backup()
        _progress, order = self.go(self.order(), 'submitted')
        self.clock.epoch += 10 * 86400
        progress, order = self.call(order)
        self.assertEqual('submitted', progress.step.state)
        self.clock.sleep(cases.LIMITS.backup_timeout + 1)
        progress, _order = self.call(order)
        self.assertIn('after 3600 seconds', progress.step.reason)

    def test_a_lost_answer(self):
        self.cloud.add_backup()
        self.cloud.fail('POST', '/restore', ('accept', fakes.lost_answer))
        progress, _order = self.go(self.order())
        self.assertEqual('success', progress.step.state)
        self.assertEqual(1, len(self.restored()))

    def test_a_lost_request_is_not_sent_again(self):
        self.cloud.add_backup()
        self.cloud.fail('POST', '/restore', fakes.lost_answer)
        progress = self.failed()
        self.assertIn('not known', progress.step.reason)
        self.assertFalse(progress.retry)
        self.assertEqual(1, len(self.restored()))

    def test_taken_over_while_it_goes_on(self):
        self.cloud.add_backup()
        progress, _order = self.go(self.order(), 'submitted')
        self.engine = self.process()
        progress, _order = self.go(self.order(progress.step))
        self.assertEqual('success', progress.step.state)
        self.assertEqual(1, len(self.restored()))

    def test_taken_over_before_or_after_the_request(self):
        self.cloud.add_backup()
        progress, _order = self.call(self.order())
        self.assertEqual('submitting', progress.step.state)
        self.engine = self.process()
        progress, _order = self.go(self.order(progress.step))
        self.assertEqual('fail', progress.step.state)
        self.assertEqual([], self.restored())

    def test_an_abort_deletes_no_backup(self):
        self.cloud.add_backup()
        _progress, order = self.go(self.order(), 'submitted')
        progress, _order = self.go(order, aborting=True)
        self.assertEqual('aborted', progress.step.state)
        self.assertEqual(['available'], [
            backup['status'] for backup in self.cloud.backups.values()])

    def test_an_abort_before_it_began(self):
        self.cloud.add_backup()
        _progress, order = self.call(self.order())
        progress, _order = self.go(order, aborting=True)
        self.assertEqual('aborted', progress.step.state)
        self.assertEqual([], self.restored())

    def test_an_action_that_became_a_backup_meanwhile(self):
        # What is followed is the restore, and its source is never deleted.
        source = self.cloud.add_backup('error')
        step = documents.Step(
            'action-1', 0, documents.StepState.SUBMITTED, 1,
            volume_id=fakes.VOLUME, cinder_backup_id=source['id'])
        order = super().order(step)
        progress, _order = self.go(order, aborting=True)
        self.assertTrue(progress.step.state.final)
        self.assertEqual('error', source['status'])

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

"""When a backup is a full one."""

from __future__ import annotations

import hypothesis
from hypothesis import strategies as st

from freezer_scheduler.engines.cinder import action as cinder_action
from tests.unit.freezer_scheduler.engines import cases
from tests.unit.freezer_scheduler import fakes


class TestFullEvery(cases.Case):

    def made(self, **keys):
        """Make a backup; return whether it was an incremental one."""
        progress, _order = self.go(self.order(incremental=True, **keys))
        self.assertEqual('success', progress.step.state)
        self.clock.sleep(3600)
        return self.cloud.posts[-1]['incremental']

    def test_one_of_so_many_is_full(self):
        self.assertEqual([False, True, True] * 3,
                         [self.made(full_every=3) for _number in range(9)])

    def test_every_one(self):
        self.assertEqual([False] * 3,
                         [self.made(full_every=1) for _number in range(3)])

    def test_without_it_no_more_than_the_first(self):
        self.assertEqual([False] + [True] * 4,
                         [self.made() for _number in range(5)])
        self.assertTrue(self.made(full_every=None))

    def test_those_of_others_count(self):
        self.cloud.add_backup()
        self.cloud.add_backup(is_incremental=True)
        self.assertTrue(self.made(full_every=3))
        self.assertFalse(self.made(full_every=3))

    def test_what_cannot_be_built_on_does_not_count(self):
        self.cloud.add_backup()
        for _number in range(5):
            self.cloud.add_backup('error', is_incremental=True)
        self.assertTrue(self.made(full_every=2))

    def test_the_newest_full_one_is_of_no_use(self):
        for status in ('error', 'deleting', 'error_deleting', 'creating'):
            self.cloud.backups.clear()
            self.cloud.add_backup()
            self.cloud.add_backup(is_incremental=True)
            self.cloud.add_backup(status)
            self.go(self.order(incremental=True, full_every=9))
            self.assertFalse(self.cloud.posts[-1]['incremental'], status)

    def test_increments_without_a_full_one(self):
        self.cloud.add_backup(is_incremental=True)
        self.assertFalse(self.made(full_every=9))

    def test_a_chain_that_is_restored_from(self):
        self.cloud.add_backup('restoring')
        self.cloud.add_backup(is_incremental=True)
        self.assertTrue(self.made(full_every=3))
        self.assertFalse(self.made(full_every=3))

    def test_a_full_one_that_failed_is_tried_again_as_such(self):
        self.cloud.add_backup()
        self.cloud.add_backup(is_incremental=True)
        progress, _order = self.go(
            self.order(incremental=True, full_every=2), finish='error')
        self.assertFalse(self.cloud.posts[-1]['incremental'])
        step = progress.step
        self.go(self.order(step=type(step)(
            step.action_id, step.position, tries=2,
            backup_id=step.backup_id,
            cinder_backup_id=step.cinder_backup_id),
            incremental=True, full_every=2))
        self.assertFalse(self.cloud.posts[-1]['incremental'])

    @hypothesis.given(st.booleans() | st.text() | st.floats()
                      | st.integers(max_value=0) | st.lists(st.integers())
                      | st.integers(100001))
    def test_what_is_no_such_number_is_refused_by_name(self, value):
        for incremental in (True, False):
            try:
                cinder_action.read(fakes.action(
                    incremental=incremental, full_every=value),
                    fakes.PROJECT)
            except cinder_action.Unusable as unusable:
                self.assertIn('full_every', str(unusable))
            else:
                self.fail(value)

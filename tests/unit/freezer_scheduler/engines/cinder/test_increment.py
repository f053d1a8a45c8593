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

import datetime

import hypothesis
from hypothesis import strategies as st

from freezer_api.domain import cinder_action
from tests.unit.freezer_scheduler.engines import cases
from tests.unit.freezer_scheduler import fakes


class TestFullEvery(cases.Case):

    def made(self, **keys):
        """Make a backup; return whether it was an incremental one."""
        progress, _context = self.go(self.context(incremental=True, **keys))
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
            self.go(self.context(incremental=True, full_every=9))
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
        progress, _context = self.go(
            self.context(incremental=True, full_every=2), finish='error')
        self.assertFalse(self.cloud.posts[-1]['incremental'])
        step = progress.step
        self.go(self.context(step=type(step)(
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
                    fakes.PROJECT, datetime.datetime.now(datetime.UTC))
            except cinder_action.Unusable as unusable:
                self.assertIn('full_every', str(unusable))
            else:
                self.fail(value)


class TestWhereTheBaseLies(cases.Case):
    """An increment only upon what this action could have made."""

    def made(self, **keys):
        """Make a backup; return why it is full, None for an increment."""
        progress, _context = self.go(self.context(incremental=True, **keys))
        self.assertEqual('success', progress.step.state)
        self.clock.sleep(3600)
        reason = progress.step.reason
        self.assertEqual(reason is None, self.cloud.posts[-1]['incremental'])
        return reason

    def test_in_another_zone(self):
        for asked, base, full in (
                ('az1', 'az1', False), ('az1', 'az2', True),
                # Without a zone Cinder takes that of the volume.
                (None, 'nova', False), (None, 'az2', True),
                ('nova', 'nova', False), ('az1', None, False)):
            self.cloud.backups.clear()
            self.cloud.add_backup(availability_zone=base)
            reason = self.made(cindernative_backup_az=asked)
            self.assertEqual(full, reason is not None, str((asked, base)))
            if full:
                self.assertIn('in another availability zone', reason)
            self.assertIsNone(self.made(cindernative_backup_az=asked))

    def test_a_volume_whose_zone_was_changed(self):
        self.cloud.described[fakes.VOLUME] = {'availability_zone': 'az1'}
        self.go(self.context(incremental=True))
        self.clock.sleep(3600)
        self.assertIsNone(self.made())
        self.cloud.described[fakes.VOLUME] = {'availability_zone': 'az2'}
        self.assertIn('in another availability zone', self.made())
        self.assertIsNone(self.made())

    def test_in_another_container(self):
        for asked, base, full in (
                ('a', 'a', False), ('a', 'b', True), ('a', None, True)):
            self.cloud.backups.clear()
            self.cloud.add_backup(container=base)
            reason = self.made(cindernative_backup_container=asked)
            self.assertEqual(full, reason is not None, str((asked, base)))
            if full:
                self.assertIn('in another container', reason)
            self.assertIsNone(self.made(cindernative_backup_container=asked))

    def test_the_first_after_a_change_of_container_is_full(self):
        self.go(self.context(incremental=True, container='a'))
        self.clock.sleep(3600)
        for container in ('a', 'b', '', 'b', 'a'):
            reason = self.made(cindernative_backup_container=container)
            self.assertEqual(container == 'a' and len(self.cloud.posts) == 2,
                             reason is None, container)
            self.assertIsNone(
                self.made(cindernative_backup_container=container))

    def test_where_none_is_asked_for(self):
        """What Cinder takes then, backups show that were made so."""
        ours = {'created_by': 'freezer', 'freezer_container': ''}
        for default in (None, 'volumebackups'):
            self.cloud.default_container = default
            own = 'volumebackups' if default else 'aa/bb/aabb-1'
            for base, others, full in (
                    # 19.0.0 asks for it if no container is named.
                    ({'container': 'freezer_backups',
                      'metadata': {'created_by': 'freezer'}}, [], True),
                    ({'container': own, 'metadata': ours}, [], False),
                    # Made by hand: where that is, is not known ...
                    ({'container': 'volumebackups'}, [], True),
                    # ... unless one of ours is there, or it shows.
                    ({'container': 'volumebackups'},
                     [{'container': 'volumebackups', 'metadata': ours}],
                     False),
                    ({'container': 'x'},
                     [{'container': 'volumebackups', 'metadata': ours}],
                     True),
                    ({'container': 'aa/bb/aabb-2', 'id': 'aabb-2'}, [],
                     False),
                    # A mark that is not ours.
                    ({'container': 'x', 'metadata': {
                        'freezer_container': ''}}, [], True),
                    ({'container': 'x', 'metadata': {
                        **ours, 'freezer_container': 'x'}}, [], True)):
                self.cloud.backups.clear()
                for one in (*others, base):
                    self.cloud.add_backup(**one)
                    self.clock.sleep(60)
                reason = self.made(cindernative_backup_container='')
                self.assertEqual(full, reason is not None, str((base, others)))
                self.assertIsNone(
                    self.made(cindernative_backup_container=''))

    def test_the_base_is_what_has_the_newest_data(self):
        """A backup of an old snapshot is no base, however young it is."""
        self.cloud.add_backup(container='b', data_timestamp=self.cloud.time())
        self.clock.sleep(60)
        self.cloud.add_backup(container='a', data_timestamp='2020-01-01')
        self.assertIsNone(self.made(cindernative_backup_container='b'))

    def test_a_snapshots_backup_in_ceph(self):
        """An increment upon it fails, and Cinder deletes its data then.

        Ceph's driver counts no objects. The others build on such a backup.
        """
        for objects, full in ((0, True), (None, True), (3, False)):
            self.cloud.backups.clear()
            self.cloud.add_backup(snapshot_id='snapshot-1',
                                  object_count=objects)
            reason = self.made()
            self.assertEqual(full, reason is not None, str(objects))
            if full:
                self.assertIn('a backup of a snapshot in Ceph', reason)
            self.assertIsNone(self.made())

    def test_a_volume_that_cinder_does_not_show(self):
        self.cloud.add_backup()
        self.cloud.fail('GET', f'/volumes/{fakes.VOLUME}$', (400, 'no'))
        self.assertIsNone(self.made())

    @hypothesis.given(base=st.integers(1, 9), volume=st.integers(1, 9))
    @hypothesis.settings(deadline=None, max_examples=30)
    def test_no_increment_that_cinder_would_fail_for_its_size(
            self, base, volume):
        self.cloud.backups.clear()
        self.cloud.volumes[fakes.VOLUME] = 'available'
        self.cloud.add_backup(size=base)
        self.cloud.described[fakes.VOLUME] = {'size': volume}
        reason = self.made()
        self.assertEqual(volume > base, reason is not None)

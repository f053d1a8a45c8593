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

"""Whole runs that remove old backups, of one volume and of several."""

from __future__ import annotations

import datetime

import hypothesis
from hypothesis import strategies as st

from freezer_scheduler.freezer import messages
from freezer_scheduler.runs import result
from tests.unit.freezer_scheduler.engines.cinder import test_volumes as volumes
from tests.unit.freezer_scheduler import fakes

_State = messages.StepState


class RunCase(volumes.Case):

    def setUp(self):
        super().setUp()
        self.old = {}

    def volumes(self, count, increments=1):
        """Make volumes that have a chain each, from long ago."""
        ids = self.stack.volumes(count)
        for volume_id in ids:
            base = None
            for age in range(50, 49 - increments, -1):
                record = f'{len(self.old):032x}'
                made = datetime.datetime.fromtimestamp(
                    self.stack.clock.epoch - age * 86400,
                    datetime.UTC).replace(tzinfo=None).isoformat()
                base = self.cloud.add_backup(
                    'available', volume_id, is_incremental=base is not None,
                    parent=base, created_at=made, data_timestamp=made,
                    metadata={'created_by': 'freezer',
                              'freezer_backup_id': record})['id']
                self.old[record] = base
        return ids

    def several(self, ids, **keys):
        return {**volumes.several(ids=ids), **keys}

    def assert_new_ones_only(self, ids):
        self.assertEqual(set(), set(self.old.values())
                         & set(self.cloud.backups))
        self.assertEqual(dict.fromkeys(ids, 1), self.stack.good())
        for record, statuses in self.stack.records.items():
            if record in self.old:
                self.assertEqual({'deleted'}, set(statuses))
            else:
                self.assertEqual('available', statuses[-1])
                self.assertNotIn('deleted', statuses)
        self.assertEqual(set(self.old), set(self.old)
                         & set(self.stack.records))


class TestRuns(RunCase):

    def test_a_run_tells_what_it_removed(self):
        [volume_id] = self.volumes(1)
        report = self.stack.go([fakes.action(
            cindernative_vol_id=volume_id, fullbackup_rotation=1)])
        self.assertEqual(('success', 'old backups removed: 2'),
                         (report['state'], report['reason']))
        self.assert_new_ones_only([volume_id])

    @hypothesis.settings(max_examples=20)
    @hypothesis.given(st.dictionaries(
        st.integers(1, 60), st.sampled_from([True, 'stored']), max_size=6))
    @hypothesis.example({2: 'stored', 20: 'stored', 22: 'stored'})
    def test_killed_at_any_reports(self, kills):
        """Each volume ends with its new backup, each record is right."""
        self.cloud.backups.clear()
        self.old.clear()
        stack = self.stack
        stack.records.clear()
        stack.reports, stack.stored, stack.fence = 0, None, 0
        stack.kill = lambda number: kills.get(number, False)
        ids = self.volumes(3)
        # A kill after an intent is stored counts as a POST. After three of
        # them for one volume, only a further try can succeed.
        report = stack.go([self.several(ids, fullbackup_rotation=1)],
                          max_retries=2)
        self.assertEqual('success', report['state'], report)
        self.assert_new_ones_only(ids)
        for part in self.parts().values():
            self.assertEqual('old backups removed: 2', part['reason'])
            self.assertNotIn('removing', part)
            self.assertNotIn('removed', part)

    def test_only_removing_for_several_volumes(self):
        ids = self.volumes(3, increments=0)
        kept = [self.cloud.add_backup('available', volume_id, metadata={
            'created_by': 'freezer'})['id'] for volume_id in ids]
        report = self.stack.go([self.several(ids, action='admin')])
        self.assertEqual('success', report['state'], report)
        self.assertEqual(kept, list(self.cloud.backups))
        self.assertEqual({record: ['deleted'] for record in self.old},
                         self.stack.records)

    def test_an_abort_while_several_remove(self):
        ids = self.volumes(3, increments=3)
        stack = self.stack

        def told():
            if 'deleted' in str(stack.records):
                stack.event = messages.Event.ABORT

        stack.told = told
        report = stack.go([self.several(ids, fullbackup_rotation=1)])
        self.assertEqual('aborted', report['state'])
        deleted = {record for record, statuses in stack.records.items()
                   if 'deleted' in statuses}
        # What is gone has lost its record, and nothing else has.
        self.assertEqual(
            {record for record, backup_id in self.old.items()
             if backup_id not in self.cloud.backups}, deleted)
        self.assertLess(len(deleted), len(self.old))


class TestBrokenOff(RunCase):

    def test_a_good_backup_stays_good(self):
        """A run that cannot go on says so, and closes no good record."""
        step = messages.Step(
            'action-1', 0, _State.PRUNING, tries=1, backup_id='a' * 32,
            cinder_backup_id='c-1', removing='c-2', removed=4,
            engine='cindernative', action='backup')
        self.assertEqual((), result.closed([step], 'gone'))
        ended = result.broken_off(step, 'gone', 7)
        self.assertEqual('gone; Cinder\'s backup c-1 is available',
                         ended.reason)
        self.assertEqual(_State.FAIL, ended.state)

    def test_what_removed_alone_has_no_backup_to_tell_of(self):
        step = messages.Step('action-1', 0, _State.PRUNING, tries=1,
                             engine='cindernative', action='admin')
        self.assertEqual('gone', result.broken_off(step, 'gone', 7).reason)

    def test_a_success_has_a_reason_where_there_is_something_to_say(self):
        steps = [messages.Step('a', 0, _State.SUCCESS, reason='removed'),
                 messages.Step('b', 1, _State.SUCCESS)]
        self.assertEqual(('success', 'action 1 of 2: removed'),
                         result.of_run(steps))
        steps[1] = messages.Step('b', 1, _State.FAIL, reason='full')
        self.assertEqual(('fail', 'action 2 of 2: full'),
                         result.of_run(steps))
        self.assertEqual(('success', None), result.of_run(
            [messages.Step('a', 0, _State.SUCCESS)]))

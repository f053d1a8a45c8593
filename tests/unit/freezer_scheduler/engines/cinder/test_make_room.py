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

import hypothesis
from hypothesis import strategies as st

from freezer_scheduler.freezer import messages
from freezer_scheduler.runs import result
from tests.unit.freezer_scheduler.engines import cases
from tests.unit.freezer_scheduler import fakes


class TestMakeRoom(cases.Case):

    def chains(self, *increments):
        """Make chains of the job, oldest first; return their ids."""
        made = []
        for number in increments:
            chain: list[str] = []
            for _backup in range(1 + number):
                self.clock.sleep(3600)
                record = f'{len(self.cloud.backups):032x}'
                chain.append(self.cloud.add_backup(
                    is_incremental=bool(chain),
                    parent=chain[-1] if chain else None,
                    metadata={'created_by': 'freezer',
                              'freezer_job_id': 'job-1',
                              'freezer_container': '',
                              'freezer_run_id': f'old-{record}',
                              'freezer_backup_id': record})['id'])
            made.append(chain)
        self.clock.sleep(3600)
        return made

    def full(self, room=0):
        self.cloud.backup_quota = len(self.cloud.backups) + room

    def ended(self, context):
        """Call until the end; let Cinder delete and finish at each."""
        for _number in range(cases.MOST_CALLS):
            progress, context = self.call(context)
            if progress.step.state.final:
                return progress
            self.clock.sleep(progress.after)
            self.cloud.finish()
        return self.fail(f'does not end: {progress}')

    def test_a_rotation_with_room_for_no_more(self):
        old, young = self.chains(0, 0)
        self.full()
        progress = self.ended(self.context(
            fullbackup_rotation=2, prune_first=True))
        self.assertEqual('success', progress.step.state)
        self.assertIn('old backups removed: 1', progress.step.reason)
        self.assertNotIn(old[0], self.cloud.backups)
        self.assertIn(young[0], self.cloud.backups)
        self.assertEqual(2, len(self.cloud.backups))

    def test_nothing_goes_first_where_there_is_room(self):
        old, _young = self.chains(0, 0)
        self.full(room=1)
        _progress, context = self.go(self.context(
            fullbackup_rotation=2, prune_first=True), 'submitted')
        self.assertIn(old[0], self.cloud.backups)
        self.assertEqual('success', self.ended(context).step.state)

    def test_the_newest_good_chain_never_goes(self):
        [[only]] = self.chains(0)
        self.full()
        for rule in ({'fullbackup_rotation': 1},
                     {'remove_older_than': 0},
                     {'remove_older_than': 0, 'remove_last_chain': True}):
            progress = self.ended(self.context(prune_first=True, **rule))
            self.assertEqual('fail', progress.step.state)
            self.assertTrue(progress.retry)
            self.assertIn('prune_first finds nothing', progress.step.reason)
            self.assertEqual([only], list(self.cloud.backups))

    def test_not_without_the_key(self):
        self.chains(0, 0)
        self.full()
        for keys in ({}, {'prune_first': False}):
            progress = self.ended(self.context(fullbackup_rotation=2, **keys))
            self.assertEqual('fail', progress.step.state)
            self.assertIn('set "prune_first": true', progress.step.reason)
            self.assertEqual(2, len(self.cloud.backups))

    def test_what_is_deleted_is_stored_before_and_its_record_goes(self):
        [old], _young = self.chains(0, 0)
        record = self.cloud.backups[old]['metadata']['freezer_backup_id']
        self.full()
        self.ended(self.context(fullbackup_rotation=2, prune_first=True))
        first = next(number for number, progress in enumerate(self.stored)
                     if progress.step.removing == old)
        self.assertEqual('making_room', self.stored[first].step.state)
        self.assertEqual(record, self.stored[first].step.removing_record)
        self.assertIn((record, 'deleted'), [
            (backup.backup_id, backup.status) for backup in self.records()])

    def test_an_increment_keeps_what_it_is_built_on(self):
        [base, increment] = self.chains(1)[0]
        self.full()
        progress = self.ended(self.context(
            fullbackup_rotation=1, incremental=True, prune_first=True))
        self.assertEqual('fail', progress.step.state)
        self.assertEqual([base, increment], list(self.cloud.backups))

    def test_only_a_record_without_a_backup_is_closed(self):
        for state, made, deleted, told in (
                ('making_room', None, False, 1),
                ('pruning', 'cinder-1', False, 0), ('pruning', None, True, 0)):
            step = messages.Step(
                'action-1', 0, messages.StepState(state),
                backup_id='f' * 32, cinder_backup_id=made,
                volume_deleted=deleted)
            self.assertEqual(told, len(result.closed([step], 'why')))

    def test_an_abort_in_between(self):
        self.chains(0, 0)
        self.full()
        progress, context = self.call(self.context(
            fullbackup_rotation=2, prune_first=True))
        while progress.step.state != 'making_room':
            progress, context = self.call(context)
        progress, _context = self.call(context, aborting=True)
        self.assertEqual('aborted', progress.step.state)
        self.assertEqual('deleted', progress.backups[0].status)
        self.assertEqual(2, len(self.cloud.backups))

    @hypothesis.settings(deadline=None, max_examples=30)
    @hypothesis.given(
        increments=st.lists(st.integers(0, 2), min_size=1, max_size=4),
        rotation=st.integers(1, 4), incremental=st.booleans(),
        kills=st.sets(st.integers(1, 30), max_size=5))
    def test_whatever_is_killed_the_last_good_chain_stays(
            self, increments, rotation, incremental, kills):
        """And no more goes than the rule would remove afterwards."""
        self.cloud.backups.clear()
        self.cloud.posts.clear()
        self.cloud.volumes[fakes.VOLUME] = 'available'
        self.engine = self.process()
        chains = self.chains(*increments)
        self.full()
        keys = {'fullbackup_rotation': rotation, 'prune_first': True,
                'incremental': incremental}
        context = self.context(**keys)
        for number in range(cases.MOST_CALLS):
            progress, context = self.call(context)
            if progress.step.state.final:
                break
            if number in kills:
                self.engine = self.process()
                stored = messages.Step.from_document(json.loads(
                    json.dumps(progress.step.to_document())))
                context = dataclasses.replace(self.context(**keys),
                                              step=stored)
            self.clock.sleep(max(progress.after, 1))
            self.cloud.finish()
        self.assertTrue(progress.step.state.final)
        # Unless the new one took its place.
        if progress.step.state != 'success' or rotation > 1:
            self.assertLessEqual(set(chains[-1]), set(self.cloud.backups))
        kept = [chain for chain in chains
                if set(chain) <= set(self.cloud.backups)]
        fewer = progress.step.state == 'success' and not incremental
        self.assertGreaterEqual(
            len(kept), min(len(chains), max(rotation - 1, 1 - fewer)))
        self.assertEqual(
            progress.step.state == 'success', len([
                backup for backup in self.cloud.backups.values()
                if backup['metadata'].get('freezer_run_id') == 'run-1']) == 1)

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

"""Each job's rule is about its own backups, also of volumes that are gone."""

from __future__ import annotations

import dataclasses
from unittest import mock

from freezer_api.domain import cinder_selection
from freezer_scheduler.engines.cinder import deleted_volumes
from tests.unit.freezer_scheduler.engines import cases
from tests.unit.freezer_scheduler.engines.cinder import test_prune
from tests.unit.freezer_scheduler.engines.cinder import test_volumes as volumes
from tests.unit.freezer_scheduler import fake_cinder
from tests.unit.freezer_scheduler import fakes

OWN, OTHER = 'job-1', 'job-2'


class ScopeCase(test_prune.PruneCase):

    def of(self, job, age, base=None, **keys):
        """Put a backup of a job into Cinder that was made days ago."""
        self.number += 1
        marks = {'created_by': 'freezer',
                 'freezer_backup_id': f'{self.number:032x}'}
        if job is not None:
            marks['freezer_job_id'] = job
        return self.old(age, base=base, metadata=marks, **keys)

    def reason(self, context, finish='available'):
        progress, _context = self.go(context, finish=finish)
        self.assertEqual('success', progress.step.state, progress)
        return progress.step.reason


class TestJobs(ScopeCase):

    def test_the_shorter_rotation_spares_the_other_job(self):
        theirs = [self.of(OTHER, age) for age in (50, 40, 30)]
        mine = [self.of(OWN, age) for age in (45, 35, 5)]
        self.assertEqual('old backups removed: 2', self.reason(self.admin()))
        self.assertEqual({*theirs, mine[-1]}, set(self.cloud.backups))
        self.assertEqual([('run-1', 3, [OTHER])], self.asked_jobs)

    def test_the_scope_of_the_volume_is_the_old_behaviour(self):
        for age in (50, 40, 30):
            self.of(OTHER, age)
        last = self.of(OWN, 5)
        self.assertEqual('old backups removed: 3', self.reason(
            self.admin(retention_scope='volume')))
        self.assertEqual([last], list(self.cloud.backups))
        self.assertEqual([], self.asked_jobs)

    def test_a_job_of_its_own_that_only_removes(self):
        self.of(OTHER, 50)
        self.of(OTHER, 40)
        self.assertEqual(
            'old backups removed: 0; all stay: they are of other jobs; '
            '"retention_scope": "volume" includes them',
            self.reason(self.admin()))

    def test_jobs_that_are_gone_and_backups_of_agents(self):
        self.of('gone', 50)
        self.of(None, 40)
        theirs, last = self.of(OTHER, 30), self.of(OWN, 5)
        self.gone_jobs.add('gone')
        self.assertEqual('old backups removed: 2', self.reason(self.admin()))
        self.assertEqual({theirs, last}, set(self.cloud.backups))

    def test_each_job_is_asked_about_once(self):
        for age in range(40, 30, -1):
            self.of(OTHER, age)
            self.of('gone', age)
        self.of(OWN, 5)
        self.gone_jobs.add('gone')
        self.assertEqual('old backups removed: 10',
                         self.reason(self.admin()))
        self.assertEqual([('run-1', 3, ['gone', OTHER])], self.asked_jobs)

    def test_the_api_is_not_asked_without_backups_of_other_jobs(self):
        self.chain(30)
        self.of(OWN, 5)
        self.reason(self.admin())
        self.assertEqual([], self.asked_jobs)

    def test_an_increment_upon_another_jobs_chain_keeps_it(self):
        first = self.of(OWN, 50)
        theirs = self.of(OTHER, 40, base=first)
        last = self.of(OWN, 5)
        self.assertEqual(
            f'old backups removed: 0; the chain of backup {first} stays: '
            f'backup {theirs} is of job {OTHER}', self.reason(self.admin()))
        self.assertEqual({first, theirs, last}, set(self.cloud.backups))

    def test_after_a_backup_as_well(self):
        theirs = self.of(OTHER, 50)
        self.of(OWN, 40)
        self.assertEqual('old backups removed: 1', self.reason(
            self.context(fullbackup_rotation=1)))
        self.assertEqual(2, len(self.cloud.backups))
        self.assertIn(theirs, self.cloud.backups)

    def test_what_cannot_be_used(self):
        for keys in ({'retention_scope': 'project'}, {'retention_scope': 1},
                     {'keep_deleted_days': -1}, {'keep_deleted_days': False},
                     {'keep_deleted_days': 'x'}):
            progress, _context = self.go(self.admin(**keys))
            self.assertEqual('fail', progress.step.state, str(keys))
            self.assertIn(next(iter(keys)), progress.step.reason)


class TestDeletedVolume(ScopeCase):
    """An action of a single volume prunes others that its job backed up."""

    def setUp(self):
        super().setUp()
        self.gone = 'dddddddd-1111-4111-8111-111111111111'

    def of(self, job, age, base=None, **keys):
        keys.setdefault('volume_id', self.gone)
        return super().of(job, age, base, **keys)

    def test_what_the_rule_says_but_not_the_last_good_chain(self):
        old = self.of(OWN, 50), self.of(OWN, 40)
        last = self.of(OWN, 30)
        for made in (False, True):
            kind = self.context if made else self.admin
            self.assertEqual(None if made else 'old backups removed: 2',
                             self.reason(kind(remove_older_than=7)))
            self.assertIn(last, self.cloud.backups)
            self.assertEqual(set(), set(old) & set(self.cloud.backups))

    def test_by_number(self):
        made = [self.of(OWN, age) for age in (50, 40, 30)]
        self.reason(self.admin(fullbackup_rotation=2))
        self.assertEqual(made[1:], list(self.cloud.backups))

    def test_the_last_chain_by_age(self):
        self.of(OWN, 50)
        self.reason(self.admin(remove_older_than=7, remove_last_chain=True))
        self.assertEqual([], list(self.cloud.backups))

    def test_days_after_the_newest_backup(self):
        first = self.of(OWN, 50)
        made = [first, self.of(OWN, 30, base=first), self.of(OWN, 20)]
        for days, left in ((21, made), (20, []), (0, [])):
            self.reason(self.admin(fullbackup_rotation=5,
                                   keep_deleted_days=days))
            self.assertEqual(left, list(self.cloud.backups), str(days))

    def test_days_alone_are_a_rule_for_deleted_volumes_only(self):
        there = [super(TestDeletedVolume, self).of(
            OWN, age, volume_id=fakes.VOLUME) for age in (50, 40)]
        self.of(OWN, 50)
        self.reason(self.admin(keep_deleted_days=30))
        self.assertEqual(there, list(self.cloud.backups))
        self.of(OWN, 50)
        self.reason(self.context(keep_deleted_days=30))
        self.assertEqual(3, len(self.cloud.backups))

    def test_the_volume_that_the_action_names(self):
        """To remove by hand what a deleted volume has left."""
        made = [self.of(OWN, age) for age in (50, 40)]
        keys = {'cindernative_vol_id': self.gone, 'fullbackup_rotation': 2}
        self.reason(self.admin(keep_deleted_days=41, **keys))
        self.assertEqual(made, list(self.cloud.backups))
        self.reason(self.admin(keep_deleted_days=40, **keys))
        self.assertEqual([], list(self.cloud.backups))

    def test_a_backup_of_a_volume_that_is_deleted(self):
        """It fails, as before; what it left is under its rule all the same.
        """
        for keys, left in (({}, 2), ({'fullbackup_rotation': 1}, 1), (
                {'fullbackup_rotation': 1, 'keep_deleted_days': 0}, 0)):
            self.cloud.backups.clear()
            self.stored.clear()
            for age in (50, 40):
                self.of(OWN, age)
            progress, _context = self.go(self.context(
                cindernative_vol_id=self.gone, **keys))
            self.assertEqual('fail', progress.step.state, progress)
            self.assertFalse(progress.retry)
            removed = (f'; old backups removed: {2 - left}' if left < 2
                       else '')
            self.assertEqual(
                f'Cinder: Volume {self.gone} could not be found. (404): the '
                f'volume is not there{removed}', progress.step.reason)
            self.assertEqual(left, len(self.cloud.backups))
            self.assertEqual('error', [
                record for record in self.records()
                if record.backup_id == progress.step.backup_id][-1].status)
            self.assertEqual(2 - left, len([
                record for record in self.records()
                if record.status == 'deleted']))

    def test_a_kill_while_what_a_deleted_volume_left_is_removed(self):
        for moment in range(1, 20):
            self.cloud.backups.clear()
            for age in (50, 40):
                self.of(OWN, age)
            context = self.context(cindernative_vol_id=self.gone,
                                   fullbackup_rotation=1)
            for number in range(cases.MOST_CALLS):
                progress, after = self.call(context)
                if progress.step.state.final:
                    break
                context = dataclasses.replace(
                    context if moment % 2 else after, engine_state=None) if (
                        number == moment) else after
                self.clock.sleep(progress.after)
                if progress.after:
                    self.cloud.finish()
            self.assertEqual('fail', progress.step.state)
            self.assertIn('the volume is not there', progress.step.reason)
            self.assertEqual(1, len(self.cloud.backups))

    def test_a_404_alone_makes_no_volume_deleted(self):
        """One that is there loses nothing by an answer that was wrong."""
        made = [self.of(OWN, age, volume_id=fakes.VOLUME)
                for age in (50, 40)]
        self.cloud.fail('POST', '/backups', (404, 'no such volume'))
        progress, _context = self.go(self.context(
            fullbackup_rotation=2, keep_deleted_days=0))
        self.assertEqual('fail', progress.step.state)
        self.assertEqual(made, list(self.cloud.backups))

    def test_what_other_jobs_made_stays(self):
        theirs, agents = self.of(OTHER, 50), self.of(None, 49)
        self.of(OWN, 40)
        self.of('dead', 30)
        self.gone_jobs.add('dead')
        self.reason(self.admin(keep_deleted_days=1))
        self.assertEqual([theirs], list(self.cloud.backups))
        self.assertNotIn(agents, self.cloud.backups)

    def test_a_volume_that_only_others_backed_up(self):
        made = [self.of(OTHER, 50), self.of(None, 40), self.of('dead', 30)]
        self.gone_jobs.add('dead')
        self.reason(self.admin(keep_deleted_days=1))
        self.assertEqual(made, list(self.cloud.backups))

    def test_a_volume_that_is_there_is_none(self):
        self.cloud.volumes[self.gone] = 'available'
        made = [self.of(OWN, age) for age in (50, 40)]
        self.reason(self.admin(keep_deleted_days=1))
        self.assertEqual(made, list(self.cloud.backups))

    def test_trouble_with_them_fails_nothing(self):
        for fault in (fakes.no_connection, 500, (403, 'no'), (400, 'no')):
            self.cloud.fail('GET', 'limit=1&with_count', *[fault] * 9)
            self.of(OWN, 50)
            self.assertEqual('old backups removed: 0',
                             self.reason(self.admin(keep_deleted_days=1)))
            self.cloud.faults.clear()

    def test_nothing_is_looked_for_without_a_rule(self):
        self.reason(self.context())
        self.assertEqual([], [path for method, path in self.cloud.requests
                              if 'with_count' in path])

    def test_one_that_will_not_go(self):
        stuck, other = self.of(OWN, 50), 'eeeeeeee-1111-4111-8111-1111111111'
        self.cloud.undeletable.add(stuck)
        self.of(OWN, 50, volume_id=other)
        self.assertIn(f'removed: 1; backup {stuck} stays', self.reason(
            self.admin(keep_deleted_days=1)))

    def test_a_kill_at_any_moment(self):
        for moment in range(1, 20):
            self.cloud.backups.clear()
            first = self.of(OWN, 50)
            self.of(OWN, 49, base=first)
            context = self.admin(keep_deleted_days=1)
            for number in range(cases.MOST_CALLS):
                progress, after = self.call(context)
                if progress.step.state.final:
                    break
                context = dataclasses.replace(
                    context if moment % 2 else after, engine_state=None) if (
                        number == moment) else after
                self.clock.sleep(progress.after)
                if progress.after:
                    self.cloud.finish()
            self.assertEqual('old backups removed: 2', progress.step.reason)
            self.assertEqual({}, self.cloud.backups)


class TestSearch(ScopeCase):
    """Long lists cost no more, and nothing is passed over for ever."""

    def runs(self, count, **patched):
        with mock.patch.multiple(deleted_volumes, **patched):
            for number in range(count):
                context = dataclasses.replace(
                    self.admin(keep_deleted_days=1), run_id=f'run-{number}')
                self.go(context)

    def volumes(self, count, **keys):
        return [self.of(OWN, 50, volume_id=f'v{number}', **keys)
                for number in range(count)]

    def test_each_is_found_in_the_end(self):
        self.volumes(12)
        self.runs(1, MOST_FOUND=3)
        self.assertEqual(9, len(self.cloud.backups))
        self.runs(4, MOST_FOUND=3)
        self.assertEqual(0, len(self.cloud.backups))

    def test_a_part_of_a_long_list_is_looked_at(self):
        self.volumes(12)
        for number in range(30):
            self.of(OTHER, 50, volume_id=f'other-{number}')
        self.cloud.requests.clear()
        self.runs(1, FOR_ONE=10)
        self.assertLess(len([path for method, path in self.cloud.requests
                             if 'created_at%3aasc' in path.lower()]), 3)
        self.runs(40, FOR_ONE=10)
        self.assertEqual(30, len(self.cloud.backups))

    def test_few_volumes_are_asked_for(self):
        self.volumes(12)
        for number in range(12):
            self.cloud.volumes[f'v{number}'] = 'available'
        self.cloud.requests.clear()
        self.runs(1, _MOST_ASKED=4)
        self.assertEqual(4, len([path for method, path in self.cloud.requests
                                 if '/volumes/v' in path]))

    def test_what_stays_anyway_costs_no_request(self):
        self.volumes(12)
        self.cloud.requests.clear()
        self.go(self.admin())
        self.assertEqual([], [path for method, path in self.cloud.requests
                              if '/volumes/v' in path])


class TestSeveral(volumes.Case):
    """An action of several volumes has a part for each that is deleted."""

    def setUp(self):
        super().setUp()
        self.stack.volumes(2)
        self.deleted = volumes.VOLUMES[7]

    def old(self, age, volume_id=None, job='job-1'):
        made = fake_cinder.FakeCinder(
            lambda: self.stack.clock.epoch - age * 86400).time()
        return self.cloud.add_backup(
            'available', volume_id or self.deleted, created_at=made,
            data_timestamp=made, metadata={
                'created_by': 'freezer', 'freezer_job_id': job})['id']

    def several(self, **keys):
        return {**volumes.several(name='*'), **keys}

    def test_a_part_for_each(self):
        gone, last = self.old(50), self.old(40)
        report = self.stack.go([self.several(fullbackup_rotation=1)])
        self.assertEqual('success', report['state'], report)
        parts = self.parts(report)
        self.assertEqual({*volumes.VOLUMES[:2], self.deleted}, set(parts))
        self.assertEqual('old backups removed: 1',
                         parts[self.deleted]['reason'])
        self.assertTrue(parts[self.deleted]['volume_deleted'])
        self.assertNotIn(gone, self.cloud.backups)
        self.assertIn(last, self.cloud.backups)
        # Next time there is nothing to do, and no part.
        self.stack.stored = None
        report = self.stack.go([self.several(fullbackup_rotation=1)])
        self.assertEqual(set(volumes.VOLUMES[:2]), set(self.parts(report)))

    def test_all_volumes_are_deleted(self):
        self.cloud.volumes.clear()
        gone, last = self.old(50), self.old(40)
        report = self.stack.go([self.several(fullbackup_rotation=1)])
        self.assertEqual('fail', report['state'])
        self.assertIn('no volume of the project fits; '
                      f'{self.deleted}: old backups removed: 1',
                      report['reason'])
        self.assertNotIn(gone, self.cloud.backups)
        self.old(60)
        self.stack.stored = None
        report = self.stack.go([self.several(
            action='admin', fullbackup_rotation=1)])
        self.assertEqual('success', report['state'])
        self.assertEqual([last], list(self.cloud.backups))

    def test_one_of_those_that_are_named_by_id(self):
        self.old(50)
        last = self.old(40)
        action = volumes.several(ids=[volumes.VOLUMES[0], self.deleted])
        report = self.stack.go([{**action, 'fullbackup_rotation': 1}])
        self.assertEqual('fail', report['state'])
        self.assertEqual(2, len(self.cloud.backups))
        self.assertIn(last, self.cloud.backups)
        self.assertEqual(2, len(self.parts(report)))

    def test_a_kill_at_any_report(self):
        for number in range(1, 25):
            self.cloud.backups.clear()
            self.stack.stored, self.stack.reports = None, 0
            self.stack.kill = lambda report, at=number: report == at
            gone, last = self.old(50), self.old(40)
            report = self.stack.go([self.several(fullbackup_rotation=1)])
            self.assertEqual('success', report['state'], report)
            self.assertNotIn(gone, self.cloud.backups)
            self.assertIn(last, self.cloud.backups)
            self.assertEqual(3, len(self.cloud.backups))

    def test_an_action_of_several_looks_at_more(self):
        for _number in range(30):
            self.old(50, job='job-2')
        self.old(500)
        with mock.patch.multiple(deleted_volumes, FOR_ONE=1, FOR_SEVERAL=31):
            self.stack.go([self.several(keep_deleted_days=1)])
        self.assertEqual({self.deleted}, {
            backup['volume_id'] for backup in self.cloud.backups.values()
            if backup['metadata'].get('freezer_job_id') == 'job-2'})
        self.assertEqual(32, len(self.cloud.backups))

    def test_no_more_parts_than_there_is_room_for(self):
        for number in range(10, 30):
            self.old(500, volumes.VOLUMES[number])
        with mock.patch.object(cinder_selection, 'MOST_VOLUMES', 5):
            report = self.stack.go([self.several(keep_deleted_days=1)])
        self.assertEqual('success', report['state'])
        self.assertEqual(5, len(self.parts(report)))

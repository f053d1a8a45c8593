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

"""The records of backups that retention removed."""

from __future__ import annotations

from typing import Any

from tests.functional import base


class DeletedBackupTests(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.register_central()
        self.job_id = self.create_job()
        self.start(self.job_id)
        self.run_now = self.one_run()

    def stock_record(self, persona: base.Persona = base.MEMBER,
                     **metadata: Any) -> str:
        """Make a record as a scheduler of 19.0.0 does; return its id."""
        made: str = self.call(persona, 'POST', 'backups', {
            'backup_name': 'n', 'container': 'c', 'hostname': 'h',
            'job_id': 'of-another-job', **metadata}, 201)['backup_id']
        return made

    def deleted(self, backup_id: str, status: int = 200,
                **metadata: Any) -> Any:
        return self.report(self.run_now, status=status, backups=[{
            'backup_id': backup_id, 'status': 'deleted',
            'backup_metadata': metadata}])

    def ids(self, persona: base.Persona = base.MEMBER) -> list[str]:
        return [one['backup_id'] for one in self.call(
            persona, 'GET', 'backups', status=200)['backups']]

    def test_a_record_of_another_job_goes_with_its_backup(self) -> None:
        record = self.stock_record(cinder_backup_id='cb')
        kept = self.stock_record(cinder_backup_id='other')
        # Twice is the same as once, as reports may be.
        for _ in range(2):
            self.deleted(record, cinder_backup_id='cb')
            self.assertEqual([kept], self.ids())
        self.call(base.MEMBER, 'GET', f'backups/{record}', status=404)

    def test_it_has_to_be_the_record_of_that_backup(self) -> None:
        """What a backup in Cinder says of its record is users' writing."""
        records = [self.stock_record(cinder_backup_id='cb'),
                   self.stock_record(), self.stock_record(
                       cinder_backup_id=['cb'])]
        for record in records:
            for metadata in ({}, {'cinder_backup_id': 'another'},
                             {'cinder_backup_id': ''},
                             {'cinder_backup_id': None},
                             {'cinder_backup_id': ['another']}):
                self.deleted(record, **metadata)
        self.assertEqual(sorted(records), sorted(self.ids()))

    def test_tries_share_a_record_and_the_good_one_stays(self) -> None:
        record = 'c' * 32
        self.report(self.run_now, backups=[{
            'backup_id': record, 'status': 'available',
            'backup_metadata': {'cinder_backup_id': 'second'}}])
        self.deleted(record, cinder_backup_id='first')
        self.assertEqual([record], self.ids())
        self.deleted(record, cinder_backup_id='second')
        self.assertEqual([], self.ids())

    def test_a_record_of_its_own_that_came_to_nothing(self) -> None:
        known: tuple[dict[str, Any], ...] = ({}, {'cinder_backup_id': ''})
        for metadata in known:
            record = 'd' * 32
            self.report(self.run_now, backups=[{
                'backup_id': record, 'status': 'creating',
                'backup_metadata': {'cinder_backup_id': ''}}])
            self.deleted(record, fail_reason='aborted', **metadata)
            self.assertEqual([], self.ids())

    def test_another_projects_record_stays(self) -> None:
        theirs = self.stock_record(base.STRANGER, cinder_backup_id='cb')
        self.deleted(theirs, cinder_backup_id='cb')
        self.assertEqual([theirs], self.ids(base.STRANGER))

    def test_an_unknown_record_is_none(self) -> None:
        self.deleted('e' * 32, cinder_backup_id='cb')
        self.assertEqual([], self.ids())

    def test_only_ids_are_taken_for_ids(self) -> None:
        for bad in ('x', 'F' * 32, 'e' * 33, '', None, 7):
            answer = self.report(self.run_now, status=400, backups=[
                {'backup_id': bad, 'status': 'deleted'}])
            self.assertIn('backup_id', answer['description'])

    def test_a_run_that_removes_old_backups(self) -> None:
        """A scheduler that takes it over learns what is being removed."""
        step = {'action_id': 'a', 'position': 0, 'state': 'pruning',
                'tries': 1, 'removing': 'cb', 'removing_record': 'c' * 32,
                'removed': 3}
        self.report(self.run_now, actions=[step])
        self.pass_lease()
        taken = self.one_run(scheduler='s2')
        self.assertEqual([step], taken['actions'])
        self.report(taken, 'success', scheduler='s2', reason='removed: 4')
        self.assertEqual('removed: 4', self.runs(self.job_id)[0]['reason'])


class DeletedBackupTestsOnMySQL(base.MySQL, DeletedBackupTests):
    pass


class DeletedBackupTestsOnPostgreSQL(base.PostgreSQL, DeletedBackupTests):
    pass

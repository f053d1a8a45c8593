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

"""Backup records over HTTP."""

from __future__ import annotations

from typing import Any

from tests.functional import base

RECORD: dict[str, Any] = {
    'backup_name': 'b1', 'container': 'c', 'hostname': 'h',
    'time_stamp': 1459349846, 'curr_backup_level': 0, 'incremental': False}


class BackupTests(base.ApiTestCase):

    def create(self, persona: base.Persona = base.MEMBER,
               **more: Any) -> str:
        backup_id: str = self.call(persona, 'POST', 'backups', {
            **RECORD, **more}, 201)['backup_id']
        return backup_id

    def show(self, backup_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.call(
            base.MEMBER, 'GET', f'backups/{backup_id}', status=200)
        return shown

    def test_shape(self) -> None:
        backup_id = self.create()
        shown = {'project_id': 'p1', 'user_id': 'alice',
                 'backup_id': backup_id, 'status': 'available',
                 'backup_metadata': RECORD}
        self.assertEqual({**shown, 'backup_uuid': backup_id},
                         self.show(backup_id))
        self.assertEqual({'backups': [shown]}, self.call(
            base.MEMBER, 'GET', 'backups', status=200))
        self.assertEqual({'backups': []}, self.call(
            base.STRANGER, 'GET', 'backups', status=200))

    def test_one_that_is_being_made_needs_a_name_only(self) -> None:
        backup_id = self.call(base.MEMBER, 'POST', 'backups', {
            'backup_name': 'b', 'status': 'creating'}, 201)['backup_id']
        shown = self.show(backup_id)
        self.assertEqual('creating', shown['status'])
        self.assertEqual({'backup_name': 'b'}, shown['backup_metadata'])

    def test_patch_takes_nested_and_flat_metadata(self) -> None:
        """Stock schedulers send it flat, and upstream throws that away."""
        backup_id = self.create(status='creating')
        answer = self.call(base.SERVICE, 'PATCH',
                           f'/v2/p1/backups/{backup_id}', {
                               'status': 'available', 'size': 3,
                               'backup_metadata': {'x': 1},
                               'project_id': 'p2', 'user_id': 'eve'}, 200)
        self.assertEqual({**RECORD, 'x': 1, 'size': 3},
                         answer['backup_metadata'])
        self.assertEqual(answer, self.show(backup_id))
        self.assertEqual(('available', 'alice', 'p1'), (
            answer['status'], answer['user_id'], answer['project_id']))

    def test_metadata_that_grows_too_large(self) -> None:
        backup_id = self.create(note='n' * 10_000)
        before = self.show(backup_id)
        answer = self.call(base.MEMBER, 'PATCH', f'backups/{backup_id}', {
            'backup_metadata': {'more': 'm' * 10_000}}, 400)
        self.assertIn('backup_metadata', answer['description'])
        self.assertEqual(before, self.show(backup_id))

    def test_a_run_ends_however_much_its_owner_wrote(self) -> None:
        self.register_central()
        self.start(self.create_job())
        run = self.one_run()
        record: dict[str, Any] = {
            'backup_id': 'd' * 32, 'status': 'creating',
            'backup_metadata': {'backup_name': 'n'}}
        self.report(run, backups=[record])
        self.call(base.MEMBER, 'PATCH', f'backups/{"d" * 32}', {
            'backup_metadata': {'more': 'm' * 15_000}}, 200)
        self.report(run, 'success', backups=[{
            **record, 'status': 'available',
            'backup_metadata': {'note': 'n' * 10_000}}])
        self.assertEqual('available', self.show('d' * 32)['status'])

    def test_delete(self) -> None:
        backup_id = self.create()
        self.call(base.STRANGER, 'DELETE', f'backups/{backup_id}',
                  status=404)
        self.call(base.READER, 'DELETE', f'backups/{backup_id}', status=403)
        self.show(backup_id)
        self.call(base.MEMBER, 'DELETE', f'backups/{backup_id}', status=204)
        self.call(base.MEMBER, 'GET', f'backups/{backup_id}', status=404)
        self.call(base.MEMBER, 'DELETE', f'backups/{backup_id}', status=404)

    def test_pages(self) -> None:
        ids = [self.create(backup_name=f'b{n}') for n in range(8)]
        seen: list[str] = []
        for limit, offset in ((5, 0), (5, 5), (5, 10)):
            seen += [one['backup_id'] for one in self.call(
                base.MEMBER, 'GET',
                f'backups/?limit={limit}&offset={offset}',
                status=200)['backups']]
        self.assertEqual(sorted(ids), sorted(seen))

    def test_bad_documents_change_nothing(self) -> None:
        backup_id = self.create()
        before = self.show(backup_id)
        for name, value in (
                ('backup_name', ''), ('backup_name', None),
                ('container', None), ('hostname', ''), ('status', 'zz'),
                ('status', 7), ('backup_name', 'a\0b')):
            answer = self.call(base.MEMBER, 'POST', 'backups',
                               {**RECORD, name: value}, 400)
            self.assertIn(name, answer['description'], (name, value))
        bodies: tuple[Any, ...] = (
            {'status': 'nope'}, {'backup_metadata': 'x'},
            {'backup_metadata': None}, [], None, 7)
        for body in bodies:
            self.call(base.MEMBER, 'PATCH', f'backups/{backup_id}', body,
                      400)
        self.assertEqual('Missing request body', self.call(
            base.MEMBER, 'PATCH', f'backups/{backup_id}', {}, 400)[
                'description'])
        self.call(base.MEMBER, 'PATCH', 'backups/nope',
                  {'status': 'error'}, 404)
        self.assertEqual(before, self.show(backup_id))
        self.assertEqual(1, len(self.call(
            base.MEMBER, 'GET', 'backups', status=200)['backups']))

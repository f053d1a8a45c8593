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

"""What Cinder does, as far as the scheduler builds on it.

The same tests are run against the fake of the unit tests and against the real
Cinder, so that the fake cannot be kinder than the world.
"""

from __future__ import annotations

import abc
import datetime
from typing import Any
import unittest

NOWHERE = '99999999-9999-4999-8999-999999999999'
MARKS = {'created_by': 'freezer', 'freezer_run_id': 'run', 'empty': ''}


class CinderBehaviour(unittest.TestCase, abc.ABC):
    """To be mixed with a way to ask one Cinder or the other."""

    @abc.abstractmethod
    def ask(self, method: str, path: str, body: object = None,
            ) -> tuple[int, Any]:
        """Send a request; return status and document, or None."""

    @abc.abstractmethod
    def settle(self) -> None:
        """Let Cinder end what it works on."""

    @abc.abstractmethod
    def limit_backups(self, number: int | None) -> None:
        """Set the project's quota; None for none."""

    @abc.abstractmethod
    def limit_gigabytes(self, number: int | None) -> None:
        """Set the project's quota of GiB in backups; None for none."""

    @abc.abstractmethod
    def spoil(self, volume_id: str) -> None:
        """See to it that backups of a volume fail."""

    def new_volume(self, **keys: object) -> str:
        status, document = self.ask('POST', '/volumes', {'volume': {
            'name': 'v', 'size': 1, **keys}})
        self.assertEqual(202, status, document)
        self.settle()
        volume_id: str = document['volume']['id']
        return volume_id

    def create(self, volume_id: str, **keys: object) -> tuple[int, Any]:
        return self.ask('POST', '/backups', {'backup': {
            'volume_id': volume_id, 'name': 'n', 'container': 'c',
            'description': 'd', 'force': True, 'incremental': False,
            'metadata': MARKS, **keys}})

    def new_backup(self, volume_id: str, **keys: object) -> str:
        status, document = self.create(volume_id, **keys)
        self.assertEqual(202, status, document)
        self.settle()
        backup_id: str = document['backup']['id']
        return backup_id

    def shown(self, path: str) -> dict[str, Any]:
        status, document = self.ask('GET', path)
        self.assertEqual(200, status, document)
        [found] = document.values()
        self.assertIsInstance(found, dict)
        return dict(found)

    def listed(self, volume_id: str, query: str = '') -> list[str]:
        status, document = self.ask(
            'GET', f'/backups/detail?volume_id={volume_id}'
                   f'&sort=created_at:desc{query}')
        self.assertEqual(200, status, document)
        return [backup['id'] for backup in document['backups']]

    def assert_refused(self, status: int, text: str,
                       answer: tuple[int, Any]) -> None:
        self.assertEqual(status, answer[0], answer[1])
        [part] = answer[1].values()
        self.assertEqual(status, part['code'])
        self.assertIn(text.lower(), part['message'].lower())

    # -- backups --

    def test_the_life_of_a_backup(self) -> None:
        volume_id = self.new_volume()
        status, document = self.create(volume_id)
        self.assertEqual(202, status)
        path = f'/backups/{document["backup"]["id"]}'
        self.assertEqual('n', document['backup']['name'])
        self.assertIn(self.shown(path)['status'], ('creating', 'available'))
        self.settle()
        shown = self.shown(path)
        for key, value in (
                ('status', 'available'), ('volume_id', volume_id),
                ('metadata', MARKS), ('container', 'c'), ('name', 'n'),
                ('is_incremental', False), ('size', 1),
                ('has_dependent_backups', False), ('fail_reason', None)):
            self.assertEqual(value, shown[key], key)
        # Without a zone, and it means UTC.
        created = datetime.datetime.fromisoformat(shown['created_at'])
        self.assertIsNone(created.tzinfo)
        self.assertEqual('available',
                         self.shown(f'/volumes/{volume_id}')['status'])
        self.assertEqual((202, None), self.ask('DELETE', path))
        self.settle()
        self.assert_refused(404, 'could not be found',
                            self.ask('GET', path))
        self.assert_refused(404, 'could not be found',
                            self.ask('DELETE', path))

    def test_what_is_told_of_a_backup_later(self) -> None:
        """Metadata are replaced as a whole, and a description alone."""
        volume_id = self.new_volume()
        path = f'/backups/{self.new_backup(volume_id)}'
        for keys, metadata, description in (
                ({'description': 'x' * 255}, MARKS, 'x' * 255),
                ({'metadata': {'a': 'b'}}, {'a': 'b'}, 'x' * 255),
                ({'description': ''}, {'a': 'b'}, '')):
            status, document = self.ask('PUT', path, {'backup': keys})
            self.assertEqual(200, status, document)
            shown = self.shown(path)
            self.assertEqual((metadata, description),
                             (shown['metadata'], shown['description']))
            # A list, too, has it.
            [listed] = self.ask('GET', f'/backups/detail?volume_id={volume_id}'
                                )[1]['backups']
            self.assertEqual(description, listed['description'])
        self.assert_refused(400, 'invalid input', self.ask(
            'PUT', path, {'backup': {'description': 'x' * 256}}))
        self.assert_refused(404, 'could not be found', self.ask(
            'PUT', f'/backups/{NOWHERE}', {'backup': {'name': 'n'}}))

    def test_the_list_of_a_volumes_backups(self) -> None:
        volume_id, other = self.new_volume(), self.new_volume()
        self.assertEqual([], self.listed(volume_id))
        self.assertEqual([], self.listed(NOWHERE))
        made = [self.new_backup(volume_id) for _ in range(3)][::-1]
        self.new_backup(other)
        self.assertEqual(made, self.listed(volume_id))
        self.assertEqual(made, self.listed(volume_id, '&status=available'))
        self.assertEqual([], self.listed(volume_id, '&status=error'))
        self.assertEqual(made[:2], self.listed(volume_id, '&limit=2'))
        self.assertEqual(made[2:], self.listed(
            volume_id, f'&limit=2&marker={made[1]}'))
        self.assertEqual(404, self.ask(
            'GET', f'/backups/detail?marker={NOWHERE}')[0])

    def test_a_list_says_whether_it_goes_on(self) -> None:
        volume_id = self.new_volume()
        for _number in range(2):
            self.new_backup(volume_id)
        path = f'/backups/detail?volume_id={volume_id}&limit='
        self.assertIn('backups_links', self.ask('GET', path + '1')[1])
        self.assertNotIn('backups_links', self.ask('GET', path + '3')[1])

    def test_the_list_of_a_projects_backups(self) -> None:
        """A part of it is asked for by its place in the list."""
        path = '/backups/detail?sort=created_at:asc'
        status, document = self.ask('GET', f'{path}&limit=1&with_count=true')
        self.assertEqual(200, status, document)
        before = document['count']
        volumes = [self.new_volume(), self.new_volume()]
        made = [self.new_backup(volume_id) for volume_id in volumes]
        status, document = self.ask('GET', f'{path}&limit=1&with_count=true')
        self.assertEqual(before + 2, document['count'])
        for offset, limit, wanted in ((0, 2, made), (1, 2, made[1:]),
                                      (0, 1, made[:1]), (5, 1, [])):
            status, document = self.ask(
                'GET', f'{path}&limit={limit}&offset={before + offset}')
            self.assertEqual(200, status, document)
            self.assertEqual(wanted, [
                backup['id'] for backup in document['backups']])
        status, document = self.ask(
            'GET', f'{path}&limit=5&marker={made[0]}')
        self.assertEqual(made[1:], [
            backup['id'] for backup in document['backups']])

    def test_backups_outlive_their_volume(self) -> None:
        volume_id = self.new_volume()
        backup_id = self.new_backup(volume_id)
        self.assertEqual(202, self.ask(
            'DELETE', f'/volumes/{volume_id}')[0])
        self.settle()
        self.assert_refused(404, 'could not be found', self.ask(
            'GET', f'/volumes/{volume_id}'))
        self.assertEqual([backup_id], self.listed(volume_id))
        self.assertEqual(202, self.ask(
            'DELETE', f'/backups/{backup_id}')[0])
        self.settle()
        self.assertEqual([], self.listed(volume_id))

    def test_one_backup_of_a_volume_at_a_time(self) -> None:
        volume_id = self.new_volume()
        self.assertEqual(202, self.create(volume_id)[0])
        second = self.create(volume_id)
        if second[0] == 202:
            self.skipTest('the first one was finished too soon')
        self.assert_refused(400, 'status is "backing-up"', second)
        self.settle()
        self.assertEqual(1, len(self.listed(volume_id)))

    def test_what_is_refused(self) -> None:
        self.assert_refused(404, 'could not be found', self.create(NOWHERE))
        self.assert_refused(404, 'could not be found', self.ask(
            'POST', f'/backups/{NOWHERE}/restore',
            {'restore': {'volume_id': NOWHERE}}))
        self.assert_refused(404, 'could not be found', self.ask(
            'GET', f'/volumes/{NOWHERE}'))
        volume_id = self.new_volume()
        for keys in ({'name': 'x' * 256}, {'container': 'x' * 256},
                     {'metadata': {'x': 'x' * 256}},
                     {'metadata': {'x' * 256: 'x'}}):
            with self.subTest(keys=keys):
                self.assert_refused(400, 'invalid input',
                                    self.create(volume_id, **keys))
        self.assertEqual([], self.listed(volume_id))

    def test_an_increment_needs_a_base_and_keeps_it(self) -> None:
        volume_id = self.new_volume()
        self.assert_refused(400, 'No backups available',
                            self.create(volume_id, incremental=True))
        self.assertEqual('available',
                         self.shown(f'/volumes/{volume_id}')['status'])
        base = self.new_backup(volume_id)
        increment = self.new_backup(volume_id, incremental=True)
        shown = self.shown(f'/backups/{increment}')
        self.assertEqual((True, False), (shown['is_incremental'],
                                         shown['has_dependent_backups']))
        self.assertTrue(
            self.shown(f'/backups/{base}')['has_dependent_backups'])
        self.assert_refused(400, 'Incremental backups exist',
                            self.ask('DELETE', f'/backups/{base}'))
        for backup_id in (increment, base):
            self.assertEqual(202, self.ask(
                'DELETE', f'/backups/{backup_id}')[0])
            self.settle()
        self.assertEqual([], self.listed(volume_id))

    def test_the_newest_one_is_the_base(self) -> None:
        volume_id = self.new_volume()
        first = self.new_backup(volume_id)
        second = self.new_backup(volume_id)
        self.new_backup(volume_id, incremental=True)
        self.assertEqual([False, True], [
            self.shown(f'/backups/{backup}')['has_dependent_backups']
            for backup in (first, second)])

    def test_an_increment_of_an_extended_volume_fails_once_accepted(
            self) -> None:
        volume_id = self.new_volume()
        base = self.new_backup(volume_id)
        status, document = self.ask('POST', f'/volumes/{volume_id}/action', {
            'os-extend': {'new_size': 2}})
        self.assertEqual(202, status, document)
        self.settle()
        shown = self.shown(f'/volumes/{volume_id}')
        self.assertEqual((2, 'available'), (shown['size'], shown['status']))
        self.assertEqual(1, self.shown(f'/backups/{base}')['size'])
        failed = self.shown('/backups/' + self.new_backup(
            volume_id, incremental=True))
        self.assertEqual(('error', True, 2), (
            failed['status'], failed['is_incremental'], failed['size']))
        self.assertIn('size increased', failed['fail_reason'])
        self.assertEqual(202, self.ask(
            'DELETE', f'/backups/{failed["id"]}')[0])
        self.settle()
        full = self.new_backup(volume_id)
        self.assertEqual('available', self.shown(f'/backups/{full}')['status'])
        increment = self.new_backup(volume_id, incremental=True)
        self.assertEqual('available',
                         self.shown(f'/backups/{increment}')['status'])

    def test_where_a_backup_is_put_that_names_no_place(self) -> None:
        volume_id = self.new_volume()
        backup_id = self.new_backup(volume_id, container=None)
        shown = self.shown(f'/backups/{backup_id}')
        self.assertEqual('available', shown['status'])
        # Of the driver that keeps backups in files.
        self.assertEqual(f'{backup_id[:2]}/{backup_id[2:4]}/{backup_id}',
                         shown['container'])
        self.assertEqual(
            self.shown(f'/volumes/{volume_id}')['availability_zone'],
            shown['availability_zone'])
        named = self.new_backup(volume_id, container='named')
        self.assertEqual('named', self.shown(f'/backups/{named}')['container'])

    def test_an_unfinished_backup_is_not_deleted(self) -> None:
        volume_id = self.new_volume()
        _status, document = self.create(volume_id)
        path = f'/backups/{document["backup"]["id"]}'
        answer = self.ask('DELETE', path)
        if answer[0] == 202:
            self.skipTest('it was finished too soon')
        self.assert_refused(400, 'must be available or error', answer)
        self.settle()
        self.assertEqual('available', self.shown(path)['status'])

    def test_a_backup_that_fails_says_why(self) -> None:
        volume_id = self.new_volume()
        self.spoil(volume_id)
        shown = self.shown(f'/backups/{self.new_backup(volume_id)}')
        self.assertEqual('error', shown['status'])
        self.assertTrue(shown['fail_reason'])
        self.assertEqual('available',
                         self.shown(f'/volumes/{volume_id}')['status'])
        # It is no base for others, and can be deleted.
        self.assert_refused(400, 'No backups available',
                            self.create(volume_id, incremental=True))
        self.assertEqual(202, self.ask(
            'DELETE', f'/backups/{shown["id"]}')[0])
        self.settle()
        self.assertEqual([], self.listed(volume_id))

    def test_a_quota(self) -> None:
        volume_id = self.new_volume()
        self.addCleanup(self.limit_backups, None)
        self.limit_backups(0)
        self.assert_refused(413, 'Maximum number of backups allowed',
                            self.create(volume_id))
        self.assertEqual('available',
                         self.shown(f'/volumes/{volume_id}')['status'])
        self.assertEqual([], self.listed(volume_id))

    def test_what_failed_counts_in_the_quota_until_it_is_gone(self) -> None:
        volume_id = self.new_volume()
        self.addCleanup(self.limit_backups, None)
        before = len(self.ask('GET', '/backups/detail')[1]['backups'])
        self.spoil(volume_id)
        failed = self.new_backup(volume_id)
        self.assertEqual('error', self.shown(f'/backups/{failed}')['status'])
        self.limit_backups(before + 1)
        self.assert_refused(413, 'Maximum number of backups allowed',
                            self.create(volume_id))
        self.assertEqual(202, self.ask('DELETE', f'/backups/{failed}')[0])
        self.settle()
        self.assertEqual(202, self.create(volume_id)[0])
        self.settle()

    def test_a_quota_of_gigabytes(self) -> None:
        volume_id = self.new_volume()
        self.addCleanup(self.limit_gigabytes, None)
        self.limit_gigabytes(0)
        self.assert_refused(413, 'exceeds allowed Backup gigabytes quota',
                            self.create(volume_id))

    # -- volumes and restores --

    def test_the_life_of_a_volume(self) -> None:
        volume_id = self.new_volume(metadata=MARKS, name='mine')
        shown = self.shown(f'/volumes/{volume_id}')
        for key, value in (('status', 'available'), ('name', 'mine'),
                           ('metadata', MARKS), ('size', 1)):
            self.assertEqual(value, shown[key], key)
        self.assertIsInstance(shown['volume_type'], str)
        self.assertEqual(202, self.ask(
            'DELETE', f'/volumes/{volume_id}')[0])
        self.settle()
        self.assertEqual(404, self.ask('GET', f'/volumes/{volume_id}')[0])
        self.assertEqual(400, self.ask('POST', '/volumes', {'volume': {
            'size': 1, 'name': 'x' * 256}})[0])

    def test_volumes_are_found_by_their_metadata(self) -> None:
        mark = {'freezer_run_id': self.id()}
        self.new_volume(metadata={'freezer_run_id': 'another'})
        made = [self.new_volume(metadata={**mark, 'n': str(number)})
                for number in range(2)]

        def found(marks: dict[str, str]) -> list[str]:
            status, document = self.ask(
                'GET', '/volumes/detail?limit=1000&sort=created_at:asc'
                       f'&metadata={marks}')
            self.assertEqual(200, status, document)
            return [volume['id'] for volume in document['volumes']]

        self.assertEqual(made, found(mark))
        self.assertEqual(made[1:], found({**mark, 'n': '1'}))
        self.assertEqual([], found({'freezer_run_id': 'none at all'}))

    def test_a_restore_into_the_volume_itself(self) -> None:
        volume_id = self.new_volume(metadata=MARKS)
        backup_id = self.new_backup(volume_id)
        answer = self.ask('POST', f'/backups/{backup_id}/restore',
                          {'restore': {'volume_id': volume_id}})
        self.assertEqual(202, answer[0], answer[1])
        self.assertEqual(volume_id, answer[1]['restore']['volume_id'])
        self.assertIn(self.shown(f'/volumes/{volume_id}')['status'],
                      ('restoring-backup', 'available'))
        self.settle()
        shown = self.shown(f'/volumes/{volume_id}')
        self.assertEqual(('available', MARKS),
                         (shown['status'], shown['metadata']))
        self.assertEqual('available',
                         self.shown(f'/backups/{backup_id}')['status'])

    def test_a_restore_into_a_new_volume_replaces_its_marks(self) -> None:
        source = self.new_volume(metadata={'of': 'the source'})
        backup_id = self.new_backup(source)
        target = self.new_volume(metadata=MARKS, name='target')
        self.assertEqual(202, self.ask(
            'POST', f'/backups/{backup_id}/restore',
            {'restore': {'volume_id': target}})[0])
        self.settle()
        shown = self.shown(f'/volumes/{target}')
        self.assertEqual(
            ('available', 'target', {'of': 'the source',
                                     'src_backup_id': backup_id}),
            (shown['status'], shown['name'], shown['metadata']))

    def test_a_busy_volume_is_not_restored_into(self) -> None:
        volume_id = self.new_volume()
        backup_id = self.new_backup(volume_id)
        self.create(volume_id)
        answer = self.ask('POST', f'/backups/{backup_id}/restore',
                          {'restore': {'volume_id': volume_id}})
        if answer[0] == 202:
            self.skipTest('the backup was finished too soon')
        self.assert_refused(400, 'must be available', answer)
        self.settle()

    def test_a_busy_volume_is_not_deleted(self) -> None:
        volume_id = self.new_volume()
        self.create(volume_id)
        answer = self.ask('DELETE', f'/volumes/{volume_id}')
        if answer[0] == 202:
            self.skipTest('the backup was finished too soon')
        self.assert_refused(400, 'status must be', answer)
        self.settle()

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

"""No document of a user is read while a transaction is open.

How long that takes is up to the user, and a transaction holds locks.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import threading
import types
from typing import Any
from unittest import mock

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import actions
from freezer_api.db import models
from freezer_api.domain import capabilities
from freezer_api.domain import cinder_action
from freezer_api.domain import cinder_keys
from freezer_api.domain import schedule
from freezer_api.services import parsed_documents
from tests.functional import base
from tests.functional import test_lock_time

#: What reads documents, and whether of actions.
READERS: tuple[tuple[Any, str, bool], ...] = (
    (cinder_action, 'check', True), (cinder_action, 'read', True),
    (cinder_action, 'volumes_named', True),
    (cinder_keys, 'check_names', True), (cinder_keys, 'Values', True),
    (capabilities, 'read_needs', True), (capabilities, 'unsupported', True),
    (schedule, 'check_new', False), (schedule, 'check_interval', False))

OTHER = {**base.BACKUP, 'backup_name': 'other', 'note_of_mine': 1}
SEVERAL = {'action': 'backup', 'mode': 'cindernative',
           'cindernative_volumes': {'ids': [base.VOLUME]}}


_of_job = actions.of_job


def changed(session: orm.Session, job_id: str, **keys: Any) -> list[Any]:
    """Return the actions of a job as another request has changed them."""
    return [types.SimpleNamespace(**{
        **{name: getattr(one, name) for name in (
            'id', 'project_id', *actions.COLUMNS.values())},
        'backup_metadata': {**(one.backup_metadata or {}), **keys},
        'actionmode': keys.get('mode', one.actionmode)})
        for one in _of_job(session, job_id)]


class ReadingTests(test_lock_time.LockTimeTests):
    """For each route and verb that a tenant can call."""

    def setUp(self) -> None:
        super().setUp()
        self._open: dict[int, int] = {}
        engine = self.database.engine
        for name, step in (('begin', 1), ('commit', -1), ('rollback', -1)):
            sa.event.listen(engine, name, self._counter(step))

    def _counter(self, step: int) -> Callable[[sa.Connection], None]:
        def count(connection: sa.Connection) -> None:
            thread = threading.get_ident()
            self._open[thread] = max(0, self._open.get(thread, 0) + step)
        return count

    @contextlib.contextmanager
    def watched(self) -> Iterator[dict[str, list[bool]]]:
        """Note each use of a reader, and whether a transaction was open."""
        used: dict[str, list[bool]] = {}

        def watch(module: Any, name: str) -> Any:
            real = getattr(module, name)

            def reader(*args: Any, **kwargs: Any) -> Any:
                used.setdefault(f'{module.__name__}.{name}', []).append(
                    bool(self._open.get(threading.get_ident())))
                return real(*args, **kwargs)

            return mock.patch.object(module, name, reader)

        with contextlib.ExitStack() as stack:
            for module, name, _ in READERS:
                stack.enter_context(watch(module, name))
            yield used

    def assert_outside(self, used: dict[str, list[bool]]) -> None:
        self.assertEqual([], [
            name for name, inside in used.items() if any(inside)])

    def more(self) -> dict[tuple[str, str], list[tuple[str, Any]]]:
        """Return further requests, that take other ways."""
        v2 = '/v2/{project_id}'
        job, action = f'jobs/{self.job_id}', f'actions/{self.action}'
        named = {'client_id': 'central', 'job_actions': [
            {'action_id': self.action}, {'freezer_action': OTHER},
            {'action_id': self.action, 'freezer_action': base.BACKUP}]}
        daily = {'schedule_interval': '2 days'}
        return {
            ('POST', f'{v2}/jobs'): [
                ('jobs', named), ('jobs', {
                    **named, 'job_schedule': {'schedule_cron': '5 4 * * *'}}),
                ('jobs', {**named, 'action_defaults': {'container': 'c'}}),
                ('jobs', {**named, 'client_id': 'own'}),
                ('jobs', {'client_id': 'central', 'job_actions': [
                    {'freezer_action': SEVERAL}] * 3})],
            ('POST', f'{v2}/jobs/{{job_id}}'): [
                (job, named), ('jobs/new', named)],
            ('PATCH', f'{v2}/jobs/{{job_id}}'): [
                (job, {'job_schedule': daily}),
                (job, {'job_schedule': {**daily, 'status': 'stop'}}),
                (job, {'job_actions': named['job_actions']}),
                (job, {'client_id': 'own'}), (job, {'client_id': 'central'}),
                (job, {'session_id': self.session}),
                (job, {'user_credentials': {}}), (job, named)],
            ('POST', f'{v2}/jobs/{{job_id}}/event'): [
                (f'{job}/event', {'start': None})],
            ('POST', f'{v2}/actions'): [
                ('actions', {'freezer_action': SEVERAL}),
                ('actions', {'freezer_action': {
                    'action': 'backup', 'path_to_backup': '/etc'}})],
            ('POST', f'{v2}/actions/{{action_id}}'): [
                ('actions/new', {'freezer_action': OTHER}),
                (action, {'freezer_action': SEVERAL})],
            ('PATCH', f'{v2}/actions/{{action_id}}'): [
                (action, {'freezer_action': {'container': 'c'}}),
                (action, {'max_retries': 1}),
                (action, {'freezer_action': {
                    'cindernative_volumes': {'name': 'a*', 'ids': None}}})],
            ('POST', f'{v2}/sessions'): [('sessions', {
                'description': 'd', 'schedule': daily})],
            ('POST', f'{v2}/sessions/{{session_id}}'): [
                (f'sessions/{self.session}', {
                    'description': 'd', 'schedule': daily})],
            ('PATCH', f'{v2}/sessions/{{session_id}}'): [
                (f'sessions/{self.session}', {
                    'schedule': {'schedule_interval': '3 days'}})],
            ('PUT', f'{v2}/sessions/{{session_id}}/jobs/{{job_id}}'): [
                (f'sessions/{self.session}/jobs/{self.job_id}', None)],
        }

    def test_each_request_is_bounded(self) -> None:
        """Replaced: what is bounded here is what is read, and when."""
        self.call(base.MEMBER, 'POST', 'clients', {
            'client_id': 'own', 'hostname': 'h', 'claims': True}, 201)
        requests = self.more()
        for operation, sent in self.requests().items():
            requests.setdefault(operation, []).extend(sent)
        requests = {operation: sent for operation, sent in requests.items()
                    if operation[0] != 'DELETE'} | {
            operation: sent for operation, sent in requests.items()
            if operation[0] == 'DELETE'}
        used: dict[str, list[bool]] = {}
        accepted: set[tuple[str, str]] = set()
        for operation, every in requests.items():
            for path, body in every:
                with self.watched() as now:
                    result = self.client.simulate_request(
                        operation[0], f'/v2/p1/{path}', json=body,
                        extras=base.MEMBER.environ())
                with self.subTest(operation, path=path):
                    self.assertLess(result.status_code, 500, result.text)
                    self.assert_outside(now)
                if result.status_code < 300:
                    accepted.add(operation)
                for name, inside in now.items():
                    used.setdefault(name, []).extend(inside)
        # The test has seen all of them at work.
        self.assertEqual({f'{module.__name__}.{name}'
                          for module, name, _ in READERS}, set(used))
        self.assertLessEqual(set(self.more()), accepted)

    def test_what_changes_meanwhile_is_read_anew(self) -> None:
        """A transaction finds another document than the one that was read."""
        job_id = self.create_job()
        changes = iter(['fs', 'cindernative'])

        def between(session: orm.Session, asked: str) -> list[Any]:
            return changed(session, asked, mode=next(
                changes, 'cindernative'))

        with mock.patch.object(actions, 'of_job', between), \
                self.watched() as used:
            answer = self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event',
                               {'start': None})
        self.assert_outside(used)
        self.assertEqual('success', answer.get('result'), answer)
        # The last document is the one that was stored, and so is known.
        self.assertEqual(
            1, len(used['freezer_api.domain.cinder_action.check']), used)

    def test_what_changes_each_time_is_a_conflict(self) -> None:
        job_id = self.create_job()
        numbers = iter(range(1000))

        def between(session: orm.Session, asked: str) -> list[Any]:
            return changed(session, asked, n=next(numbers))

        with mock.patch.object(actions, 'of_job', between):
            answer = self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event',
                               {'start': None}, 409)
        self.assertEqual('concurrent_change', answer['code'])

    def test_a_reading_counts_for_one_document(self) -> None:
        """Not for another, be it ever so like."""
        found = parsed_documents.Readings(
            'p1', self.clock.now, parsed_documents.Known())
        found.prepare_action(base.BACKUP)

        def row(**more: Any) -> models.Action:
            made = models.Action(id='a', project_id='p1')
            actions.write(made, actions.Content({**base.BACKUP, **more}))
            return made

        self.assertEqual(1, len(found.of_actions([row()])))
        self.assertEqual(1, len(found.of_actions([row(timeout=None)])))
        for more in ({'mode': 'fs'}, {'timeout': 1}, {'timeout': '1'},
                     {'incremental': False}, {'incremental': 0},
                     {'container': ''}):
            with self.subTest(more):
                self.assertRaises(
                    parsed_documents.Unread, found.of_actions, [row(**more)])
        self.assertEqual(
            [], [one for one in found.of_actions([row()]) if one.problem])

    def test_what_is_kept_between_requests(self) -> None:
        """Of a document that is no problem, within bounds, for a project."""
        known = parsed_documents.Known()

        def row(**more: Any) -> models.Action:
            made = models.Action(id='a', project_id='p1')
            actions.write(made, actions.Content({**base.BACKUP, **more}))
            return made

        def is_known(made: models.Action, project_id: str = 'p1') -> bool:
            try:
                parsed_documents.Readings(
                    project_id, self.clock.now, known).of_actions([made])
            except parsed_documents.Unread:
                return False
            return True

        def read(*documents: dict[str, Any]) -> None:
            now = parsed_documents.Readings('p1', self.clock.now, known)
            for document in documents:
                now.prepare_action({**base.BACKUP, **document})

        for more, kept in (
                ({}, True), ({'container': 'c'}, True),
                ({'fullbackup_rotaton': 1}, False),
                ({'backup_name': '{day}'}, False),
                ({'mode': 'x' * 65}, False), ({'mode': ['x']}, False),
                ({name: number for number, name in enumerate((
                    'Mode', 'MODE', 'mOde', 'moDe', 'modE', 'Action',
                    'ACTION', 'aCtion'))}, False)):
            with self.subTest(more):
                self.assertFalse(is_known(row(**more)))
                read(more)
                self.assertEqual(kept, is_known(row(**more)))
                self.assertFalse(is_known(row(**more), 'p2'))
        # A document whose keys were not all compared is not kept.
        late = {'note_of_mine': 1, 'container': 'late'}
        read({f'k_{number}': 1 for number in range(64)}, late)
        self.assertFalse(is_known(row(**late)))
        read(late)
        self.assertTrue(is_known(row(**late)))


class ReadingOnMySQLTests(base.MySQL, ReadingTests):
    pass


class ReadingOnPostgreSQLTests(base.PostgreSQL, ReadingTests):
    pass

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
"""Cinder-native actions that cannot be carried out are refused at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from freezer_api.db import models
from tests.functional import base

NATIVE = {'action': 'backup', 'mode': 'cindernative'}
FILES = {'action': 'backup', 'mode': 'fs', 'path_to_backup': '/etc'}

#: What is wrong, and what the answer says of it.
WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    (NATIVE, 'cindernative_vol_id: missing'),
    ({**NATIVE, 'cindernative_vol_id': ''}, 'cindernative_vol_id: missing'),
    ({**NATIVE, 'cindernative_vol_id': 'v'}, 'cindernative_vol_id: not an id'),
    ({**NATIVE, 'cindernative_vol_id': 7}, 'cindernative_vol_id: must be a'),
    ({**NATIVE, 'action': 'admin', 'remove_older_than': 3},
     'cindernative_vol_id: missing'),
    ({**NATIVE, 'action': 'restore', 'cindernative_backup_id': 'x'},
     'cindernative_backup_id: not an id'),
    ({**NATIVE, 'cindernative_volumes': {'ids': ['x']}},
     'cindernative_volumes.ids: number 1 is not an id'),
    ({**NATIVE, 'cindernative_volumes': {'nmae': 'x'}},
     'cindernative_volumes.nmae: unknown; did you mean name?'),
    ({**base.BACKUP, 'fullbackup_rotaton': 3},
     'fullbackup_rotaton: unknown; did you mean fullbackup_rotation?'),
    ({**base.BACKUP, 'fullbackup_rotation': 0}, 'fullbackup_rotation: must'),
    ({**base.BACKUP, 'remove_older_than': False}, 'remove_older_than: must'),
    ({**base.BACKUP, 'remove_before_date': 'soon'},
     'remove_before_date: not an ISO date'),
    ({**base.BACKUP, 'backup_name': 'nightly-{day}'},
     'backup_name: {day} is unknown; it may contain {mode}'),
    ({**base.BACKUP, 'backup_name': '{resource_id}' * 8},
     'backup_name: the resulting name is longer than 255'),
    ({**base.BACKUP, 'keep_dayly': 7},
     'keep_dayly: unknown; did you mean keep_daily?'),
    ({**base.BACKUP, 'keep_daily': 0}, 'keep_daily: must be a number from 1'),
    ({**base.BACKUP, 'keep_daily': 7, 'fullbackup_rotation': 2},
     'keep_daily: cannot be combined with fullbackup_rotation'),
    ({**NATIVE, 'cindernative_volumes': {'all': False}},
     'cindernative_volumes.all: must be true'),
    ({**NATIVE, 'cindernative_volumes': {'all': True, 'name': 'x'}},
     'cindernative_volumes: must have either ids'),
    ({**NATIVE, 'cindernative_volumes': {'server': 'web'}},
     'cindernative_volumes.server: number 1 is not an id'),
    ({**NATIVE, 'cindernative_volumes': {
        'all': True, 'except': {'types': 'x'}}},
     'cindernative_volumes.except.types: unknown; did you mean type?'),
    ({**base.BACKUP, 'container': 'a/b'}, 'container: a container name'),
)


class CinderActionTests(base.ApiTestCase):

    terms_follow = False  # rows are broken on purpose

    def setUp(self) -> None:
        super().setUp()
        self.register_central()
        for client in ('own', 'other'):
            self.call(base.MEMBER, 'POST', 'clients', {
                'client_id': client, 'hostname': client}, 201)

    def refused(self, method: str, path: str, body: Any, what: str,
                code: str = 'invalid_action') -> None:
        answer = self.call(base.MEMBER, method, path, body, 422)
        self.assertIn(what, answer['description'])
        self.assertEqual((code, 'Unprocessable Entity'),
                         (answer['code'], answer['title']))

    def ways(self, entry: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
        """Yield every request by which a job gets an entry."""
        for client in ('central', 'own'):
            document = {'client_id': client, 'job_actions': [entry]}
            yield 'POST', 'jobs', document
            yield 'POST', 'jobs/new-id', document
            job_id = self.create_job(client=client)
            yield 'POST', f'jobs/{job_id}', document
            yield 'PATCH', f'jobs/{job_id}', {'job_actions': [entry]}
            job_id = self.create_job(client='own', action=FILES)
            yield 'PATCH', f'jobs/{job_id}', document

    def test_jobs(self) -> None:
        for wrong, what in WRONG:
            for method, path, body in self.ways({'freezer_action': wrong}):
                self.refused(method, path, body,
                             f'job_actions.0.freezer_action.{what}')

    def test_actions(self) -> None:
        action_id = self.add(base.BACKUP)
        for wrong, what in WRONG:
            field = f'freezer_action.{what}'
            body = {'freezer_action': wrong}
            self.refused('POST', 'actions', body, field)
            self.refused('POST', 'actions/new-id', body, field)
            self.refused('POST', f'actions/{action_id}', body, field)
            self.refused('PATCH', f'actions/{self.add(base.BACKUP)}', {
                'freezer_action': {**dict.fromkeys(base.BACKUP), **wrong}},
                field)
        self.call(base.MEMBER, 'GET', 'actions/new-id', status=404)

    def add(self, action: dict[str, Any]) -> str:
        made: str = self.call(base.MEMBER, 'POST', 'actions', {
            'freezer_action': action}, 201)['action_id']
        return made

    def test_the_entry_is_named(self) -> None:
        self.refused('POST', 'jobs', {'client_id': 'own', 'job_actions': [
            {'freezer_action': base.BACKUP}, {'freezer_action': NATIVE}]},
            'job_actions.1.freezer_action.cindernative_vol_id: missing')

    def test_defaults_count(self) -> None:
        self.create_job(action={'action': 'backup'}, action_defaults={
            'mode': 'cindernative', 'cindernative_vol_id': base.VOLUME})
        self.refused('POST', 'jobs', {
            'client_id': 'central', 'job_actions': [
                {'freezer_action': {'action': 'backup'}}],
            'action_defaults': {**base.BACKUP, 'incrementel': True}},
            'incrementel: unknown; did you mean incremental?')

    def test_no_actions(self) -> None:
        what = 'job_actions: empty'
        document: dict[str, Any] = {'client_id': 'own', 'job_actions': []}
        job_id = self.create_job(client='own')
        before = self.job(job_id)
        for method, path, body in (
                ('POST', 'jobs', document), ('POST', 'jobs/new', document),
                ('POST', f'jobs/{job_id}', document),
                ('PATCH', f'jobs/{job_id}', {'job_actions': []}),
                ('PATCH', f'jobs/{job_id}', {**before, 'job_actions': []}),
                ('POST', 'jobs', {**document, 'action_defaults': {}})):
            self.refused(method, path, body, what)
        self.assertEqual(before, self.job(job_id))

    def test_more_volumes_than_a_job_can_have(self) -> None:
        def some(number: int) -> dict[str, Any]:
            return {**NATIVE, 'cindernative_volumes': {'ids': [
                f'{one:032}' for one in range(number)]}}

        job_id = self.call(base.MEMBER, 'POST', 'jobs', {
            'client_id': 'central', 'job_actions': [
                {'freezer_action': some(100)} for _ in range(2)]},
            201)['job_id']
        self.refused('POST', 'jobs', {
            'client_id': 'central', 'job_actions': [
                {'freezer_action': some(100)},
                {'freezer_action': some(101)}]},
            'the actions of the job name 201 volumes; 200 is the most')
        [first, _] = self.job(job_id)['job_actions']
        self.refused('PATCH', f'actions/{first["action_id"]}',
                     {'freezer_action': some(101)}, '201 volumes')

    def test_a_forgotten_mode(self) -> None:
        for mode in ({}, {'mode': None}):
            for rest in ({}, {'cindernative_vol_id': base.VOLUME}):
                answer = self.call(base.MEMBER, 'POST', 'jobs', {
                    'client_id': 'central', 'job_actions': [
                        {'freezer_action': {'action': 'backup', **rest,
                                            **mode}}]}, 422)
                self.assertEqual(
                    'Client central does not support mode: fs (the default; '
                    'the action has no mode). job_actions.0.freezer_action'
                    '.mode is missing: write "mode": "cindernative" to back '
                    'up volumes', answer['description'])
                self.assertEqual('capability_not_supported', answer['code'])
        action_id = self.job(self.create_job())['job_actions'][0]['action_id']
        self.refused('PATCH', f'actions/{action_id}', {
            'freezer_action': {'mode': None}},
            'freezer_action.mode is missing', 'capability_not_supported')

    def test_what_was_written_is_told_from_defaults(self) -> None:
        self.call(base.MEMBER, 'POST', 'clients', {
            'client_id': 'files', 'hostname': 'h', 'supported_modes': ['fs'],
            'supported_actions': ['backup'], 'supported_storages': ['local'],
            'supported_engines': ['rsync']}, 201)
        for client, action, what in (
                ('central', FILES, 'does not support mode: fs'),
                ('central', {**FILES, 'storage': 'ssh'},
                 'does not support mode: fs, storage: ssh'),
                ('files', FILES, 'does not support storage: swift (the '
                 'default; the action has no storage), engine: tar (the '
                 'default; the action has no engine)'),
                ('files', {'action': 'restore', 'storage': 'local',
                           'engine': 'rsync'},
                 'does not support action: restore'),
                ('central', {**base.BACKUP, 'cinder_vol_id': 'x'},
                 'does not support mode: cinder (because the action has '
                 'cinder_vol_id)')):
            answer = self.call(base.MEMBER, 'POST', 'jobs', {
                'client_id': client,
                'job_actions': [{'freezer_action': action}]}, 422)
            self.assertEqual(f'Client {client} {what}',
                             answer['description'])

    # -- what is stored already --

    def break_actions(self, job_id: str, **keys: Any) -> None:
        """Give a job's actions keys that no request could."""
        for action in self.job(job_id)['job_actions']:
            document = {**action['freezer_action'], **keys}
            with self.database.engine.begin() as connection:
                connection.execute(
                    sa.update(models.Action)
                    .where(models.Action.id == action['action_id'])
                    .values(backup_metadata=document,
                            backup_name=document['backup_name']))

    def test_an_older_job_stays_readable_and_can_be_mended(self) -> None:
        job_id = self.create_job()
        self.break_actions(job_id, cindernative_vol_id='v')
        shown = self.job(job_id)
        self.assertEqual('v', shown['job_actions'][0]['freezer_action'][
            'cindernative_vol_id'])
        what = 'cindernative_vol_id: not an id'
        [entry] = shown['job_actions']
        for method, path, body in (
                ('PATCH', f'jobs/{job_id}', {'job_schedule': {
                    'schedule_interval': '3 days'}}),
                ('PATCH', f'jobs/{job_id}', {'job_actions': [
                    {'action_id': entry['action_id']}] * 2}),
                ('PATCH', f'jobs/{job_id}', {'client_id': 'own'}),
                ('POST', f'jobs/{job_id}/event', {'start': None}),
                ('PATCH', f'actions/{entry["action_id"]}',
                 {'max_retries': 3})):
            self.refused(method, path, body, what)
        for body in ({'description': 'still mine'},):
            self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', body, 200)
        self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event',
                  {'stop': None}, 202)
        self.call(base.MEMBER, 'PATCH', f'actions/{entry["action_id"]}', {
            'freezer_action': {'cindernative_vol_id': base.VOLUME}}, 200)
        self.start(job_id)

    def test_a_stored_name_with_an_unknown_mark_runs_on(self) -> None:
        job_id = self.create_job()
        self.break_actions(job_id, backup_name='n-{day}')
        self.start(job_id)
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {
            'job_schedule': {'schedule_interval': '3 days'}}, 200)
        [entry] = self.job(job_id)['job_actions']
        self.refused('PATCH', f'actions/{entry["action_id"]}',
                     {'max_retries': 3}, 'backup_name: {day} is unknown')

    def test_a_session_takes_no_job_that_cannot_run(self) -> None:
        session_id = self.call(base.MEMBER, 'POST', 'sessions', {
            'schedule': {'schedule_interval': '1 days'}}, 201)['session_id']
        for client in ('central', 'own'):
            job_id = self.create_job(client=client)
            self.break_actions(job_id, cindernative_vol_id='v')
            self.refused('PUT', f'sessions/{session_id}/jobs/{job_id}', None,
                         'cindernative_vol_id: not an id')

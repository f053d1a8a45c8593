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

"""Actions over HTTP."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from freezer_api.db import models
from tests.functional import base

SHOWN = {**base.BACKUP, 'container': None, 'timeout': None,
         'priority': None, 'path_to_backup': None, 'log_file': None}


class ActionTests(base.ApiTestCase):

    def create(self, persona: base.Persona = base.MEMBER,
               **more: Any) -> str:
        action_id: str = self.call(persona, 'POST', 'actions', {
            'freezer_action': base.BACKUP, **more}, 201)['action_id']
        return action_id

    def show(self, action_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.call(
            base.MEMBER, 'GET', f'actions/{action_id}', status=200)
        return shown

    def test_shape(self) -> None:
        action_id = self.create(max_retries=2)
        shown = self.show(action_id)
        self.assertEqual({
            'project_id': 'p1', 'action_id': action_id, 'user_id': 'alice',
            'max_retries': 2, 'max_retries_interval': 6, 'mandatory': False,
            'freezer_action': SHOWN}, shown)
        self.assertEqual(
            {'actions': [{**shown, 'timeout': None}]},
            self.call(base.MEMBER, 'GET', 'actions', status=200))

    def test_unknown_keys_keep_their_types(self) -> None:
        extra = {'no_incremental': True, 'hostname': False, 'level': 1,
                 'ratio': 1.5, 'nested': {'a': [1, None]}}
        action_id = self.create(freezer_action={**base.BACKUP, **extra})
        self.assertEqual({**SHOWN, **extra},
                         self.show(action_id)['freezer_action'])

    def test_a_patch_changes_what_it_names(self) -> None:
        """Upstream nulls the retries and the mode that are not sent."""
        action_id = self.create(max_retries=2, max_retries_interval=9,
                                mandatory=True)
        before = self.show(action_id)
        self.assertEqual(
            {'action_id': action_id, 'version': action_id},
            self.call(base.MEMBER, 'PATCH', f'actions/{action_id}',
                      {'freezer_action': {'backup_name': 'b2'}}, 200))
        self.assertEqual(
            {**before, 'freezer_action': {**SHOWN, 'backup_name': 'b2'}},
            self.show(action_id))
        self.call(base.MEMBER, 'PATCH', f'actions/{action_id}', {}, 200)
        self.call(base.MEMBER, 'PATCH', f'actions/{action_id}',
                  {'max_retries': 0}, 200)
        self.assertEqual(
            (0, 9, True, 'b2'), (
                self.show(action_id)['max_retries'],
                self.show(action_id)['max_retries_interval'],
                self.show(action_id)['mandatory'],
                self.show(action_id)['freezer_action']['backup_name']))
        self.call(base.MEMBER, 'PATCH', 'actions/nope', {}, 404)

    def test_replace(self) -> None:
        action_id = self.create(max_retries=2, mandatory=True)
        self.call(base.MATE, 'POST', f'actions/{action_id}', {
            'freezer_action': {'action': 'restore', 'mode': 'fs'}}, 201)
        shown = self.show(action_id)
        self.assertEqual(('restore', 'fs', None, 5, False, 'alice'), (
            shown['freezer_action']['action'],
            shown['freezer_action']['mode'],
            shown['freezer_action']['backup_name'], shown['max_retries'],
            shown['mandatory'], shown['user_id']))
        self.call(base.MEMBER, 'POST', 'actions/chosen',
                  {'freezer_action': base.BACKUP}, 201)
        self.assertEqual('alice', self.show('chosen')['user_id'])

    def test_ids_are_never_used_again(self) -> None:
        self.create(action_id='mine')
        for persona in (base.MEMBER, base.STRANGER):
            self.call(persona, 'POST', 'actions', {
                'freezer_action': base.BACKUP, 'action_id': 'mine'}, 409)
        self.call(base.STRANGER, 'POST', 'actions/mine',
                  {'freezer_action': base.BACKUP}, 409)
        self.call(base.MEMBER, 'DELETE', 'actions/mine', status=204)
        self.call(base.MEMBER, 'GET', 'actions/mine', status=404)
        self.call(base.MEMBER, 'POST', 'actions/mine',
                  {'freezer_action': base.BACKUP}, 409)

    def test_deleting_takes_it_out_of_its_own_projects_jobs_only(
            self) -> None:
        """Upstream lets a stranger take it out of yours."""
        self.register_central()
        job_id = self.create_job()
        action_id = self.job(job_id)['job_actions'][0]['action_id']
        self.call(base.STRANGER, 'DELETE', f'actions/{action_id}',
                  status=204)
        self.assertEqual(1, len(self.job(job_id)['job_actions']))
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}', {'job_actions': [
            {'action_id': action_id}, {'freezer_action': base.BACKUP}]}, 200)
        self.call(base.MEMBER, 'DELETE', f'actions/{action_id}', status=204)
        [left] = self.job(job_id)['job_actions']
        self.assertNotEqual(action_id, left['action_id'])

    def test_a_link_of_another_projects_job_is_none(self) -> None:
        """Databases of earlier releases may hold one."""
        self.register_central()
        job_id = self.create_job(base.STRANGER)
        action_id = self.create()
        with self.database.engine.begin() as connection:
            connection.execute(sa.insert(models.JobAction).values(
                id='planted', job_id=job_id, action_id=action_id,
                position=1, deleted=False))
        [entry] = self.job(job_id, base.STRANGER)['job_actions']
        self.assertNotEqual(action_id, entry['action_id'])
        self.call(base.MEMBER, 'PATCH', f'actions/{action_id}',
                  {'freezer_action': {'mode': 'fs'}}, 200)
        self.call(base.MEMBER, 'DELETE', f'actions/{action_id}', status=204)
        with self.database.read() as session:
            link = session.get_one(models.JobAction, 'planted')
            self.assertFalse(link.deleted)

    def test_bad_documents_change_nothing(self) -> None:
        """Upstream answers some of them with 500 and stores others."""
        action_id = self.create()
        before = self.show(action_id)
        for name, value in (
                ('freezer_action', 'x'), ('freezer_action', {}),
                ('freezer_action', None), ('freezer_action', []),
                ('freezer_action', {'action': 'bogus'}),
                ('freezer_action', {**base.BACKUP, 'mode': 'mssql'}),
                ('freezer_action', {**base.BACKUP, 'backup_name': 'n' * 256}),
                ('freezer_action', {**base.BACKUP, 'container': 7}),
                ('max_retries', 'x'), ('max_retries', 2 ** 31),
                ('max_retries_interval', 1.5), ('mandatory', 'yes'),
                ('action_id', 'x' * 37), ('action_id', 'a/b')):
            body: dict[str, Any] = {
                'freezer_action': base.BACKUP, name: value}
            answer = self.call(base.MEMBER, 'POST', 'actions', body, 400)
            self.assertIn(name, answer['description'], (name, value))
            if name != 'action_id' and value != {}:
                self.call(base.MEMBER, 'PATCH', f'actions/{action_id}',
                          {name: value}, 400)
        self.call(base.MEMBER, 'POST', 'actions', {}, 400)
        self.assertEqual(before, self.show(action_id))
        self.assertEqual(1, len(self.call(
            base.MEMBER, 'GET', 'actions', status=200)['actions']))

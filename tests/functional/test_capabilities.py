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

"""Nothing is assigned to a client that does not support it."""

from __future__ import annotations

from typing import Any

from tests.functional import base

FS = {'action': 'backup', 'mode': 'fs', 'path_to_backup': '/etc',
      'backup_name': 'x'}


class CapabilityTests(base.ApiTestCase):
    """Invariant 5, on each way to assign or change a job."""

    def setUp(self) -> None:
        super().setUp()
        self.register_central()
        self.call(base.MEMBER, 'POST', 'clients',
                  {'client_id': 'own', 'hostname': 'own'}, 201)

    def refused(self, method: str, path: str, body: Any,
                what: str) -> None:
        answer = self.call(base.MEMBER, method, path, body, 422)
        self.assertEqual('capability_not_supported', answer['code'])
        self.assertIn('Client central does not support', answer[
            'description'])
        self.assertIn(what, answer['description'])

    def document(self, action: dict[str, Any],
                 client: str = 'central') -> dict[str, Any]:
        return {'client_id': client,
                'job_actions': [{'freezer_action': action}]}

    def test_create(self) -> None:
        for action, what in (
                (FS, 'mode: fs'),
                ({**base.BACKUP, 'mode': None}, 'mode: fs'),
                ({'action': 'backup', 'cindernative_vol_id': 'v'},
                 'mode: fs'),
                ({'action': 'exec', 'mode': 'cindernative'},
                 'action: exec'),
                ({**base.BACKUP, 'action': 'info'}, 'action: info'),
                ({**base.BACKUP, 'mode': 'nova'}, 'mode: nova')):
            self.refused('POST', 'jobs', self.document(action), what)

    def test_storage_and_engine_mean_nothing_to_cinder(self) -> None:
        self.create_job(action={
            **base.BACKUP, 'storage': 'ssh', 'engine': 'tar',
            'engine_name': 'rsync'})

    def test_both_names_of_the_engine_count(self) -> None:
        self.call(base.MEMBER, 'POST', 'clients', {
            'client_id': 'tars', 'hostname': 'h',
            'supported_engines': ['tar']}, 201)
        for name in ('engine', 'engine_name'):
            answer = self.call(base.MEMBER, 'POST', 'jobs', self.document(
                {**FS, name: 'rsync'}, 'tars'), 422)
            self.assertIn('engine: rsync', answer['description'])
        self.create_job(client='tars', action={
            **FS, 'engine': 'tar', 'engine_name': 'tar'})

    def test_update_of_the_client(self) -> None:
        job_id = self.create_job(client='own', action=FS)
        self.refused('PATCH', f'jobs/{job_id}', {'client_id': 'central'},
                     'mode: fs')
        self.assertEqual('own', self.job(job_id)['client_id'])
        self.assertEqual({}, self.trusts.live)

    def test_update_of_the_actions(self) -> None:
        job_id = self.create_job()
        before = self.job(job_id)
        self.refused('PATCH', f'jobs/{job_id}', {
            'job_actions': [{'freezer_action': FS}]}, 'mode: fs')
        self.assertEqual(before, self.job(job_id))

    def test_replace(self) -> None:
        job_id = self.create_job(client='own', action=FS)
        self.refused('POST', f'jobs/{job_id}', self.document(FS), 'mode: fs')
        self.refused('POST', 'jobs/new-id', self.document(FS), 'mode: fs')
        self.call(base.MEMBER, 'GET', 'jobs/new-id', status=404)

    def test_change_of_an_action_that_a_job_uses(self) -> None:
        job_id = self.create_job()
        action_id = self.job(job_id)['job_actions'][0]['action_id']
        before = self.call(
            base.MEMBER, 'GET', f'actions/{action_id}', status=200)
        for change in ({'mode': 'fs'}, {'mode': None}, {'action': 'exec'}):
            self.refused('PATCH', f'actions/{action_id}',
                         {'freezer_action': change}, ':')
        self.refused('POST', f'actions/{action_id}',
                     {'freezer_action': FS}, 'mode: fs')
        self.assertEqual(before, self.call(
            base.MEMBER, 'GET', f'actions/{action_id}', status=200))

    def test_event_after_the_client_offers_less(self) -> None:
        job_id = self.create_job()
        self.register_central(supported_actions=['restore'])
        self.refused('POST', f'jobs/{job_id}/event', {'start': None},
                     'action: backup')
        # A job can be stopped whatever became of its client.
        self.call(base.MEMBER, 'POST', f'jobs/{job_id}/event',
                  {'stop': None}, 202)

    def test_an_action_given_by_reference(self) -> None:
        action_id = self.call(base.MEMBER, 'POST', 'actions',
                              {'freezer_action': FS}, 201)['action_id']
        self.refused('POST', 'jobs', {
            'client_id': 'central',
            'job_actions': [{'action_id': action_id}]}, 'mode: fs')

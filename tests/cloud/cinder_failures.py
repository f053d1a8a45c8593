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

"""Aborts and failures on a real Cinder: what is left, and what is said."""

from __future__ import annotations

import os
from typing import Any

from tests.cloud import cinder_restores
from tests.cloud import faulty_proxy
from tests.cloud import waiting


class Failures(cinder_restores.Restores):
    """To be mixed into a test that has a cloud."""

    def backup_job(self, volume_id: str, **keys: Any) -> str:
        document = self.document(volume_id)
        document['job_actions'][0]['freezer_action'].update(keys)
        job_id: str = self.api('POST', 'jobs', document)['job_id']
        self.api('POST', f'jobs/{job_id}/event', {'start': None})
        return job_id

    def abort(self, job_id: str) -> None:
        self.api('POST', f'jobs/{job_id}/event', {'abort': None})

    def test_an_aborted_backup_is_deleted_once_cinder_lets_go(self) -> None:
        volume = self.volume()
        # Whoever reads it waits for somebody who writes.
        self.file(volume).unlink()
        os.mkfifo(self.file(volume))
        job_id = self.job(volume)
        [made] = waiting.eventually(lambda: self.backups(volume))
        waiting.eventually(
            lambda: self.step(job_id)['state'] == 'submitted')
        # Cinder does not delete what it works on.
        asked = self.proxy.fail('DELETE', f'/backups/{made["id"]}', '',
                                faulty_proxy.Fault())
        self.abort(job_id)
        self.assertTrue(asked.met.wait(waiting.PATIENCE))
        waiting.eventually(lambda: asked.statuses == [400])
        self.assertEqual('creating', self.backups(volume)[0]['status'])
        self.assertEqual('submitted', self.step(job_id)['state'])
        os.close(os.open(self.file(volume), os.O_WRONLY))
        self.assertEqual('aborted', self.result(job_id), self.step(job_id))
        waiting.eventually(lambda: self.backups(volume) == [])

    def test_an_abort_before_anything_was_asked_for(self) -> None:
        volume = self.volume()
        self.reset(volume, 'backing-up')
        job_id = self.job(volume)
        waiting.eventually(lambda: self.runs(job_id) and [
            step for step in self.runs(job_id)[0]['actions']
            if 'waits' in (step['reason'] or '')])
        self.abort(job_id)
        self.assertEqual('aborted', self.result(job_id))
        self.reset(volume, 'available')
        self.assertEqual([], self.backups(volume))

    def test_a_backup_that_cinder_cannot_store(self) -> None:
        volume = self.volume()
        (self.made.layout.state / 'cinder' / 'backup' / 'blocked').touch()
        job_id = self.backup_job(
            volume, cindernative_backup_container='blocked')
        self.assertEqual('fail', self.result(job_id))
        step = self.step(job_id)
        self.assertEqual(3, step['tries'])
        # Each try cleared up after the one before; the last one is named.
        [left] = waiting.eventually(
            lambda: len(found := self.backups(volume)) == 1 and found)
        self.assertEqual('error', left['status'])
        self.assertIn(left['id'], step['reason'])
        self.assertIn('blocked', step['reason'])

    def test_a_delegation_that_is_not_accepted_any_more(self) -> None:
        session = self.made.session('project-2')
        volume = self.volume('project-2')
        job_id = self.job(volume, start=False, session=session)
        admin, url = self.made.session('admin'), self.made.settings.auth_url
        [user] = admin.call('GET', f'{url}/users?name=user-2')['users']
        [role] = admin.call('GET', f'{url}/roles?name=member')['roles']
        grant = (f'{url}/projects/{session.project_id}/users/{user["id"]}'
                 f'/roles/{role["id"]}')
        self.api('POST', f'jobs/{job_id}/event', {'start': None}, session)
        admin.call('DELETE', grant)
        try:
            waiting.eventually(lambda: self.said('delegated'))
        finally:
            admin.call('PUT', grant)
        session = self.made.session('project-2')
        self.assertEqual('fail', self.result(job_id, session))
        [run] = self.runs(job_id, session)
        self.assertIn('its giver has lost a role', run['reason'])
        self.assertEqual([], self.backups(volume, 'project-2'))

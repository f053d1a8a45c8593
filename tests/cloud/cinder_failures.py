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
import pathlib
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
        # A reader waits until there is a writer.
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

    def blocked(self, name: str) -> pathlib.Path:
        """Have Cinder fail to store backups in a container."""
        path = self.made.layout.state / 'cinder' / 'backup' / name
        path.touch()
        return path

    def test_a_backup_that_cinder_cannot_store(self) -> None:
        volume = self.volume()
        self.blocked('blocked')
        job_id = self.backup_job(
            volume, cindernative_backup_container='blocked')
        self.assertEqual('fail', self.result(job_id))
        step = self.step(job_id)
        self.assertEqual(3, step['tries'])
        self.assertIn('blocked', step['reason'])
        # What it is about is gone by now, as are those of the tries before.
        self.assertEqual([], self.backups(volume))
        [record] = self.records(job_id)
        self.assertEqual('error', record['status'])
        self.assertIn('blocked', record['backup_metadata']['fail_reason'])

    def limit(self, quota: str, number: int) -> None:
        path = f'/os-quota-sets/{self.user.project_id}'
        self.addCleanup(self.cinder, 'PUT', path,
                        {'quota_set': {quota: -1}}, 'admin')
        self.cinder('PUT', path, {'quota_set': {quota: number}}, 'admin')

    def newest(self, job_id: str) -> dict[str, Any]:
        """Return the only action of the newest run."""
        [step] = self.runs(job_id)[0]['actions']
        return dict(step)

    def run_again(self, job_id: str) -> tuple[str, dict[str, Any]]:
        self.again(job_id)
        waiting.eventually(
            lambda: self.runs(job_id)[0]['state'] != 'running')
        return self.runs(job_id)[0]['state'], self.newest(job_id)

    def kinds(self, volume: str) -> list[bool]:
        """Return which of the usable backups are increments, oldest first."""
        return [backup['is_incremental'] for backup in sorted(
            self.backups(volume), key=lambda backup: backup['created_at'])
            if backup['status'] == 'available']

    def test_failures_never_fill_a_quota(self) -> None:
        """Cinder is broken for days, and the quota has room for one more."""
        volume = self.volume()
        self.limit('backups', len(self.made.backups('project-1')) + 1)
        blocked = self.blocked('for-days')
        job_id = self.backup_job(
            volume, cindernative_backup_container='for-days')
        self.assertEqual('fail', self.result(job_id))
        for _day in range(2):
            state, step = self.run_again(job_id)
            self.assertEqual('fail', state)
            self.assertNotIn('413', step['reason'])
        blocked.unlink()
        self.assertEqual('success', self.run_again(job_id)[0])
        [backup] = self.backups(volume)
        self.assertEqual(('available', 'for-days'),
                         (backup['status'], backup['container']))

    def test_an_extended_volume_gets_a_full_backup(self) -> None:
        volume = self.volume()
        job_id = self.backup_job(volume, incremental=True)
        self.assertEqual('success', self.result(job_id))
        self.assertEqual('success', self.run_again(job_id)[0])
        self.cinder('POST', f'/volumes/{volume}/action',
                    {'os-extend': {'new_size': 2}})
        waiting.eventually(lambda: 'available' == self.cinder(
            'GET', f'/volumes/{volume}')['volume']['status'])
        state, step = self.run_again(job_id)
        self.assertEqual('success', state, step)
        self.assertEqual(1, step['tries'])
        self.assertIn('full backup, because the volume was extended',
                      step['reason'])
        self.assertEqual('success', self.run_again(job_id)[0])
        self.assertEqual([False, True, False, True], self.kinds(volume))

    def test_an_increment_that_fails_is_followed_by_a_full_one(self) -> None:
        """What its base is made of is lost, which Cinder finds out late."""
        volume = self.volume()
        job_id = self.backup_job(volume, incremental=True)
        self.assertEqual('success', self.result(job_id))
        [base] = self.backups(volume)
        folder = self.made.layout.state / 'cinder' / 'backup'
        lost = [path for path in (folder / base['container']).iterdir()
                if 'sha256' in path.name]
        self.assertNotEqual([], lost)
        for path in lost:
            path.unlink()
        state, step = self.run_again(job_id)
        self.assertEqual('success', state, step)
        self.assertEqual(2, step['tries'])
        self.assertIn('full backup, because the last incremental backup '
                      'failed', step['reason'])
        self.assertEqual([False, False], self.kinds(volume))
        self.assertEqual(2, len(self.backups(volume)))

    def test_no_container_is_asked_for_without_a_name(self) -> None:
        volume = self.volume()
        job_id = self.backup_job(volume, incremental=True)
        self.assertEqual('success', self.result(job_id))
        self.assertEqual('success', self.run_again(job_id)[0])
        self.assertEqual([False, True], self.kinds(volume))
        for backup in self.backups(volume):
            self.assertNotIn('freezer_backups', backup['container'])
            self.assertEqual('', backup['metadata']['freezer_container'])

    def test_a_full_quota_says_what_is_in_the_way(self) -> None:
        volume = self.volume()
        job_id = self.backup_job(volume, fullbackup_rotation=1)
        self.assertEqual('success', self.result(job_id))
        self.limit('backups', len(self.made.backups('project-1')))
        state, step = self.run_again(job_id)
        self.assertEqual('fail', state)
        for words in ('(413)', 'the quota backups is full',
                      'of 1 backups of this volume 1 are this job\'s',
                      'fullbackup_rotation keeps 1', 'prune_first'):
            self.assertIn(words, step['reason'])
        self.assertEqual([False], self.kinds(volume))

    def test_room_is_made_first_where_the_user_wants_that(self) -> None:
        volume = self.volume()
        job_id = self.backup_job(volume, fullbackup_rotation=2,
                                 prune_first=True)
        self.assertEqual('success', self.result(job_id))
        self.assertEqual('success', self.run_again(job_id)[0])
        before = [backup['id'] for backup in sorted(
            self.backups(volume), key=lambda backup: backup['created_at'])]
        self.limit('backups', len(self.made.backups('project-1')))
        state, step = self.run_again(job_id)
        self.assertEqual('success', state, step)
        self.assertIn('old backups removed: 1', step['reason'])
        self.assertEqual(
            {before[1], step['cinder_backup_id']},
            {backup['id'] for backup in self.backups(volume)})

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
            waiting.eventually(lambda: self.said('refuses the'))
        finally:
            admin.call('PUT', grant)
        session = self.made.session('project-2')
        self.assertEqual('fail', self.result(job_id, session))
        [run] = self.runs(job_id, session)
        self.assertIn('its trustor has lost a role', run['reason'])
        self.assertEqual([], self.backups(volume, 'project-2'))

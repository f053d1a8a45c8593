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

"""Old backups are removed from a real Cinder, and their records with them."""

from __future__ import annotations

import json
import pathlib
from typing import Any
from typing import ClassVar

from tests.cloud import service_mode
from tests.cloud import waiting


class RetentionTests(service_mode.ServiceModeCase):

    OPTIONS: ClassVar[dict[str, int]] = {'volumes': 3, 'mib_per_gb': 1}
    TUNED: ClassVar[dict[str, int]] = {
        'lease_seconds': 13, 'request_timeout': 3, 'claim_interval': 1,
        'poll_interval': 1}

    def do(self, *actions: dict[str, Any]) -> dict[str, Any]:
        """Run a job of these actions, and return its run."""
        job_id = self.begin(*actions)
        self.result(job_id)
        [run] = self.runs(job_id)
        return run

    def begin(self, *actions: dict[str, Any]) -> str:
        job_id: str = self.api('POST', 'jobs', {
            'client_id': 'central', 'job_schedule': {},
            'job_actions': [{'freezer_action': {
                'mode': 'cindernative', **action}}
                for action in actions]})['job_id']
        return job_id

    def make(self, volume: str, kinds: str) -> list[str]:
        """Make full (f) and incremental (i) backups; return their ids."""
        run = self.do(*(
            {'action': 'backup', 'cindernative_vol_id': volume,
             'incremental': kind == 'i'} for kind in kinds))
        self.assertEqual('success', run['state'], run)
        return [step['cinder_backup_id'] for step in run['actions']]

    def admin(self, volume: str, **keys: Any) -> str:
        """Run an action admin; return why it succeeded."""
        run = self.do({'action': 'admin', 'cindernative_vol_id': volume,
                       **keys})
        self.assertEqual('success', run['state'], run)
        self.assertEqual('success', run['actions'][0]['state'])
        reason: str = run['reason']
        return reason

    def assert_left(self, volume: str, *left: str) -> None:
        """Check what is in Cinder, and that records are of that alone."""
        self.assertEqual(list(left), [
            backup['id'] for backup in self.backups(volume)])
        self.assertEqual(sorted(left), sorted(
            one['backup_metadata']['cinder_backup_id'] for one
            in self.api('GET', 'backups?limit=1000')['backups']
            if one['backup_metadata'].get('cindernative_vol_id') == volume))

    def guide(self, volume: str) -> dict[str, Any]:
        """Run the job that users are told to write; return its run."""
        page = (pathlib.Path(__file__).parents[2]
                / 'doc/source/user/cinder-native.rst').read_text()
        text = page.partition('``keep-two.json``')[2].partition('::\n')[2]
        document, _end = json.JSONDecoder().raw_decode(text.lstrip())
        [action] = document['job_actions']
        action['freezer_action']['cindernative_vol_id'] = volume
        job_id = self.api('POST', 'jobs', {
            **document, 'client_id': 'central'})['job_id']
        self.api('POST', f'jobs/{job_id}/event', {'start': None})
        self.assertEqual('success', self.result(job_id))
        return self.runs(job_id)[0]

    def test_by_number_and_by_age(self) -> None:
        volume = self.volume()
        made = self.make(volume, 'fifif')
        run = self.guide(volume)
        self.assertEqual('old backups removed: 2', run['reason'])
        # An increment upon the newest of the two that stay.
        added = run['actions'][0]['cinder_backup_id']
        self.assert_left(volume, *made[2:], added)
        self.assertEqual('old backups removed: 2', self.admin(
            volume, fullbackup_rotation=1))
        self.assert_left(volume, made[-1], added)
        run = self.do({'action': 'backup', 'cindernative_vol_id': volume,
                       'remove_older_than': 0})
        self.assertEqual(('success', 'old backups removed: 2'),
                         (run['state'], run['reason']))
        last = run['actions'][0]['cinder_backup_id']
        self.assert_left(volume, last)
        self.assertEqual(
            f'old backups removed: 0; the chain of backup {last} stays: it '
            'is the newest good one', self.admin(volume, remove_older_than=0))
        self.assertEqual('old backups removed: 1', self.admin(
            volume, remove_older_than=0, remove_last_chain=True))
        self.assert_left(volume)

    def test_a_backup_of_the_users_own_stops_its_chain(self) -> None:
        volume = self.volume()
        [old] = self.make(volume, 'f')
        cinder = (f'{self.made.settings.cinder_url}/v3'
                  f'/{self.user.project_id}/backups')
        theirs: str = self.user.call('POST', cinder, {'backup': {
            'volume_id': volume, 'incremental': True}})['backup']['id']
        waiting.eventually(lambda: self.user.call(
            'GET', f'{cinder}/{theirs}')['backup']['status'] == 'available')
        [new] = self.make(volume, 'f')
        self.assertEqual(
            f'old backups removed: 0; the chain of backup {old} stays: '
            f'backup {theirs} is not one of Freezer\'s', self.admin(volume))
        self.assertEqual([old, theirs, new], [
            backup['id'] for backup in self.backups(volume)])
        self.assertEqual('old backups removed: 2', self.admin(
            volume, cindernative_freezer_only=False))
        self.assert_left(volume, new)

    def test_a_kill_in_the_middle(self) -> None:
        """Whoever goes on removes the rest, and each record."""
        volume = self.volume()
        made = self.make(volume, 'fiiif')
        job_id = self.begin({'action': 'admin',
                             'cindernative_vol_id': volume})
        waiting.eventually(lambda: len(self.backups(volume)) < len(made))
        self.scheduler.kill()
        left = len(self.backups(volume))
        self.assertLess(1, left, 'the chain is too short to have a middle')
        self.made.up()
        self.assertEqual('success', self.result(job_id))
        self.assert_left(volume, made[-1])
        [run] = self.runs(job_id)
        self.assertEqual('old backups removed: 4', run['reason'])

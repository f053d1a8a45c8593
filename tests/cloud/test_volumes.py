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

"""Actions of several volumes, on a real Keystone and a real Cinder."""

from __future__ import annotations

import pathlib
from typing import Any
from typing import ClassVar

from tests.cloud import service_mode
from tests.cloud import waiting

PLACES = 2


class VolumesTests(service_mode.ServiceModeCase):

    OPTIONS: ClassVar[dict[str, int]] = {
        'projects': 1, 'volumes': 8, 'mib_per_gb': 120}
    TUNED: ClassVar[dict[str, int]] = {
        'lease_seconds': 20, 'request_timeout': 5, 'claim_interval': 1,
        'poll_interval': 1, 'max_in_flight_per_project': PLACES}

    def marked(self, count: int, **metadata: str) -> list[str]:
        """Return volumes with this metadata, which no others have."""
        volumes = [self.volume() for _ in range(count)]
        for volume in volumes:
            self.cinder('POST', f'/volumes/{volume}/metadata',
                        {'metadata': metadata})
        return volumes

    def several(self, **more: Any) -> str:
        """Make a job and start it."""
        document = self.document('')
        [action] = document['job_actions']
        del action['freezer_action']['cindernative_vol_id']
        action['freezer_action'].update(more)
        job_id: str = self.api('POST', 'jobs', document)['job_id']
        self.api('POST', f'jobs/{job_id}/event', {'start': None})
        return job_id

    def parts(self, job_id: str) -> dict[str, dict[str, Any]]:
        return {part['volume_id']: part for run in self.runs(job_id)
                for step in run['actions'] for part in step.get('parts', ())}

    def statuses(self, volume: str) -> list[str]:
        return [backup['status'] for backup in self.backups(volume)]

    def test_a_volume_that_fails_is_named_and_the_others_are_good(
            self) -> None:
        bad, good, gone = self.marked(3, backup='nightly')
        for path in pathlib.Path(
                self.made.layout.state / 'cinder').rglob(f'*{bad}*'):
            path.unlink()
        by_metadata = self.several(cindernative_volumes={
            'metadata': {'backup': 'nightly'}})
        self.assertEqual('fail', self.result(by_metadata))
        [run] = self.runs(by_metadata)
        self.assertIn(f'1 of 3 volumes failed: {bad}: ', run['reason'])
        self.assertIn('No such file', run['reason'])
        parts = self.parts(by_metadata)
        self.assertEqual(
            {bad: 'fail', good: 'success', gone: 'success'},
            {volume: part['state'] for volume, part in parts.items()})
        self.assertEqual({bad: 3, good: 1, gone: 1}, {
            volume: part['tries'] for volume, part in parts.items()})
        for volume in (good, gone):
            [backup] = self.backups(volume)
            self.assertEqual('available', backup['status'])
            self.assertEqual(backup['id'], parts[volume]['cinder_backup_id'])
        self.assertEqual(
            {parts[bad]['backup_id']: 'error',
             parts[good]['backup_id']: 'available',
             parts[gone]['backup_id']: 'available'},
            {record['backup_id']: record['status']
             for record in self.records(by_metadata)})
        # By id a volume that was deleted meanwhile is missed.
        for backup in self.backups(gone):
            self.cinder('DELETE', f'/backups/{backup["id"]}')
        waiting.eventually(lambda: not self.backups(gone))
        self.cinder('DELETE', f'/volumes/{gone}')
        waiting.eventually(lambda: gone not in {
            volume['id'] for volume in self.made.volumes('project-1')})
        by_ids = self.several(cindernative_volumes={'ids': [good, gone]})
        self.assertEqual('fail', self.result(by_ids))
        [run] = self.runs(by_ids)
        self.assertIn(f'1 of 2 volumes failed: {gone}: ', run['reason'])
        self.assertEqual(['available'] * 2, self.statuses(good))

    def test_kill_in_the_middle_ends_in_one_backup_each(self) -> None:
        """Invariant 1, and no more in work than the project may have."""
        volumes = self.marked(3, backup='killed')
        job_id = self.several(cindernative_volumes={
            'name': 'volume-*', 'metadata': {'backup': 'killed'}})
        most = 0

        def in_the_middle() -> bool:
            nonlocal most
            states = [status for volume in volumes
                      for status in self.statuses(volume)]
            most = max(most, states.count('creating'))
            return bool(states) and len(states) < 3

        waiting.eventually(in_the_middle, pause=0.1)
        self.scheduler.kill()
        self.made.up()
        waiting.eventually(lambda: in_the_middle() or all(
            self.statuses(volume) for volume in volumes))
        self.assertEqual('success', self.result(job_id))
        self.assertLessEqual(most, PLACES)
        for volume in volumes:
            self.assertEqual(['available'], self.statuses(volume))
        self.assertEqual(
            dict.fromkeys(volumes, ('success', 1)),
            {volume: (part['state'], part['tries'])
             for volume, part in self.parts(job_id).items()})
        # The stock command has no trouble with such an action.
        shown = self.made.freezer('project-1', 'job-get', job_id)
        self.assertIn('cindernative_volumes', shown.stdout)

    def test_two_jobs_with_one_volume_in_use_take_turns(self) -> None:
        [volume] = self.marked(1, backup='shared')
        self.cinder('POST', f'/volumes/{volume}/action', {'os-attach': {
            'instance_uuid': volume, 'mountpoint': '/dev/vdb'}})
        self.assertEqual('in-use', self.cinder(
            'GET', f'/volumes/{volume}')['volume']['status'])
        jobs = [self.job(volume), self.several(
            cindernative_volumes={'ids': [volume]})]
        for job_id in jobs:
            self.assertEqual('success', self.result(job_id))
        self.assertEqual(['available'] * 2, self.statuses(volume))
        self.assertEqual('in-use', self.cinder(
            'GET', f'/volumes/{volume}')['volume']['status'])
        first, second = self.backups(volume)
        self.assertLessEqual(first['updated_at'], second['created_at'])

    def test_every_second_backup_is_a_full_one(self) -> None:
        [volume] = self.marked(1, backup='chain')
        for _ in range(3):
            job_id = self.several(
                cindernative_vol_id=volume, incremental=True, full_every=2)
            self.assertEqual('success', self.result(job_id))
        self.assertEqual([False, True, False], [
            backup['is_incremental'] for backup in self.backups(volume)])

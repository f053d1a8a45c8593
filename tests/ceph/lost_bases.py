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

"""Increments that Cinder accepts and cannot make."""

from __future__ import annotations

from tests.ceph import on_ceph
from tests.cloud import waiting
from tools.cloud import ceph


class LostBases(on_ceph.CephCase):
    """To be mixed into the test that has the cloud."""

    def purge(self, volume_id: str) -> None:
        """Take away what increments are made from, as a migration does."""
        self.made.ceph.rbd('snap', 'purge', '--no-progress',
                           f'{ceph.VOLUME_POOL}/volume-{volume_id}')

    def test_the_next_try_is_full(self) -> None:
        volume = self.volume()
        job_id = self.job_of(volume, incremental=True)
        self.good(job_id)
        self.purge(volume)
        run = self.run_of(job_id)
        self.assertEqual('success', run['state'], run)
        self.assertIn('full backup, because the last incremental backup '
                      'failed', run['reason'])
        waiting.eventually(lambda: len(self.backups(volume)) == 2)
        self.assert_backups(volume, 'full', 'full')
        self.good(job_id)
        self.assert_backups(volume, 'full', 'full', 'incremental')

    def test_the_next_run_is_full_where_a_run_has_one_try(self) -> None:
        volume = self.volume()
        job_id = self.job_of(volume, incremental=True, max_retries=0)
        self.good(job_id)
        self.purge(volume)
        self.run_of(job_id)
        # No matter how the last one ended.
        run = self.run_of(job_id)
        self.assertEqual('success', run['state'], run)
        self.assert_backups(volume, 'full', 'full')
        self.assertEqual(self.digest(volume),
                         self.digest(self.restored(volume)))

    def test_a_parent_in_another_pool(self) -> None:
        """Cinder builds on the newest backup, wherever it is."""
        volume = self.volume()
        self.cinder_backup(volume, container=on_ceph.OTHER_POOL)
        job_id = self.job_of(volume, incremental=True)
        self.good(job_id)
        self.assert_backups(volume, 'full', 'full')

    def test_the_backup_of_a_snapshot_survives_an_incremental_job(
            self) -> None:
        """An increment upon it fails, and Cinder then deletes its image."""
        volume = self.volume()
        theirs = self.snapshot_backup(volume)
        [image] = self.images(volume)
        self.good(self.job_of(volume, incremental=True))
        self.assert_backups(volume, 'full', 'full')
        # Nor is it risked by the deletion of a backup that failed.
        reason = self.failed(self.job_of(
            volume, cindernative_backup_container='nowhere', max_retries=0))
        self.assertIn(f'the data of backup {theirs}', reason)
        self.assert_backups(volume, 'full', 'full', 'error')
        self.assertIn(image, self.images(volume))
        self.assertEqual(
            self.digest(volume), self.digest(self.restored(
                volume, cindernative_backup_id=theirs)))

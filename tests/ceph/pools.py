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

"""Containers of backups, which are pools to Cinder's Ceph driver."""

from __future__ import annotations

import os
import signal
from typing import Any

from tests.ceph import on_ceph
from tests.cloud import waiting
from tools.cloud import ceph

# What release 19.0.0 asks for without a container.
FORMER_POOL = 'freezer_backups'

# What the scheduler logs when it has read its configuration again.
_RELOADED = 'Reloaded: '


class Pools(on_ceph.CephCase):
    """To be mixed into the test that has the cloud."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        for name in (on_ceph.OTHER_POOL, FORMER_POOL):
            cls.made.ceph.make_pool(name)

    def former_backup(self, volume_id: str) -> dict[str, Any]:
        """Make a backup as 19.0.0 does."""
        return self.cinder_backup(
            volume_id, container=FORMER_POOL,
            name=f'freezer_cindernative_{volume_id}',
            metadata={'created_by': 'freezer'})

    def test_a_pool_that_is_not_there(self) -> None:
        volume = self.volume()
        reason = self.failed(self.job_of(
            volume, cindernative_backup_container='nowhere', max_retries=0))
        self.assertIn('nowhere', reason)
        self.assertEqual([], self.backups(volume))

    def test_a_pool_that_the_operator_does_not_accept(self) -> None:
        """As administrators are told to configure it with Ceph."""
        path = self.made.layout.etc / 'scheduler.conf'
        before = path.read_text()
        path.write_text(f'{before}\n[cinder]\n'
                        f'accepted_containers = {ceph.BACKUP_POOL}\n')
        self.reload()
        self.addCleanup(self.reload)
        self.addCleanup(path.write_text, before)
        volume = self.volume()
        reason = self.failed(self.job_of(
            volume, cindernative_backup_container=on_ceph.OTHER_POOL))
        for words in (on_ceph.OTHER_POOL, 'accepted_containers'):
            self.assertIn(words, reason)
        self.assertEqual([], self.backups(volume))
        self.good(self.job_of(
            volume, cindernative_backup_container=ceph.BACKUP_POOL))

    def reload(self) -> None:
        """Have the scheduler read its configuration again."""
        log = self.made.layout.log / 'freezer-scheduler.log'
        seen = log.read_text().count(_RELOADED)
        pid = self.scheduler.pid
        assert pid is not None
        os.kill(pid, signal.SIGHUP)
        waiting.eventually(
            lambda: log.read_text().count(_RELOADED) > seen)

    def test_a_backup_in_another_pool_cannot_be_restored(self) -> None:
        """Cinder calls it available. Why it is of no use has to be said."""
        volume = self.volume()
        run = self.run_of(self.job_of(
            volume, cindernative_backup_container=on_ceph.OTHER_POOL))
        backup = self.backup(self.cinder_id(run))
        self.assertEqual(on_ceph.OTHER_POOL, backup['container'])
        self.assertEqual(1, len(self.images(volume, on_ceph.OTHER_POOL)))
        before = {one['id'] for one in self.made.volumes('project-1')}
        reason = self.failed(self.restore_job(
            volume, cindernative_new_volume=True))
        for words in (f'in container {on_ceph.OTHER_POOL}',
                      'error_restoring'):
            self.assertIn(words, reason)
        # Cinder keeps the backup, and no broken volume stays: its deletion
        # was asked for when the run ended.
        self.assertEqual('available', self.backup(backup['id'])['status'])
        waiting.eventually(lambda: before == {
            one['id'] for one in self.made.volumes('project-1')})

    def test_the_first_backup_after_an_upgrade_is_full(self) -> None:
        volume = self.volume()
        former = self.former_backup(volume)
        self.assertEqual('available', former['status'], former)
        self.write(volume, 'second')
        job_id = self.job_of(volume, incremental=True)
        first = self.good(job_id)
        self.assertEqual((ceph.BACKUP_POOL, False), (
            first['container'], first['is_incremental']))
        digest = self.digest(volume)
        self.assertEqual(digest, self.digest(self.restored(volume)))
        self.assertTrue(self.good(job_id)['is_incremental'])
        # The old one restores only while Cinder's own pool is that one.
        self.assertIn('error_restoring', self.failed(self.restore_job(
            volume, cindernative_new_volume=True,
            cindernative_backup_id=former['id'])))

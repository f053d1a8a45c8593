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

"""Backups and restores of RBD volumes, with the data compared."""

from __future__ import annotations

from tests.ceph import on_ceph
from tests.cloud import waiting
from tools.cloud import ceph


class Backups(on_ceph.CephCase):
    """To be mixed into the test that has the cloud."""

    def test_a_default_job_backs_up_and_restores(self) -> None:
        """Without a container, Cinder takes the pool that it is given."""
        volume = self.volume()
        job_id = self.job_of(volume, incremental=True)
        full = self.good(job_id)
        self.assertEqual(ceph.BACKUP_POOL, full['container'])
        self.write(volume, 'second')
        second = self.digest(volume)
        added = self.good(job_id)
        self.assert_backups(volume, 'full', 'incremental')
        self.write(volume, 'lost')
        self.assertEqual('success', self.run_of(
            self.restore_job(volume))['state'])
        self.assertEqual(second, self.digest(volume))
        # An increment upon what was before the restore.
        last = self.good(job_id)
        self.assert_backups(volume, 'full', 'incremental', 'incremental')
        # Backups outlive their volume, and snapshots on it do not hold it.
        self.snapshots_of(volume, full['id'], added['id'], last['id'])
        self.cinder('DELETE', f'/volumes/{volume}')
        waiting.eventually(lambda: self.gone('volume', volume))
        new = self.restored(volume)
        self.assertEqual(second, self.digest(new))

    def test_a_volume_in_use_and_extended(self) -> None:
        volume = self.volume()
        job_id = self.job_of(volume, incremental=True)
        self.good(job_id)
        self.cinder('POST', f'/volumes/{volume}/action', {'os-attach': {
            'instance_uuid': volume, 'mountpoint': '/dev/vdb'}})
        self.good(job_id)
        self.assertEqual('in-use', self.settled('volume', volume)['status'])
        self.cinder('POST', f'/volumes/{volume}/action', {'os-detach': {}})
        self.settled('volume', volume)
        self.cinder('POST', f'/volumes/{volume}/action', {'os-extend': {
            'new_size': 2}})
        waiting.eventually(
            lambda: self.settled('volume', volume)['size'] == 2)
        run = self.run_of(job_id)
        self.assertEqual('success', run['state'], run)
        self.assertIn('full backup, because the volume was extended',
                      run['reason'])
        self.good(job_id)
        self.assert_backups(volume, 'full', 'incremental',
                            'full', 'incremental')

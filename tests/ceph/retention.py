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

"""Retention of backups in Ceph, and what Cinder leaves on the volume."""

from __future__ import annotations

from tests.ceph import on_ceph


class Retention(on_ceph.CephCase):
    """To be mixed into the test that has the cloud."""

    def test_whole_chains_go_and_snapshots_stay(self) -> None:
        volume = self.volume()
        job_id = self.job_of(volume, incremental=True, full_every=2,
                             fullbackup_rotation=1)
        made = [self.good(job_id)['id'] for _ in range(4)]
        self.assert_backups(volume, 'full', 'incremental')
        self.assertEqual(made[2:], [
            backup['id'] for backup in self.backups(volume)])
        [image] = self.images(volume)
        self.assertIn(made[2], image)
        # As administrators are told. Cinder does not show them.
        self.snapshots_of(volume, *made)
        self.assertEqual([], self.cinder(
            'GET', f'/snapshots?volume_id={volume}')['snapshots'])
        self.assertEqual(self.digest(volume),
                         self.digest(self.restored(volume)))

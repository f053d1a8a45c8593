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

"""Ceph is away for a while."""

from __future__ import annotations

from tests.ceph import on_ceph
from tests.cloud import waiting


class Outages(on_ceph.CephCase):
    """To be mixed into the test that has the cloud."""

    def test_the_osd_is_killed_during_a_backup(self) -> None:
        volume = self.volume()
        job_id = self.job_of(volume)
        # Its snapshot is made: now the data is copied.
        self.addCleanup(self.made.up)
        waiting.eventually(lambda: self.snapshots(volume))
        self.made.kill('ceph-osd')
        [backup] = self.backups(volume)
        self.assertEqual('creating', backup['status'],
                         'the backup is too fast to have a middle')
        self.made.up()
        self.assertEqual('success', self.result(job_id))
        self.assert_one_good_backup(volume, job_id)
        self.assertEqual(self.digest(volume),
                         self.digest(self.restored(volume)))

    def test_ceph_is_away_when_a_backup_is_asked_for(self) -> None:
        """Cinder waits for some minutes, or fails, and says so."""
        volume = self.volume()
        job_id = self.job_of(volume, max_retries=0)
        self.good(job_id)
        self.addCleanup(self.made.up)
        for name in ('ceph-osd', 'ceph-mon'):
            self.made.kill(name)
        before = {run['run_id'] for run in self.runs(job_id)}
        self.api('POST', f'jobs/{job_id}/event', {'start': None})
        waiting.eventually(lambda: len(self.backups(volume)) == 2)
        self.made.up()
        run = self.ended(job_id, before)
        if run['state'] == 'fail':
            self.assertIn('ended in error', run['reason'])
        good = 1 + (run['state'] == 'success')
        self.good(job_id)
        waiting.eventually(lambda: len(self.backups(volume)) == good + 1)
        self.assert_backups(volume, *['full'] * (good + 1))
        self.assertEqual(good + 1, len(self.images(volume)))

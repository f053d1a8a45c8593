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

"""What the tests on a real Ceph stand on: one cluster, one cloud for all."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from typing import Any
from typing import ClassVar
import unittest

from tests.cloud import job_runs
from tests.cloud import waiting
from tools.cloud import ceph
from tools.cloud import rest

# Run by the system's Python, which has the modules.
_WRITE = """
import rados
import rbd
import sys
conf, pool, name, text = sys.argv[1:]
with rados.Rados(conffile=conf, rados_id='cinder') as cluster:
    with cluster.open_ioctx(pool) as ioctx, rbd.Image(ioctx, name) as image:
        for offset in range(0, image.size(), image.size() // 4):
            image.write(text.encode() * 1000, offset)
"""

# A pool that exists and is not the one that Cinder is configured with.
OTHER_POOL = 'elsewhere'


class CephCase(job_runs.JobRunsCase):
    """To be mixed into the test that has the cloud."""

    WITH_CEPH = True
    OPTIONS: ClassVar[dict[str, int]] = {'projects': 1, 'volumes': 0}
    TUNED: ClassVar[dict[str, int]] = {
        'lease_seconds': 20, 'request_timeout': 5, 'claim_interval': 1,
        'poll_interval': 1}

    @classmethod
    def setUpClass(cls) -> None:
        why = ceph.missing()
        if why is not None:
            # Skipped, as tests of a missing server are; in CI tools/test
            # takes what is skipped for failed.
            raise unittest.SkipTest(why)
        super().setUpClass()

    def cinder(self, method: str, path: str, body: Any = None,
               project: str = 'project-1') -> Any:
        # There is one project, and one login for a test will do.
        self.assertEqual('project-1', project)
        return self.user.call(
            method, f'{self.made.settings.cinder_url}/v3'
                    f'/{self.user.project_id}{path}', body,
            OpenStack_API_Version='volume 3.60')

    # -- volumes --

    def volume(self, project: str = 'project-1') -> str:
        """Make a volume of 1 GB with something in it; return its id."""
        volume_id: str = self.cinder('POST', '/volumes', {
            'volume': {'size': 1}}, project)['volume']['id']
        self.settled('volume', volume_id)
        self.write(volume_id, 'first')
        return volume_id

    def settled(self, noun: str, ident: str) -> dict[str, Any]:
        """Wait until Cinder is done with something; return its document."""
        def at_rest() -> dict[str, Any] | None:
            document: dict[str, Any] = self.cinder(
                'GET', f'/{noun}s/{ident}')[noun]
            return (None if document['status'].rpartition('-')[2].endswith(
                'ing') and document['status'] != 'error_restoring'
                else document)

        shown: dict[str, Any] = waiting.eventually(at_rest)
        return shown

    def write(self, volume_id: str, text: str) -> None:
        """Write a text at several places of a volume."""
        subprocess.run(
            ['/usr/bin/python3', '-c', _WRITE, str(self.made.ceph.conf),
             ceph.VOLUME_POOL, f'volume-{volume_id}', text],
            check=True, env={'PATH': os.environ['PATH']})

    def digest(self, volume_id: str) -> str:
        """Return the SHA-256 of all that a volume holds."""
        with subprocess.Popen(
                ['rbd', '--conf', str(self.made.ceph.conf), 'export',
                 '--no-progress', f'{ceph.VOLUME_POOL}/volume-{volume_id}',
                 '-'], stdout=subprocess.PIPE) as export:
            assert export.stdout is not None
            # file_digest is for files that can be positioned.
            digest = hashlib.sha256()
            while block := export.stdout.read(1 << 20):
                digest.update(block)
        self.assertEqual(0, export.returncode)
        return digest.hexdigest()

    def snapshots(self, volume_id: str) -> list[str]:
        """Return the names of the RBD snapshots of a volume, oldest first."""
        return [one['name'] for one in json.loads(self.made.ceph.rbd(
            'snap', 'ls', '--format', 'json',
            f'{ceph.VOLUME_POOL}/volume-{volume_id}'))]

    def snapshots_of(self, volume_id: str, *backups: str) -> None:
        """Check which backups have left a snapshot on their volume."""
        self.assertEqual(list(backups), [
            name.split('.')[1] for name in self.snapshots(volume_id)])

    def images(self, volume_id: str, pool: str = ceph.BACKUP_POOL,
               ) -> list[str]:
        """Return the images that a pool has of a volume's backups."""
        return [name for name in self.made.ceph.rbd('-p', pool, 'ls').split()
                if volume_id in name]

    # -- backups without Freezer --

    def cinder_backup(self, volume_id: str, **keys: Any) -> dict[str, Any]:
        """Have Cinder make a backup; return it when it has ended."""
        made = self.cinder('POST', '/backups', {'backup': {
            'volume_id': volume_id, 'force': True, **keys}})['backup']
        return self.settled('backup', made['id'])

    def snapshot_backup(self, volume_id: str) -> str:
        """Have Cinder back up a snapshot; return the backup's id."""
        snapshot = self.cinder('POST', '/snapshots', {'snapshot': {
            'volume_id': volume_id, 'force': True}})['snapshot']['id']
        self.settled('snapshot', snapshot)
        made = self.cinder_backup(volume_id, snapshot_id=snapshot)
        self.assertEqual('available', made['status'], made)
        backup_id: str = made['id']
        return backup_id

    def gone(self, noun: str, ident: str) -> bool:
        try:
            self.cinder('GET', f'/{noun}s/{ident}')
        except rest.HttpError as error:
            self.assertEqual(404, error.status)
            return True
        return False

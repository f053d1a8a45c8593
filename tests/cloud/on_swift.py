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

"""What the tests on a real Swift stand on."""

from __future__ import annotations

import hashlib
import pathlib
import tempfile
from typing import Any
from typing import ClassVar
import unittest

from tests.cloud import job_runs
from tools.cloud import rest
from tools.cloud import swift

MIB_PER_GB = 4


class SwiftCase(job_runs.JobRunsCase):
    """A cloud whose Cinder keeps backups in a Swift of its own."""

    WITH_SWIFT = True
    OPTIONS: ClassVar[dict[str, int]] = {
        'projects': 1, 'volumes': 8, 'mib_per_gb': MIB_PER_GB}
    TUNED: ClassVar[dict[str, int]] = {
        'claim_interval': 1, 'poll_interval': 1}

    @classmethod
    def setUpClass(cls) -> None:
        why = swift.missing(tempfile.gettempdir())
        if why is not None:
            raise unittest.SkipTest(why)
        super().setUpClass()

    # -- volumes --

    def volume(self, project: str = 'project-1') -> str:
        volume_id = super().volume(project)
        self.write(volume_id, 0, 'first')
        return volume_id

    def file(self, volume_id: str) -> pathlib.Path:
        """Return what is behind a volume."""
        return (self.made.layout.state / 'cinder' / 'volumes'
                / f'volume-{volume_id}')

    def write(self, volume_id: str, mebibyte: int, text: str) -> None:
        """Write a text at one place of a volume."""
        with self.file(volume_id).open('r+b') as file:
            file.seek(mebibyte << 20)
            file.write(text.encode() * 1000)

    def digest(self, volume_id: str) -> str:
        """Return the SHA-256 of all that a volume holds."""
        data = self.file(volume_id).read_bytes()
        self.assertEqual(MIB_PER_GB << 20, len(data))
        return hashlib.sha256(data).hexdigest()

    # -- what is in Swift --

    def listed(self, path: str, account: str | None = None) -> list[Any]:
        """Return what Swift lists of an account or of a container of it.

        :param account: id of a project; None for that of the user
        """
        session = self.made.session('project-1' if account is None
                                    else 'admin')
        account = account or session.project_id
        shown: Any = session.call(
            'GET', f'{self.made.settings.swift_url}/v1/AUTH_{account}{path}'
                   f'?format=json')
        return [one['name'] for one in shown]

    def objects(self, backup_id: str, container: str = swift.CONTAINER,
                account: str | None = None) -> list[str]:
        """Return the names of the objects of a backup."""
        try:
            names = self.listed(f'/{container}', account)
        except rest.HttpError as error:
            self.assertEqual(404, error.status)
            return []
        return [name for name in names if backup_id in name]

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

"""The real Cinder does what the shared suite asks of the fake one."""

from __future__ import annotations

import pathlib
import tempfile
from typing import Any
from typing import ClassVar

import requests

from tests.cloud import prepared
from tests.cloud import waiting
from tests.unit.freezer_scheduler import cinder_behaviour
from tools.cloud import cloud
from tools.cloud import rest

_PASSING = frozenset((
    'creating', 'deleting', 'extending', 'restoring', 'backing-up',
    'restoring-backup'))


class RealCinderTests(cinder_behaviour.CinderBehaviour):

    made: ClassVar[cloud.Cloud]
    session: ClassVar[rest.Session]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        holder = tempfile.TemporaryDirectory(prefix='like cinder ')
        cls.addClassCleanup(holder.cleanup)
        cls.made = cloud.Cloud(holder.name)
        prepared.up(
            cls.made, cloud.Options.on_free_ports(projects=1, volumes=1),
            ('keystone', 'cinder'))
        cls.addClassCleanup(prepared.end, cls.made)
        cls.session = cls.made.session('project-1')

    def ask(self, method: str, path: str, body: object = None,
            session: rest.Session | None = None) -> tuple[int, Any]:
        session = session or self.session
        answer = requests.request(
            method, f'{self.made.settings.cinder_url}/v3'
                    f'/{session.project_id}{path}', json=body, timeout=60,
            headers={'X-Auth-Token': session._token,
                     'OpenStack-API-Version': 'volume 3.60'})
        return answer.status_code, answer.json() if answer.content else None

    def settle(self) -> None:
        def settled() -> bool:
            return not _PASSING.intersection(
                one['status'] for noun in ('backups', 'volumes')
                for one in self.ask('GET', f'/{noun}/detail')[1][noun])

        waiting.eventually(settled)

    def limit_backups(self, number: int | None) -> None:
        self.limit('backups', number)

    def limit_gigabytes(self, number: int | None) -> None:
        self.limit('backup_gigabytes', number)

    def limit(self, quota: str, number: int | None) -> None:
        status, document = self.ask(
            'PUT', f'/os-quota-sets/{self.session.project_id}',
            {'quota_set': {quota: -1 if number is None else number}},
            self.made.session('admin'))
        self.assertEqual(200, status, document)

    def spoil(self, volume_id: str) -> None:
        for path in pathlib.Path(
                self.made.layout.state / 'cinder').rglob(f'*{volume_id}*'):
            path.unlink()

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

"""The fake Cinder does what the shared suite asks of both."""

from __future__ import annotations

import typing
from typing import Any
import urllib.parse

from tests.unit.freezer_scheduler import cinder_behaviour
from tests.unit.freezer_scheduler import fake_cinder


class TestFakeCinder(cinder_behaviour.CinderBehaviour):

    def setUp(self) -> None:
        super().setUp()
        self.now = 1_800_000_000.0
        self.cinder = fake_cinder.FakeCinder(self.time)
        self.spoilt: set[str] = set()

    def time(self) -> float:
        self.now += 1
        return self.now

    def ask(self, method: str, path: str, body: object = None,
            ) -> tuple[int, Any]:
        url = urllib.parse.urlsplit(path)
        answer: tuple[int, Any] = self.cinder.work(fake_cinder.Request(
            method, url.path, dict(urllib.parse.parse_qsl(url.query)),
            typing.cast(Any, body)))
        return answer

    def settle(self) -> None:
        spoilt = any(backup['status'] == 'creating'
                     and backup['volume_id'] in self.spoilt
                     for backup in self.cinder.backups.values())
        self.cinder.finish(*(('error', 'no such file') if spoilt
                             else ('available', None)))

    def limit_backups(self, number: int | None) -> None:
        self.cinder.backup_quota = number

    def limit_gigabytes(self, number: int | None) -> None:
        self.cinder.gigabyte_quota = number

    def spoil(self, volume_id: str) -> None:
        self.spoilt.add(volume_id)

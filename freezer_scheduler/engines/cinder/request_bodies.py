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

"""Backups and volumes as Cinder is asked for them."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class NewVolume:
    """What a new volume is asked for with; its size is in GiB."""

    name: str
    size: int
    volume_type: str | None
    metadata: Mapping[str, str]

    def body(self) -> dict[str, Any]:
        """Return what the request holds."""
        body: dict[str, Any] = {
            'name': self.name, 'size': self.size,
            'metadata': dict(self.metadata)}
        if self.volume_type:
            body['volume_type'] = self.volume_type
        return body


@dataclasses.dataclass(frozen=True)
class NewBackup:
    """What a new backup is asked for with."""

    volume_id: str
    name: str
    container: str
    availability_zone: str | None
    incremental: bool
    metadata: Mapping[str, str]

    def body(self) -> dict[str, Any]:
        """Return what the request holds."""
        body: dict[str, Any] = {
            'volume_id': self.volume_id, 'name': self.name,
            'description':
                f'Backup created by Freezer for volume {self.volume_id}',
            # Without force a volume that is in use is refused.
            'force': True, 'incremental': self.incremental,
            'metadata': dict(self.metadata)}
        if self.container:
            body['container'] = self.container
        if self.availability_zone:
            body['availability_zone'] = self.availability_zone
        return body

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

"""A Cinder volume driver whose volumes are sparse files in a directory.

It needs no LVM, no iSCSI, no kernel module and no root: os-brick's local
connector passes the path of the file to cinder-backup.
"""

import contextlib
import os
import subprocess
import typing

from cinder import exception
from cinder import interface
from cinder.volume import configuration
from cinder.volume import driver
from oslo_config import cfg
from oslo_utils import units

OPTIONS = [
    cfg.StrOpt('file_volume_dir', help='Directory of the backing files.'),
    cfg.IntOpt('file_volume_mib_per_gb', default=1024, min=1, max=1024,
               help='MiB of backing file for each GB of a volume. A value '
                    'below 1024 makes volumes smaller, and backups faster.'),
    cfg.IntOpt('file_volume_capacity_gb', default=1000,
               help='Capacity that is reported to the scheduler.'),
]
cfg.CONF.register_opts(OPTIONS, group=configuration.SHARED_CONF_GROUP)


@interface.volumedriver
class FileVolumeDriver(driver.VolumeDriver):
    """Volumes and snapshots as files."""

    VERSION = '1.0.0'
    CI_WIKI_NAME = 'none'

    def __init__(self, *args: typing.Any, **kwargs: typing.Any) -> None:
        super().__init__(*args, **kwargs)
        self.configuration.append_config_values(OPTIONS)

    @staticmethod
    def get_driver_options() -> list[cfg.Opt]:
        return OPTIONS

    def _path(self, name: str) -> str:
        return os.path.join(self.configuration.file_volume_dir, name)

    def _bytes(self, size_gb: int) -> int:
        per_gb: int = self.configuration.file_volume_mib_per_gb
        return size_gb * per_gb * units.Mi

    def _copy(self, source: str, target: str, size_gb: int) -> None:
        # No shell; the PATH of the machine determines cp.
        subprocess.run(  # nosec B603 B607
            ['cp', '--sparse=always', '--reflink=auto',
             self._path(source), self._path(target)], check=True)
        os.truncate(self._path(target), self._bytes(size_gb))

    def _remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(name))

    def do_setup(self, context: typing.Any) -> None:
        os.makedirs(self.configuration.file_volume_dir, exist_ok=True)

    def check_for_setup_error(self) -> None:
        if not os.access(self.configuration.file_volume_dir, os.W_OK):
            raise exception.VolumeBackendAPIException(
                data='file_volume_dir is not writable')

    def _update_volume_stats(self) -> None:
        capacity = self.configuration.file_volume_capacity_gb
        self._stats = {
            'volume_backend_name':
                self.configuration.safe_get('volume_backend_name') or 'file',
            'vendor_name': 'none',
            'driver_version': self.VERSION,
            'storage_protocol': 'file',
            'total_capacity_gb': capacity,
            'free_capacity_gb': capacity,
            'reserved_percentage': 0,
            'thin_provisioning_support': True,
            'thick_provisioning_support': False,
            'multiattach': False,
            'max_over_subscription_ratio': '100.0',
            'provisioned_capacity_gb': 0,
            'QoS_support': False,
        }

    def create_volume(self, volume: typing.Any) -> None:
        with open(self._path(volume.name), 'wb') as file:
            file.truncate(self._bytes(volume.size))

    def delete_volume(self, volume: typing.Any) -> None:
        self._remove(volume.name)

    def create_cloned_volume(self, volume: typing.Any,
                             src_vref: typing.Any) -> None:
        self._copy(src_vref.name, volume.name, volume.size)

    def create_snapshot(self, snapshot: typing.Any) -> None:
        self._copy(snapshot.volume_name, snapshot.name, snapshot.volume_size)

    def delete_snapshot(self, snapshot: typing.Any) -> None:
        self._remove(snapshot.name)

    def create_volume_from_snapshot(self, volume: typing.Any,
                                    snapshot: typing.Any) -> None:
        self._copy(snapshot.name, volume.name, volume.size)

    def extend_volume(self, volume: typing.Any, new_size: int) -> None:
        os.truncate(self._path(volume.name), self._bytes(new_size))

    def local_path(self, volume: typing.Any) -> str:
        return self._path(volume.name)

    def initialize_connection(self, volume: typing.Any,
                              connector: typing.Any, **kwargs: typing.Any,
                              ) -> dict[str, typing.Any]:
        return {'driver_volume_type': 'local',
                'data': {'device_path': self._path(volume.name)}}

    def initialize_connection_snapshot(
            self, snapshot: typing.Any, connector: typing.Any,
            **kwargs: typing.Any) -> dict[str, typing.Any]:
        return {'driver_volume_type': 'local',
                'data': {'device_path': self._path(snapshot.name)}}

    def terminate_connection(self, volume: typing.Any, connector: typing.Any,
                             **kwargs: typing.Any) -> None:
        # A restore opens its target with mode "wb", which truncates a plain
        # file, and omits zeros at the end: restore the length.
        with contextlib.suppress(FileNotFoundError):
            os.truncate(self._path(volume.name), self._bytes(volume.size))

    def terminate_connection_snapshot(
            self, snapshot: typing.Any, connector: typing.Any,
            **kwargs: typing.Any) -> None:
        pass

    def ensure_export(self, context: typing.Any, volume: typing.Any) -> None:
        pass

    def create_export(self, context: typing.Any, volume: typing.Any,
                      connector: typing.Any) -> None:
        pass

    def remove_export(self, context: typing.Any, volume: typing.Any) -> None:
        pass

    def create_export_snapshot(
            self, context: typing.Any, snapshot: typing.Any,
            connector: typing.Any) -> None:
        pass

    def remove_export_snapshot(self, context: typing.Any,
                               snapshot: typing.Any) -> None:
        pass

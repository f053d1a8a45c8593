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

"""A small Swift for a cloud: a proxy, and one storage node behind it.

It comes from PyPI, in its own environment. The servers run as processes of the
user, listen on 127.0.0.1, and store everything in the cloud's directory, whose
filesystem must support extended attributes. Keystone authorizes the requests
to the proxy.
"""

from __future__ import annotations

import collections.abc
import functools
import getpass
import os
import pathlib
import tempfile
import time

from tools.cloud import commands
from tools.cloud import daemons
from tools.cloud import environments
from tools.cloud import errors
from tools.cloud import layout
from tools.cloud import rest

_STORES = ('account', 'container', 'object')

#: The processes, in the order in which they depend on each other.
NAMES = (*(f'swift-{name}' for name in _STORES), 'swift-proxy')

#: The default container of Cinder's driver.
CONTAINER = 'volumebackups'

_DEVICE = 'd1'
_INSIDE = pathlib.Path(__file__).resolve().parent / 'inside'

#: Maximum size of the extended attribute that Swift stores with each file, for
#: objects such as those of backups.
_ATTRIBUTE = 1000

#: Seconds to wait until a server is ready.
_PATIENCE = 120

# The filters in front of the proxy.
_PIPELINE = ('catch_errors', 'gatekeeper', 'healthcheck', 'proxy-logging',
             'listing_formats', 'authtoken', 'keystoneauth', 'slow_store',
             'copy', 'dlo', 'versioned_writes')

Options = dict[str, object]
Groups = dict[str, Options]


def missing(folder: str | os.PathLike[str]) -> str | None:
    """Return why no Swift can run in a directory, or None."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        try:
            os.setxattr(file.name, 'user.swift.metadata', bytes(_ATTRIBUTE))
        except OSError as error:
            return (f'{os.fspath(folder)} is on a filesystem without extended '
                    f'attributes for users ({error.strerror}): choose a '
                    f'directory on another one, such as ext4 or XFS')
    return None


def cinder_options() -> Options:
    """Return the options for the group DEFAULT of Cinder's configuration."""
    return {
        'backup_driver': 'cinder.backup.drivers.swift.SwiftBackupDriver',
        # Small objects, so that a small volume has many.
        'backup_swift_object_size': 1 << 20,
        'backup_swift_enable_progress_timer': False,
    }


class Swift:
    """The Swift in a cloud's directory.

    :param where: the directory
    :param settings: of the cloud
    :param env: the environment of the servers
    :param run: runs the commands
    :param authtoken: returns the options of the proxy's filter of this name
    """

    def __init__(self, where: layout.Layout, settings: layout.Settings,
                 env: environments.Environment, run: commands.Commands,
                 authtoken: collections.abc.Callable[[], Options],
                 ) -> None:
        self._where = where
        self._settings = settings
        self._env = env
        self._run = run
        self._authtoken = authtoken

    @property
    def folder(self) -> pathlib.Path:
        """The directory of the Swift."""
        return self._where.state / 'swift'

    @functools.cached_property
    def processes(self) -> dict[str, daemons.Daemon]:
        """The servers by name, running or not."""
        return {name: daemons.Daemon(
            name, self._where.state,
            [self._env.script(f'{name}-server'), str(self._conf(name)), '-v'],
            commands.clean_environment(
                PYTHONUNBUFFERED='1', PYTHONWARNINGS='ignore',
                # The directory of the filter that is not part of Swift.
                PYTHONPATH=os.fspath(_INSIDE)))
            for name in NAMES}

    def hold(self, until: float = 0) -> None:
        """Delay the data of objects until a time, in epoch seconds."""
        layout.write_private(self._until, f'{until}\n')

    def configure(self, pipeline: collections.abc.Mapping[str, Options],
                  ) -> None:
        """Write the proxy's file with other options, for its next start.

        :param pipeline: additional options of filters, by name
        """
        self._write(self._conf('swift-proxy'), self._proxy(pipeline))

    def start(self, names: collections.abc.Collection[str]) -> None:
        """Start servers, create missing parts, and wait until they are ready.

        :raises errors.QuickstartError: if they are not
        """
        if not self.folder.joinpath('made').exists():
            self._make()
        for name in NAMES:
            process = self.processes[name]
            if name in names and not process.running:
                process.start()
        end = time.monotonic() + _PATIENCE
        for name, port in zip(NAMES, self._ports, strict=True):
            while name in names and not rest.answers(
                    f'http://127.0.0.1:{port}/healthcheck'):
                process = self.processes[name]
                if not process.running or time.monotonic() > end:
                    raise errors.QuickstartError(f'{name} does not serve',
                                                 process.log)
                self._run.pause(0.1)

    # -- making --

    @property
    def _ports(self) -> list[int]:
        """The ports of the servers, in the order of their names."""
        proxy, *stores = self._settings.swift_ports
        return [*stores, proxy]

    @property
    def _until(self) -> pathlib.Path:
        return self.folder / 'until'

    def _conf(self, name: str) -> pathlib.Path:
        return self.folder / f'{name}.conf'

    def _make(self) -> None:
        why = missing(self._where.state)
        if why is not None:
            raise errors.QuickstartError(why)
        for folder in ('node/' + _DEVICE, 'recon'):
            self.folder.joinpath(folder).mkdir(parents=True, exist_ok=True)
        self.hold()
        self._write(self.folder / 'swift.conf', {
            'swift-hash': {'swift_hash_path_suffix': os.urandom(8).hex()},
            'storage-policy:0': {'name': 'only', 'default': True}})
        ports = dict(zip(_STORES, self._ports, strict=False))
        for name, port in ports.items():
            self._write(self._conf(f'swift-{name}'), self._store(name, port))
        self.configure({})
        self._run.together(*(functools.partial(self._make_ring, name, port)
                             for name, port in ports.items()), at_once=2)
        self.folder.joinpath('made').touch()

    def _make_ring(self, name: str, port: int) -> None:
        builder = str(self.folder / f'{name}.builder')
        # One copy of all data, in two partitions.
        for arguments in (('create', '1', '1', '0'),
                          ('add', f'r1z1-127.0.0.1:{port}/{_DEVICE}', '1'),
                          ('rebalance',)):
            self._run.log(f'the making of the ring of {name}s',
                          self._where.log / 'swift-setup.log',
                          [self._env.script('swift-ring-builder'), builder,
                           *arguments], commands.clean_environment())

    def _usual(self, port: int) -> Options:
        return {
            'bind_ip': '127.0.0.1', 'bind_port': port,
            # One process for each server.
            'workers': 0, 'user': getpass.getuser(),
            'swift_dir': self.folder,
            'devices': self.folder / 'node', 'mount_check': False,
            'disable_fallocate': True,
            # The servers print their log. No syslog listens at this port.
            'log_udp_host': '127.0.0.1', 'log_udp_port': 9,
            # For a machine under load.
            'conn_timeout': 30, 'node_timeout': 60,
            'container_update_timeout': 60,
        }

    def _store(self, name: str, port: int) -> Groups:
        return {
            'DEFAULT': self._usual(port),
            'pipeline:main': {'pipeline': f'healthcheck {name}-server'},
            f'app:{name}-server': {'use': f'egg:swift#{name}'},
            'filter:healthcheck': {'use': 'egg:swift#healthcheck'},
        }

    def _proxy(self, more: collections.abc.Mapping[str, Options]) -> Groups:
        filters: Groups = {name: {'use': f'egg:swift#{name}'.replace(
            '-', '_')} for name in _PIPELINE}
        filters['slow_store'] = {
            'paste.filter_factory': 'slow_store:filter_factory',
            'until_file': self._until}
        filters['authtoken'] = {
            'paste.filter_factory':
                'keystonemiddleware.auth_token:filter_factory',
            'delay_auth_decision': True, **self._authtoken()}
        filters['keystoneauth']['operator_roles'] = 'admin, member'
        for name, options in more.items():
            filters[name].update(options)
        *_, proxy = self._ports
        return {
            'DEFAULT': self._usual(proxy),
            'pipeline:main': {
                'pipeline': ' '.join((*_PIPELINE, 'proxy-server'))},
            'app:proxy-server': {
                'use': 'egg:swift#proxy', 'account_autocreate': True,
                'recoverable_node_timeout': 60,
                # There is no other node.
                'error_suppression_limit': 1000},
            **{f'filter:{name}': options
               for name, options in filters.items()},
        }

    @staticmethod
    def _write(path: pathlib.Path, groups: Groups) -> None:
        lines = []
        for group, options in groups.items():
            lines.append(f'[{group}]')
            lines += [f'{name} = {value}' for name, value in options.items()]
        layout.write_private(path, '\n'.join(lines) + '\n')

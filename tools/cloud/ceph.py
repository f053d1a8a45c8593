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

"""A small Ceph cluster for a cloud: monitor, manager and one OSD.

The daemons come from the packages of the system. They run as processes of the
user, listen on 127.0.0.1, and store everything in the cloud's directory.
Authentication is off: the cluster contains only test data, and os-brick would
need a key in ``/etc/ceph``.
"""

from __future__ import annotations

import collections.abc
import functools
import json
import os
import pathlib
import shutil
import sys
import time
import typing
import uuid

from tools.cloud import commands
from tools.cloud import daemons
from tools.cloud import errors
from tools.cloud import layout

#: The processes, in the order in which they depend on each other.
NAMES = ('ceph-mon', 'ceph-mgr', 'ceph-osd')

#: The required packages, by their names in Debian.
PACKAGES = ('ceph-mon', 'ceph-osd', 'ceph-mgr', 'ceph-common',
            'python3-rados', 'python3-rbd')

VOLUME_POOL = 'volumes'
BACKUP_POOL = 'backups'

#: Name of the backend in Cinder, behind the @ of a volume's host.
BACKEND = 'rbd'

_USER = 'cinder'
_IDS = {'ceph-mon': 'a', 'ceph-mgr': 'a', 'ceph-osd': '0'}
_COMMANDS = (*NAMES, 'ceph', 'monmaptool', 'rbd')
_MODULES = ('rados', 'rbd')
_DIST_PACKAGES = pathlib.Path('/usr/lib/python3/dist-packages')

_AUTHENTICATION = ('auth_cluster_required', 'auth_service_required',
                   'auth_client_required')

#: Bytes of the OSD's file, which is sparse.
_SIZE = 20 << 30

#: Seconds to wait until a daemon is ready.
_PATIENCE = 120


def bindings() -> list[pathlib.Path]:
    """Return the system's Python modules for this interpreter."""
    tag = f'cpython-{sys.version_info.major}{sys.version_info.minor}'
    return [path for name in _MODULES
            for path in _DIST_PACKAGES.glob(f'{name}.{tag}-*.so')]


def missing() -> str | None:
    """Return why no cluster can run here, or None."""
    absent = [name for name in _COMMANDS if shutil.which(name) is None]
    made_for = sorted(path.name for name in _MODULES
                      for path in _DIST_PACKAGES.glob(f'{name}.cpython-*.so'))
    if absent or not made_for:
        return (f"no {', '.join(absent) or 'Python modules of Ceph'}: "
                f"apt-get install --no-install-recommends "
                f"{' '.join(PACKAGES)}")
    if len(bindings()) < len(_MODULES):
        return (f"the system's Python modules of Ceph are "
                f"{', '.join(made_for)}, and this is Python "
                f"{sys.version.split()[0]}: set the variable PYTHON to a "
                f"matching interpreter")
    return None


def cinder_options(where: layout.Layout) -> dict[str, dict[str, object]]:
    """Return the options for Cinder's configuration, by group.

    :param where: the cloud's directory
    """
    conf = where.state / 'ceph' / 'ceph.conf'
    return {
        'DEFAULT': {
            'enabled_backends': BACKEND,
            'backup_driver': 'cinder.backup.drivers.ceph.CephBackupDriver',
            'backup_ceph_conf': conf,
            'backup_ceph_user': _USER,
            'backup_ceph_pool': BACKUP_POOL,
            # To notice soon that a cluster is unavailable.
            'rpc_response_timeout': 15,
        },
        BACKEND: {
            'volume_driver': 'cinder.volume.drivers.rbd.RBDDriver',
            'volume_backend_name': BACKEND,
            'rbd_pool': VOLUME_POOL,
            'rbd_user': _USER,
            # os-brick looks for the keyring only in /etc/ceph. A name that
            # leads to another directory keeps /etc/ceph unchanged.
            'rbd_cluster_name': f'../..{conf.with_suffix("")}',
            'rbd_ceph_conf': conf,
            'rados_connect_timeout': 5,
            'rbd_exclusive_cinder_pool': True,
            'max_over_subscription_ratio': 1000,
        },
    }


class Cluster:
    """The cluster in a cloud's directory.

    :param where: the directory
    :param port: of the monitor; the other daemons use free ports of Ceph's
        range
    :param run: runs the commands
    """

    def __init__(self, where: layout.Layout, port: int,
                 run: commands.Commands) -> None:
        self._where = where
        self._port = port
        self._run = run

    @property
    def folder(self) -> pathlib.Path:
        """The directory of the cluster."""
        return self._where.state / 'ceph'

    @property
    def conf(self) -> pathlib.Path:
        """The configuration file of daemons and clients."""
        return self.folder / 'ceph.conf'

    @functools.cached_property
    def processes(self) -> dict[str, daemons.Daemon]:
        """The daemons by name, running or not."""
        return {name: daemons.Daemon(
            name, self._where.state,
            [name, '-f', '-i', _IDS[name], '--conf', str(self.conf)],
            self._env(), self._where.log / f'{name}.log')
            for name in NAMES}

    def start(self, names: collections.abc.Collection[str]) -> None:
        """Start daemons, create missing parts, and wait until they are ready.

        :raises errors.QuickstartError: if they are not
        """
        if not self.folder.joinpath('made').exists():
            self._make_monitor()
        self._start('ceph-mon', names)
        before = self._booted()
        self._start('ceph-mgr', names)
        if 'ceph-osd' in names:
            if not self.folder.joinpath('made').exists():
                self._make_osd()
            self._start('ceph-osd', names)
            self._await('ceph-osd', lambda: self._booted() > before)
            self._make_pools()
        if {'ceph-mgr', 'ceph-osd'} & set(names):
            self._await('ceph-mgr', self._tells_space)

    def ceph(self, *arguments: str) -> typing.Any:
        """Run ``ceph``; return its JSON output.

        :raises errors.QuickstartError: if it fails
        """
        text = self._command(
            'ceph', '--conf', str(self.conf), '--connect-timeout',
            str(_PATIENCE), '-f', 'json', *arguments)
        return json.loads(text) if text.strip() else None

    def rbd(self, *arguments: str) -> str:
        """Run ``rbd``; return its output.

        :raises errors.QuickstartError: if it fails
        """
        return self._command('rbd', '--conf', str(self.conf), *arguments)

    def make_pool(self, name: str) -> None:
        """Create a pool for images.

        :raises errors.QuickstartError: if that fails
        """
        self.ceph('osd', 'pool', 'create', name)
        self.ceph('osd', 'pool', 'application', 'enable', name, 'rbd')

    # -- making --

    def _make_monitor(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in (*NAMES, 'python'):
            self.folder.joinpath(name).mkdir(parents=True)
        for path in bindings():
            self.folder.joinpath('python', path.name).symlink_to(path)
        fsid = str(uuid.uuid4())
        self.conf.write_text(self._text(fsid))
        # os-brick copies it into its own configuration.
        self.folder.joinpath(f'ceph.client.{_USER}.keyring').write_text(
            ''.join(f'{name} = none\n' for name in _AUTHENTICATION))
        monmap = str(self.folder / 'monmap')
        self._command('monmaptool', '--create', '--fsid', fsid, '--addv',
                      _IDS['ceph-mon'], f'[v2:127.0.0.1:{self._port}]',
                      monmap)
        self._command('ceph-mon', '--mkfs', '-i', _IDS['ceph-mon'], '--conf',
                      str(self.conf), '--monmap', monmap)

    def _make_osd(self) -> None:
        osd = str(uuid.uuid4())
        self.ceph('osd', 'new', osd)
        self._command('ceph-osd', '--mkfs', '-i', _IDS['ceph-osd'], '--conf',
                      str(self.conf), '--osd-uuid', osd)
        self.folder.joinpath('made').touch()

    def _make_pools(self) -> None:
        there = self.ceph('osd', 'pool', 'ls')
        for name in (VOLUME_POOL, BACKUP_POOL):
            if name not in there:
                self.make_pool(name)

    def _text(self, fsid: str) -> str:
        """Return the content of the configuration file."""
        options: dict[str, object] = {
            'fsid': fsid,
            'mon_host': f'v2:127.0.0.1:{self._port}',
            'public_addr': '127.0.0.1',
            'ms_bind_msgr1': 'false',
            **dict.fromkeys(_AUTHENTICATION, 'none'),
            # The only OSD has the only copy of all data.
            'osd_crush_chooseleaf_type': 0,
            'osd_pool_default_size': 1,
            'osd_pool_default_min_size': 1,
            'osd_pool_default_pg_num': 8,
            'osd_pool_default_pg_autoscale_mode': 'off',
            'mon_allow_pool_size_one': 'true',
            'mon_allow_pool_delete': 'true',
            'mon_data_avail_crit': 1,
            'mon_osd_down_out_interval': 86400,
            'mon_cluster_log_file': self._where.log / 'ceph.log',
            'bluestore_block_size': _SIZE,
            'osd_memory_target': 939524096,
            # It takes seconds for the first image of each pool.
            'rbd_validate_pool': 'false',
            'mgr_stats_period': 1,
            'mgr_tick_period': 1,
            # Paths of sockets must be short, and no client needs the socket.
            'admin_socket': '',
            'run_dir': self.folder,
            'crash_dir': self.folder,
            'log_file': '',
        }
        lines = ['[global]']
        lines += [f'{name} = {value}' for name, value in options.items()]
        for name in NAMES:
            short = name.removeprefix('ceph-')
            lines += [f'[{short}]', f'{short}_data = {self.folder / name}',
                      f'log_file = {self._where.log / name}.log']
        return '\n'.join(lines) + '\n'

    # -- serving --

    def _start(self, name: str,
               names: collections.abc.Collection[str]) -> None:
        process = self.processes[name]
        if name in names and not process.running:
            process.start()

    def _booted(self) -> int:
        """Return the epoch of the OSD's last start, 0 for never."""
        osds = self.ceph('osd', 'dump')['osds']
        return max((osd['up_from'] for osd in osds if osd['up']), default=0)

    def _tells_space(self) -> bool:
        """Return whether Cinder's scheduler sees free space."""
        pools = self.ceph('df')['pools']
        return bool(pools) and all(
            pool['stats']['max_avail'] > 0 for pool in pools)

    def _await(self, name: str,
               done: collections.abc.Callable[[], bool]) -> None:
        process = self.processes[name]
        end = time.monotonic() + _PATIENCE
        while not done():
            if not process.running or time.monotonic() > end:
                raise errors.QuickstartError(f'{name} does not serve',
                                             process.log)
            self._run.pause(0.2)

    # -- commands --

    def _env(self) -> dict[str, str]:
        env = commands.clean_environment()
        return {name: value for name, value in env.items()
                if not name.startswith('CEPH')}

    def _command(self, *argv: str) -> str:
        done = self._run.output(argv, self._env())
        if done.returncode:
            raise errors.QuickstartError(
                f"{' '.join(argv)}: {done.stderr.strip()[-1000:]}")
        return done.stdout


def python_path(where: layout.Layout) -> dict[str, str]:
    """Return environment variables so that Cinder finds the Python modules.

    The directory contains only links to them, because the directory of the
    system also has other packages.
    """
    return {'PYTHONPATH': os.fspath(where.state / 'ceph' / 'python')}

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

"""The processes of a cloud, and the creation of their databases."""

import dataclasses
import functools
import pathlib

from tools.cloud import ceph
from tools.cloud import commands
from tools.cloud import config
from tools.cloud import daemons
from tools.cloud import environments
from tools.cloud import layout
from tools.cloud import secrets
from tools.cloud import swift

_INSIDE = pathlib.Path(__file__).resolve().parent / 'inside'

#: In the order in which they depend on each other.
NAMES = (*ceph.NAMES, *swift.NAMES, 'keystone', 'cinder', 'freezer-api',
         'freezer-scheduler')


class Programs:
    """The processes of a cloud.

    :param where: its directory
    :param settings: its settings
    :param envs: the environments of the processes
    :param run: runs the commands
    :ivar ceph: the cluster, which may not run or exist
    :ivar swift: the Swift, which may not run or exist
    """

    def __init__(self, where: layout.Layout, settings: layout.Settings,
                 envs: environments.Environments,
                 run: commands.Commands) -> None:
        self._where = where
        self._settings = settings
        self._envs = envs
        self.ceph = ceph.Cluster(where, settings.ceph_port, run)
        self.swift = swift.Swift(
            where, settings, envs.swift, run, lambda: config.authtoken(
                settings, 'swift', secrets.load(where).swift))

    @functools.cached_property
    def processes(self) -> dict[str, daemons.Daemon]:
        """The processes by name."""
        etc, envs, settings = self._where.etc, self._envs, self._settings
        python = envs.cloud.python
        made = [
            *(self.ceph.processes.values() if settings.ceph_port else ()),
            *(self.swift.processes.values() if settings.swift_ports else ()),
            self._process('keystone', [
                python, str(_INSIDE / 'keystone_server.py'),
                str(etc / 'keystone.conf'), str(settings.keystone_port),
                *([] if settings.catalogue == settings.ports else [
                    str(secrets.path(self._where)), config.REGION,
                    settings.auth_url])]),
            self._process('cinder', [
                python, str(_INSIDE / 'cinder_server.py'),
                str(etc / 'cinder.conf'),
                *([] if 'cinder' in settings.databases else ['sync'])],
                **(ceph.python_path(self._where) if settings.ceph_port
                   else {})),
            self._process('freezer-api', [
                envs.service.script('freezer-api'),
                '--config-file', str(etc / 'freezer-api.conf'),
                '--host', '127.0.0.1', '--port', str(settings.api_port)],
                # Its process title must not overwrite the environment, which
                # identifies the process.
                SPT_NOENV='1'),
            dataclasses.replace(self._process('freezer-scheduler', [
                envs.service.script('freezer-scheduler'), '--service-mode',
                '--config-file', str(etc / 'scheduler.conf'),
                '--scheduler-no-daemon', 'start']),
                own_pid_file=config.scheduler_pid_file(self._where)),
        ]
        return {process.name: process for process in made}

    @property
    def urls(self) -> dict[str, str]:
        """The URLs of the processes that listen."""
        return {'keystone': self._settings.auth_url,
                'cinder': self._settings.cinder_url + '/',
                'freezer-api': self._settings.api_url + '/'}

    @property
    def ports(self) -> dict[str, tuple[int, str]]:
        """The port of each process that listens, and its option."""
        settings = self._settings
        return {'ceph-mon': (settings.ceph_port, '--ceph-port'),
                'keystone': (settings.keystone_port, '--keystone-port'),
                'cinder': (settings.cinder_port, '--cinder-port'),
                'freezer-api': (settings.api_port, '--api-port')}

    def _process(self, name: str, argv: list[str],
                 **env: str) -> daemons.Daemon:
        return daemons.Daemon(
            name, self._where.state, argv,
            commands.clean_environment(
                PYTHONUNBUFFERED='1', PYTHONWARNINGS='ignore', **env),
            self._where.log / f'{name}.log')

    def prepare_database(self, name: str, run: commands.Commands) -> None:
        """Prepare the database of a process before its start.

        Keystone and Cinder create their databases themselves.

        :raises errors.QuickstartError: if it fails, with the log
        """
        if name == 'freezer-api':
            # Each time, because the checkout may have a newer schema.
            run.log('freezer-manage db sync',
                    self._where.log / f'{name}-setup.log',
                    [self._envs.service.script('freezer-manage'),
                     '--config-file', str(self._where.etc / f'{name}.conf'),
                     'db', 'sync'],
                    commands.clean_environment(), cwd=self._where.state)
        elif name not in self._settings.databases:
            # Remove an incomplete database of an interrupted start.
            for suffix in ('', '-wal', '-shm'):
                self._where.state.joinpath(
                    name, f'{name}.db{suffix}').unlink(missing_ok=True)

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

"""The four processes of a cloud, and how each gets its database."""

import functools
import pathlib

from tools.cloud import commands
from tools.cloud import config
from tools.cloud import daemons
from tools.cloud import environments
from tools.cloud import layout
from tools.cloud import secrets

_INSIDE = pathlib.Path(__file__).resolve().parent / 'inside'

#: In the order in which they depend on each other.
NAMES = ('keystone', 'cinder', 'freezer-api', 'freezer-scheduler')


class Programs:
    """What to run for a cloud.

    :param where: its directory
    :param settings: its settings
    :param envs: the environments to run from
    """

    def __init__(self, where: layout.Layout, settings: layout.Settings,
                 envs: environments.Environments) -> None:
        self._where = where
        self._settings = settings
        self._envs = envs

    @functools.cached_property
    def processes(self) -> dict[str, daemons.Daemon]:
        """The processes by name."""
        etc, envs, settings = self._where.etc, self._envs, self._settings
        python = envs.cloud.python
        made = [
            self._process('keystone', [
                python, str(_INSIDE / 'keystone_server.py'),
                str(etc / 'keystone.conf'), str(settings.keystone_port),
                *([] if settings.catalogue == settings.ports else [
                    str(secrets.path(self._where)), config.REGION,
                    settings.auth_url])]),
            self._process('cinder', [
                python, str(_INSIDE / 'cinder_server.py'),
                str(etc / 'cinder.conf'),
                *([] if 'cinder' in settings.databases else ['sync'])]),
            self._process('freezer-api', [
                envs.service.script('freezer-api'),
                '--config-file', str(etc / 'freezer-api.conf'),
                '--host', '127.0.0.1', '--port', str(settings.api_port)],
                # Its title must not overwrite the environment, by which the
                # process is known.
                SPT_NOENV='1'),
            self._process('freezer-scheduler', [
                envs.service.script('freezer-scheduler'), '--service-mode',
                '--config-file', str(etc / 'scheduler.conf'),
                '--scheduler-no-daemon', 'start']),
        ]
        return {process.name: process for process in made}

    @property
    def urls(self) -> dict[str, str]:
        """Where the processes that listen do so."""
        return {'keystone': self._settings.auth_url,
                'cinder': self._settings.cinder_url + '/',
                'freezer-api': self._settings.api_url + '/'}

    @property
    def ports(self) -> dict[str, tuple[int, str]]:
        """Port of each process that listens, and the option for it."""
        settings = self._settings
        return {'keystone': (settings.keystone_port, '--keystone-port'),
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
        """Prepare the database of a process that is about to start.

        Those of Keystone and Cinder are made by the process itself.

        :raises errors.QuickstartError: naming the log
        """
        if name == 'freezer-api':
            # Each time: the checkout may bring a newer schema.
            run.log('freezer-manage db sync',
                    self._where.log / f'{name}-setup.log',
                    [self._envs.service.script('freezer-manage'),
                     '--config-file', str(self._where.etc / f'{name}.conf'),
                     'db', 'sync'],
                    commands.clean_environment(), cwd=self._where.state)
        elif name not in self._settings.databases:
            # One whose making was cut short would be in nobody's shape.
            for suffix in ('', '-wal', '-shm'):
                self._where.state.joinpath(
                    name, f'{name}.db{suffix}').unlink(missing_ok=True)

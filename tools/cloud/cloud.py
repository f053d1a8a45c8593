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

"""A cloud: Keystone, Cinder, the Freezer API and a central scheduler."""

import collections.abc
import contextlib
import dataclasses
import os
import pathlib
import shutil
import subprocess

from tools.cloud import ceph
from tools.cloud import commands
from tools.cloud import config
from tools.cloud import credentials
from tools.cloud import daemons
from tools.cloud import environments
from tools.cloud import errors
from tools.cloud import layout
from tools.cloud import locks
from tools.cloud import ports
from tools.cloud import programs
from tools.cloud import progress
from tools.cloud import rest
from tools.cloud import secrets
from tools.cloud import startup
from tools.cloud import swift


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of a cloud; None keeps the current value."""

    projects: int | None = None
    volumes: int | None = None
    keystone_port: int | None = None
    cinder_port: int | None = None
    api_port: int | None = None
    mib_per_gb: int | None = None
    token_seconds: int | None = None
    ceph_port: int | None = None
    swift_ports: list[int] | None = None

    @classmethod
    def on_free_ports(cls, projects: int, volumes: int = 2, *,
                      with_ceph: bool = False,
                      with_swift: bool = False) -> 'Options':
        """Return options for a cloud on free ports of this machine."""
        keystone, cinder, api, monitor, *store = ports.find_free(8)
        return cls(projects, volumes, keystone, cinder, api,
                   ceph_port=monitor if with_ceph else None,
                   swift_ports=store if with_swift else None)


class Cloud:
    """A cloud in a directory, which may not exist or run yet.

    Example for a test::

        made = cloud.Cloud(directory)
        made.up(cloud.Options.on_free_ports(projects=2))
        try:
            session = made.session("project-1")        # REST, as a member
            volumes = made.volumes("project-1")         # [{"id": ...}, ...]
            answer = made.freezer("project-1", "job-list", "-f", "json")
            made.kill("freezer-scheduler")             # kill -9
            made.up()                                   # start it again
        finally:
            made.down(purge=True)

    Edit ``made.layout.etc / "scheduler.conf"`` between :meth:`kill` and
    :meth:`up` to try other options: an edited file is not overwritten.

    :param state: the directory; :meth:`up` creates it
    :param home: the directory of the environments, by default that of the
        checkout; the first :meth:`up` creates them
    :param tell: shows progress; by default it is not shown
    :raises errors.QuickstartError: if the path cannot be used
    """

    def __init__(self, state: str | os.PathLike[str], *,
                 home: pathlib.Path | None = None,
                 tell: progress.Progress | None = None) -> None:
        self.layout = layout.Layout.of(state)
        self.environments = environments.Environments(
            home or environments.default_home())
        self.run = commands.Commands()
        self._tell = tell or progress.Progress(None)

    @property
    def settings(self) -> layout.Settings:
        """The settings of the cloud.

        :raises errors.QuickstartError: if there is no cloud
        """
        return layout.Settings.load(self.layout)

    @property
    def processes(self) -> dict[str, daemons.Daemon]:
        """The processes by name, running or not."""
        return self._programs(self.settings).processes

    @property
    def ceph(self) -> ceph.Cluster:
        """The Ceph of a cloud that has one."""
        return self._programs(self.settings).ceph

    @property
    def swift(self) -> swift.Swift:
        """The Swift of a cloud that has one."""
        return self._programs(self.settings).swift

    @property
    def urls(self) -> dict[str, str]:
        """The URLs of the processes that listen, by name."""
        return self._programs(self.settings).urls

    def _programs(self, settings: layout.Settings) -> programs.Programs:
        return programs.Programs(self.layout, settings, self.environments,
                                 self.run)

    def up(self, options: Options | None = None,
           names: collections.abc.Collection[str] = programs.NAMES) -> None:
        """Start processes that do not run, and create missing parts.

        :param names: of the processes, to start only some
        :raises errors.QuickstartError: if a step fails; then the processes
            that this call has started are stopped again
        """
        self.layout.check()
        with _private_files():
            self.layout.run.mkdir(parents=True, exist_ok=True)
            lock = self.layout.run / 'lock'
            with locks.held(lock, self.run, self._tell):
                self._up(options or Options(), names)

    def _up(self, options: Options,
            names: collections.abc.Collection[str]) -> None:
        settings = self._choose(options)
        if settings.ceph_port and (why := ceph.missing()) is not None:
            raise errors.QuickstartError(why)
        self.layout.make()
        with _public_files():
            self.environments.make(self.run, self._tell)
            if settings.swift_ports:
                self.environments.swift.make(self.run, self._tell)
        begin = startup.Startup(
            self.layout, settings, self._programs(settings), self.run,
            self._tell, names)
        begin.require_ports()
        keep = secrets.load(self.layout)
        for name in config.write(self.layout, settings, keep,
                                 self.environments):
            self._tell.say(f'{self.layout.etc / name} was edited and is kept')
        begin.start(options.projects)
        credentials.write(self.layout, settings, keep, self.environments)

    def _choose(self, options: Options) -> layout.Settings:
        """Return the settings of the cloud with the caller's changes."""
        exists = self.layout.settings.exists()
        settings = self.settings if exists else layout.Settings()
        changed = [
            field.name for field in dataclasses.fields(options)
            if field.name != 'projects'
            and getattr(options, field.name) not in (
                None, getattr(settings, field.name))]
        if exists and {'ceph_port', 'swift_ports'} & set(changed):
            raise errors.QuickstartError(
                'the storage of volumes and backups is fixed when a cloud is '
                'created: --ceph-port cannot be changed')
        for name in changed:
            setattr(settings, name, getattr(options, name))
        if len({*settings.ports, settings.ceph_port}) < 4:
            raise errors.QuickstartError(
                '--keystone-port, --cinder-port, --api-port and --ceph-port '
                'must differ')
        if exists and set(changed) - {'volumes'}:
            running = [process.name for process in self.processes.values()
                       if process.running]
            if running:
                raise errors.QuickstartError(
                    f"--{changed[0].replace('_', '-')} can be changed only "
                    f"while the cloud is down (up: {', '.join(running)})")
        settings.save(self.layout)
        return settings

    def down(self, *, purge: bool = False, keep_logs: bool = False) -> None:
        """Stop all processes; with ``purge``, also remove the cloud's data.

        :param keep_logs: keep the logs in a purge
        :raises errors.QuickstartError: if there is no cloud
        """
        running = self.processes
        with locks.held(self.layout.run / 'lock', self.run, self._tell):
            for process in reversed(running.values()):
                if process.stop():
                    self._tell.say(f'{process.name} is stopped')
            if purge:
                self._purge(keep_logs)

    def discard(self) -> None:
        """Remove the parts of a cloud that failed to start.

        A directory with other files contains no parts of a cloud.
        """
        try:
            self.layout.check()
        except errors.QuickstartError:
            return
        if self.layout.settings.exists():
            self.down(purge=True)
        else:
            self._purge(keep_logs=False)

    def _purge(self, keep_logs: bool) -> None:
        for path in self.layout.entries(keep_logs=keep_logs):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        with contextlib.suppress(OSError):  # it contains other files
            self.layout.state.rmdir()

    def account(self, name: str) -> credentials.Account:
        """Return the account with a name of clouds.yaml.

        :raises errors.QuickstartError: if there is none
        """
        for account in credentials.accounts(self.settings,
                                            secrets.load(self.layout)):
            if account.cloud == name:
                return account
        raise errors.QuickstartError(f'there is no {name} in this cloud')

    def session(self, name: str) -> rest.Session:
        """Log in with a name of clouds.yaml, such as ``project-1``."""
        account = self.account(name)
        return rest.Session(self.settings.auth_url, account.user,
                            account.password, account.project)

    def volumes(self, name: str) -> list[rest.Document]:
        """Return Cinder's documents of a project's volumes, oldest first."""
        return self._cinder(name, 'volumes')

    def backups(self, name: str) -> list[rest.Document]:
        """Return Cinder's documents of a project's backups, oldest first."""
        return self._cinder(name, 'backups')

    def _cinder(self, name: str, noun: str) -> list[rest.Document]:
        session = self.session(name)
        answer = session.call(
            'GET', f'{self.settings.cinder_url}/v3/{session.project_id}'
                   f'/{noun}/detail?sort=created_at:asc',
            OpenStack_API_Version='volume 3.60')
        found: list[rest.Document] = answer[noun]
        return found

    def freezer(self, name: str, *arguments: str,
                ) -> subprocess.CompletedProcess[str]:
        """Run the stock ``freezer`` command with a name of clouds.yaml."""
        env = commands.clean_environment(**credentials.variables(
            self.account(name), self.settings.auth_url))
        return self.run.output(
            [str(self.layout.bin / 'freezer'), *arguments], env)

    def kill(self, name: str) -> None:
        """Kill a process with SIGKILL, and wait for its end."""
        self.processes[name].kill()


@contextlib.contextmanager
def _umask(mask: int) -> collections.abc.Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def _private_files() -> contextlib.AbstractContextManager[None]:
    """Create files that only their owner can read."""
    return _umask(0o077)


def _public_files() -> contextlib.AbstractContextManager[None]:
    """Create files that others can use."""
    return _umask(0o022)

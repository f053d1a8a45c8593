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

"""Getting a cloud from its directory to where users can work in it."""

import collections.abc
import functools
import pathlib
import time

from tools.cloud import commands
from tools.cloud import config
from tools.cloud import daemons
from tools.cloud import errors
from tools.cloud import identity
from tools.cloud import layout
from tools.cloud import ports
from tools.cloud import programs
from tools.cloud import progress
from tools.cloud import rest
from tools.cloud import secrets
from tools.cloud import volumes

#: Seconds that a process may take to answer.
PATIENCE = 300

#: What the scheduler logs when it can be given work, and the seconds after
#: which its being alive is taken for that, should it log something else.
_REGISTERED = b'Registered as client'
_ALIVE_SECONDS = 15

#: Of more new projects it is only told how many they are.
_NAMED = 10


class Startup:
    """Starts what does not run of a cloud, and fills what is empty.

    :param where: the cloud's directory
    :param settings: its settings, which are brought up to date
    :param made: its programs
    :param run: runs the commands
    :param tell: where progress is shown
    :param names: of the processes to start
    """

    def __init__(self, where: layout.Layout, settings: layout.Settings,
                 made: programs.Programs, run: commands.Commands,
                 tell: progress.Progress,
                 names: collections.abc.Collection[str] = programs.NAMES,
                 ) -> None:
        self._where = where
        self._settings = settings
        self._programs = made
        self._keep = secrets.load(where)
        self._run = run
        self._tell = tell
        self._missing = [process for process in made.processes.values()
                         if process.name in names and not process.running]

    def require_ports(self) -> None:
        """Refuse to go on if a port that is needed is taken.

        :raises errors.QuickstartError: naming the option
        """
        for process in self._missing:
            if process.name in self._programs.ports:
                ports.require_free(*self._programs.ports[process.name])

    def start(self, projects: int | None) -> None:
        """Start the processes, make projects and volumes.

        :param projects: how many there are to be; None for as many as there
            are, or three
        :raises errors.QuickstartError: something failed; what had been
            started is stopped again
        """
        try:
            self._start_servers()
            started = self._start_scheduler()
            self._seed(projects)
            if started is not None:
                self._await_scheduler(*started)
        except BaseException:
            for process in reversed(self._missing):
                process.stop()
            raise

    def _start_servers(self) -> None:
        """Start what listens, side by side."""
        servers = [process for process in self._missing
                   if process.name in self._programs.urls]
        if servers:
            with self._tell.step('starting ' + ', '.join(
                    process.name for process in servers)):
                self._run.together(*(
                    functools.partial(self._serve, process)
                    for process in servers))
        self._settings.save(self._where)

    def _serve(self, process: daemons.Daemon) -> None:
        settings = self._settings
        self._programs.prepare_database(process.name, self._run)
        if process.name == 'freezer-api':
            self._await_accounts()
        process.start()
        self._await(process, self._programs.urls[process.name])
        if process.name not in settings.databases:
            settings.databases.append(process.name)
        if process.name == 'keystone':
            self._make_accounts()
        self._tell.say(f'{process.name} is up')

    def _make_accounts(self) -> None:
        settings = self._settings
        if settings.catalogue != settings.ports:
            identity.Identity(settings, self._keep).services()
            settings.catalogue = settings.ports

    def _await_accounts(self) -> None:
        """Wait until Keystone knows the service accounts.

        The API looks at its own when it starts, and ends where Keystone
        refuses it.
        """
        settings = self._settings
        end = time.monotonic() + PATIENCE
        while (settings.catalogue != settings.ports
               and time.monotonic() < end):
            self._run.pause(0.1)

    def _await(self, process: daemons.Daemon, url: str) -> None:
        end = time.monotonic() + PATIENCE
        while process.running and time.monotonic() < end:
            if rest.answers(url):
                return
            self._run.pause(0.1)
        raise errors.QuickstartError(
            f'{process.name} does not answer at {url}', process.log)

    def _seed(self, projects: int | None) -> None:
        """Give the cloud the projects and volumes that it lacks."""
        settings = self._settings
        there = settings.projects
        wanted = projects if projects is not None else there or 3
        if wanted < there:
            self._tell.say(f'keeping all {there} projects')
        lacking = {
            f'project-{number}': number
            for number in range(1, max(wanted, there) + 1)
            if settings.seeded.get(f'project-{number}', -1)
            < settings.volumes}
        if not lacking:
            return
        names = (', '.join(lacking) if len(lacking) <= _NAMED
                 else f'{len(lacking)} projects')
        with self._tell.step(
                f'making {names}; volumes in each: {settings.volumes}'):
            accounts = identity.Identity(settings, self._keep)
            for number in lacking.values():
                if number > there:
                    accounts.project(number)
            self._run.together(*(
                functools.partial(
                    volumes.seed, settings, number,
                    settings.seeded.get(name, 0) + 1, self._run)
                for name, number in lacking.items()))
        settings.seeded.update(dict.fromkeys(lacking, settings.volumes))
        settings.save(self._where)

    def _start_scheduler(self) -> tuple[daemons.Daemon, pathlib.Path,
                                        int] | None:
        """Start the scheduler unless it runs.

        :returns: the process, its log and how long that was before
        """
        for process in self._missing:
            log = process.own_log
            if process.name == 'freezer-scheduler' and log is not None:
                before = log.stat().st_size if log.exists() else 0
                self._tell.say(f'starting {process.name}')
                process.start()
                return process, log, before
        return None

    def _await_scheduler(self, process: daemons.Daemon, log: pathlib.Path,
                         before: int) -> None:
        """Wait until the scheduler can be given work.

        That its client is known to the API may be from before, so its log
        is asked, too.
        """
        settings = self._settings
        session = rest.Session(settings.auth_url, config.SERVICE_USER,
                               self._keep.freezer, 'service')
        url = f'{settings.api_url}/v2/{session.project_id}/clients?limit=100'
        began = time.monotonic()
        while process.running and time.monotonic() < began + PATIENCE:
            alive = time.monotonic() > began + _ALIVE_SECONDS
            if alive or _REGISTERED in _since(log, before):
                clients = session.call('GET', url)['clients']
                if any(row['client']['is_central'] for row in clients):
                    self._tell.say(f'{process.name} is up')
                    return
            self._run.pause(0.1)
        raise errors.QuickstartError(
            f'{process.name} did not register its client', process.log)


def _since(log: pathlib.Path, before: int) -> bytes:
    """What a log has got since it was so many bytes long."""
    try:
        with log.open('rb') as file:
            file.seek(before)
            return file.read()
    except FileNotFoundError:
        return b''

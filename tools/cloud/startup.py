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

"""The start of a cloud, until users can work in it."""

import collections.abc
import functools
import pathlib
import threading
import time

from tools.cloud import ceph
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
from tools.cloud import swift
from tools.cloud import volumes

#: Maximum seconds until a process answers.
PATIENCE = 300

#: Log line of a scheduler that is ready, and the seconds after which a running
#: scheduler counts as ready without it.
_REGISTERED = b'Registered as client'
_ALIVE_SECONDS = 15

#: Maximum number of new projects that are listed by name.
_NAMED = 10


class Startup:
    """Starts processes that do not run, and creates missing content.

    :param where: the cloud's directory
    :param settings: its settings, which are updated
    :param made: its programs
    :param run: runs the commands
    :param tell: shows progress
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
        self._store_serves = threading.Event()

    def require_ports(self) -> None:
        """Refuse to continue if a required port is in use.

        :raises errors.QuickstartError: if one is; the text has the option
        """
        for process in self._missing:
            if process.name in self._programs.ports:
                ports.require_free(*self._programs.ports[process.name])

    def start(self, projects: int | None) -> None:
        """Start the processes, create projects and volumes.

        :param projects: number of projects; None for the existing ones, or
            three
        :raises errors.QuickstartError: if a step fails; then the started
            processes are stopped again
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
        """Start the servers in parallel."""
        store = [process.name for process in self._missing
                 if process.name in (*ceph.NAMES, *swift.NAMES)]
        servers = [process for process in self._missing
                   if process.name in self._programs.urls]
        if store or servers:
            with self._tell.step('starting ' + ', '.join(
                    [*store, *(process.name for process in servers)])):
                self._run.together(
                    functools.partial(self._serve_store, store),
                    *(functools.partial(self._serve, process)
                      for process in servers))
        self._settings.save(self._where)

    def _serve_store(self, names: list[str]) -> None:
        if set(ceph.NAMES) & set(names):
            self._programs.ceph.start(names)
            self._tell.say('Ceph is up')
        if set(swift.NAMES) & set(names):
            self._programs.swift.start(names)
            self._tell.say('Swift is up')
        self._store_serves.set()

    def _serve(self, process: daemons.Daemon) -> None:
        settings = self._settings
        self._programs.prepare_database(process.name, self._run)
        if process.name == 'freezer-api':
            self._await_accounts()
        while process.name == 'cinder' and not self._store_serves.is_set():
            self._run.pause(0.1)
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
        """Wait until Keystone has the service accounts.

        The API checks its own account at its start, and ends if Keystone
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
        """Create the missing projects and volumes."""
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
                f'creating {names}; volumes in each: {settings.volumes}'):
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

        :returns: the process, its log and the previous size of the log
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
        """Wait until the scheduler accepts work.

        The API may have the client of an earlier start, so the log is also
        checked.
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
    """Return the part of a log after a number of bytes."""
    try:
        with log.open('rb') as file:
            file.seek(before)
            return file.read()
    except FileNotFoundError:
        return b''

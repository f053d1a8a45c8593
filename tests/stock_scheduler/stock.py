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

"""A stock scheduler: the release on PyPI, in an environment of its own.

It is made once, beside those of the quickstart, and used again.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
import pathlib
import shutil
import subprocess
from typing import IO

from tools.cloud import cloud
from tools.cloud import commands
from tools.cloud import config
from tools.cloud import credentials
from tools.cloud import environments
from tools.cloud import layout
from tools.cloud import progress


def environment() -> environments.Environment:
    """Return the environment, made if need be.

    :raises tools.cloud.errors.QuickstartError: pip failed
    """
    home = environments.default_home()
    home.mkdir(parents=True, exist_ok=True)
    made = environments.Environments(home).stock
    made.make(commands.Commands(), progress.Progress(None))
    return made


class StockScheduler:
    """One scheduler of a cloud, in a directory of its own.

    :param made: the cloud
    :param home: the directory, for its configuration, files and logs
    :param account: a name of clouds.yaml
    :param options: groups and options of its configuration file
    """

    def __init__(self, made: cloud.Cloud, home: pathlib.Path, account: str,
                 options: config.Options) -> None:
        self._python = environment()
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        for folder in ('tmp', 'jobs', 'bin'):
            home.joinpath(folder).mkdir(parents=True)
        agent = home / 'bin/freezer-agent'
        agent.write_text(
            f"#!/bin/sh\nwhile [ -e '{self._held}' ]; do sleep 0.2; done\n"
            f"exec '{self._python.script('freezer-agent')}' \"$@\"\n")
        agent.chmod(0o755)
        variables = credentials.variables(
            made.account(account), made.settings.auth_url)
        options['scheduler'] = {
            'interval': 1, 'no_daemon': True, 'concurrent_jobs': 4,
            'jobs_dir': home / 'jobs', **options['scheduler']}
        options['service_auth'] = {
            name.lower(): value for name, value in variables.items()
            if name != 'OS_IDENTITY_API_VERSION'}
        layout.write_private(home / 'scheduler.conf', config.render(options))
        self._env = commands.clean_environment(
            OS_IDENTITY_API_VERSION='3', HOME=str(home),
            TMPDIR=str(home / 'tmp'),
            FREEZER_SCHEDULER_CONF_D=str(home / 'jobs'),
            PATH=f'{home}/bin:{self._python.venv}/bin:{os.environ["PATH"]}')

    @property
    def _held(self) -> pathlib.Path:
        return self._home / 'held'

    @contextlib.contextmanager
    def agents_held(self) -> Iterator[None]:
        """Have agents that are started begin their work only afterwards."""
        self._held.touch()
        try:
            yield
        finally:
            self._held.unlink()

    @property
    def log(self) -> pathlib.Path:
        return self._home / 'scheduler.log'

    def start(self) -> None:
        """Start it; it registers and polls from then on."""
        self._log = self.log.open('ab')
        self._process = subprocess.Popen(
            [self._python.script('freezer-scheduler'), '--config-file',
             str(self._home / 'scheduler.conf'),
             '--scheduler-no-daemon', 'start'],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            cwd=self._home, env=self._env, start_new_session=True)

    def stop(self) -> None:
        """End it and what it started, and forget its files."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._log is not None:
            self._log.close()
        shutil.rmtree(self._home / 'jobs', ignore_errors=True)

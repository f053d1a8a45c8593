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

"""Published releases of freezer-api, to make databases with and to use them.

They share one environment, with libraries that all of them run on; beside it
each but the newest has a folder with its own sources, and in it what only it
runs on. Environment and folders are made once, with those of the quickstart.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil
import subprocess
from typing import Any

from tools.cloud import commands
from tools.cloud import environments
from tools.cloud import locks
from tools.cloud import progress

_HERE = pathlib.Path(__file__).resolve().parent

NEWEST = '19.0.0'

# What the releases up to 15.0.0 make their tables with, and the last ones that
# it goes with.
_LEGACY = ('alembic==1.14.1', 'oslo.db==8.6.0', 'setuptools==80.9.0',
           'six==1.17.0', 'SQLAlchemy==1.3.24',
           'sqlalchemy-migrate==0.13.0', 'sqlparse==0.6.1', 'Tempita==0.6.0')


class Environment(environments.Environment):
    """The newest release, and what all of them need."""

    @property
    def constraints(self) -> pathlib.Path:
        return _HERE / 'constraints.txt'


@dataclasses.dataclass(frozen=True)
class Release:
    """One release.

    :ivar version: as on PyPI
    """

    version: str
    home: pathlib.Path = dataclasses.field(
        default_factory=environments.default_home)

    @property
    def environment(self) -> Environment:
        return Environment('upstream', self.home, (
            f'freezer-api=={NEWEST}', 'oslo.db', 'PyMySQL', 'setuptools'))

    @property
    def sources(self) -> pathlib.Path | None:
        """The folder of the release, None for the environment's own."""
        if self.version == NEWEST:
            return None
        return self.home / f'freezer-api-{self.version}'

    def make(self) -> None:
        """Install what is not there.

        :raises tools.cloud.errors.QuickstartError: pip failed
        """
        run, tell = commands.Commands(), progress.Progress()
        self.home.mkdir(parents=True, exist_ok=True)
        self.environment.make(run, tell)
        if self.sources is None or self.sources.exists():
            return
        with locks.held(self.home / 'freezer-api.lock', run, tell):
            if self.sources.exists():
                return
            part = self.sources.with_suffix('.part')
            shutil.rmtree(part, ignore_errors=True)
            self.environment.install(
                run, '--no-deps', '--target', str(part),
                f'freezer-api=={self.version}',
                *(_LEGACY if int(self.version.split('.')[0]) <= 15 else ()))
            part.rename(self.sources)

    def deployment(self, url: str, **options: Any) -> dict[str, Any]:
        """Have the release make a database, and return what it says of it.

        :param options: ``sync`` and ``fill``: whether it makes tables and
            rows. ``service``, ``who`` and ``jobs`` instead: who registers a
            central client and what a user makes of it, with ``more`` of the
            configuration to reach Keystone with
        :raises AssertionError: it failed
        """
        return self.run('deployment.py', stdin={'url': url, **options})

    def run(self, program: str, *arguments: str,
            stdin: Any = None) -> dict[str, Any]:
        """Run a program of ``inside`` and return what it says.

        :raises AssertionError: it failed
        """
        self.make()
        more = {} if self.sources is None else {
            'PYTHONPATH': str(self.sources)}
        done = subprocess.run(
            [self.environment.python, str(_HERE / 'inside' / program),
             *arguments], input=json.dumps(stdin), text=True,
            capture_output=True, check=False,
            env=commands.clean_environment(PYTHONWARNINGS='ignore', **more))
        if done.returncode:
            raise AssertionError(
                f'freezer-api {self.version}: {done.stderr[-3000:]}')
        made: dict[str, Any] = json.loads(done.stdout)
        return made

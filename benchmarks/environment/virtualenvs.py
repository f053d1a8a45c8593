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

"""The virtual environments that both sides run from.

Each is created once, beside those of the quickstart, and used again.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import sys

from tools.cloud import commands
from tools.cloud import environments
from tools.cloud import progress

_HERE = pathlib.Path(__file__).resolve().parent

#: The same web server and the same driver of the database for both sides.
_COMMON = ('pyuwsgi==2.0.30.post1', 'PyMySQL==1.2.4')


@dataclasses.dataclass(frozen=True)
class _Upstream(environments.Environment):
    """Release 19.0.0, with pins of its own."""

    pins: pathlib.Path = dataclasses.field(kw_only=True)

    @property
    def constraints(self) -> pathlib.Path:
        return self.pins


@dataclasses.dataclass(frozen=True)
class _Ours(environments.Environment):
    """A web server and drivers, on top of the quickstart's environment."""

    @property
    def service(self) -> environments.Environment:
        return environments.Environments(self.home).service

    @property
    def constraints(self) -> pathlib.Path:
        return self.service.constraints

    def script(self, name: str) -> str:
        own = super().script(name)
        return own if os.path.exists(own) else self.service.script(name)

    def make(self, run: commands.Commands,
             tell: progress.Progress) -> None:
        self.service.make(run, tell)
        super().make(run, tell)
        (_packages(self) / 'service.pth').write_text(
            f'{_packages(self.service)}\n')


def _packages(env: environments.Environment) -> pathlib.Path:
    major, minor = sys.version_info[:2]
    return env.venv / f'lib/python{major}.{minor}/site-packages'


def ours() -> environments.Environment:
    """Return the environment of this project."""
    return _Ours('bench', environments.default_home(),
                 (*_COMMON, 'psycopg[binary]==3.3.9'))


def upstream_api() -> environments.Environment:
    """Return the environment of the API of 19.0.0."""
    return _Upstream('bench-upstream', environments.default_home(),
                     (*_COMMON, 'setuptools', 'freezer-api==19.0.0'),
                     pins=_HERE / 'constraints-upstream.txt')


def upstream() -> environments.Environment:
    """Return the environment of the scheduler and the agent of 19.0.0."""
    return _Upstream('stock-redis', environments.default_home(), (
        'freezer==19.0.0', 'python-freezerclient==6.5.0', 'redis==8.1.0',
        'setuptools'), pins=environments.HERE / 'constraints-stock.txt')


def create(wanted: environments.Environment,
           tell: progress.Progress) -> environments.Environment:
    """Create an environment unless it exists, and return it.

    :raises tools.cloud.errors.QuickstartError: pip failed
    """
    wanted.home.mkdir(parents=True, exist_ok=True)
    wanted.make(commands.Commands(), tell)
    return wanted

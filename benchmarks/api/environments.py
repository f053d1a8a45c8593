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

"""The environments that the two sides are served from.

Each is made once, beside those of the quickstart, and used again.
"""

import dataclasses
import os
import pathlib
import sys

from tools.cloud import commands
from tools.cloud import environments
from tools.cloud import progress

_HERE = pathlib.Path(__file__).resolve().parent

#: The same server and the same driver of the database for both.
_COMMON = ('pyuwsgi==2.0.30.post1', 'PyMySQL==1.2.4')
_POSTGRESQL = 'psycopg[binary]==3.3.9'


class UpstreamEnvironment(environments.Environment):
    """Release 19.0.0 of the API, with pins of its own."""

    @property
    def constraints(self) -> pathlib.Path:
        return _HERE / 'constraints-upstream.txt'


@dataclasses.dataclass(frozen=True)
class OwnEnvironment(environments.Environment):
    """A server beside what the quickstart runs this checkout's API from.

    :ivar service: the quickstart's environment
    """

    service: environments.Environment = dataclasses.field(kw_only=True)

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


@dataclasses.dataclass(frozen=True)
class Environments:
    """The environments of both sides.

    :ivar home: their folder
    """

    home: pathlib.Path

    @property
    def ours(self) -> environments.Environment:
        return OwnEnvironment(
            'bench', self.home, (*_COMMON, _POSTGRESQL),
            service=environments.Environments(self.home).service)

    @property
    def upstream(self) -> environments.Environment:
        return UpstreamEnvironment(
            'bench-upstream', self.home,
            (*_COMMON, 'setuptools', 'freezer-api==19.0.0'))


def make(wanted: environments.Environment,
         tell: progress.Progress) -> environments.Environment:
    """Make an environment unless it is there, and hand it back.

    :raises tools.cloud.errors.QuickstartError: pip failed
    """
    wanted.home.mkdir(parents=True, exist_ok=True)
    wanted.make(commands.Commands(), tell)
    return wanted

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

"""The command line: ``benchmarks/hostile_tenant/run``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import dataclasses
import pathlib

from benchmarks.scale import options as scale_options
from tools.cloud import environments


@dataclasses.dataclass(frozen=True)
class Options:
    """How long and how much.

    :ivar minutes: for which our side is attacked
    :ivar upstream_minutes: for which 19.0.0 is; 0 leaves it out
    :ivar clients: of the hostile tenant, each with one request at a time
    :ivar strangers: connections without a token
    :ivar jobs: of each neighbour
    """

    engine: str
    minutes: float
    upstream_minutes: float
    seed: int
    clients: int
    strangers: int
    jobs: int
    home: pathlib.Path
    state: pathlib.Path | None
    output: pathlib.Path | None

    def environment(self) -> scale_options.Options:
        """Return the options of the environment that is measured in."""
        return scale_options.read([
            '--engines', self.engine, '--workers', '4',
            '--home', str(self.home),
            *(() if self.upstream_minutes else ('--ours-only',))])


def read(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line, or arguments like those on one."""
    made = argparse.ArgumentParser(
        prog='benchmarks/hostile_tenant/run',
        description='Attack the API as one tenant and as strangers, and '
                    'measure what the other tenants notice.')
    made.add_argument('--engine', choices=scale_options.ENGINES,
                      default='mariadb', help='database (%(default)s)')
    made.add_argument('--minutes', type=float, default=60,
                      help='of attack on our side (%(default)s)')
    made.add_argument('--upstream-minutes', type=float, default=10,
                      help='of attack on 19.0.0, 0 for none (%(default)s)')
    made.add_argument('--seed', type=int, default=1,
                      help='of the attack (%(default)s)')
    made.add_argument('--clients', type=int, default=4,
                      help='of the hostile tenant (%(default)s)')
    made.add_argument('--strangers', type=int, default=40,
                      help='connections without a token (%(default)s)')
    made.add_argument('--jobs', type=int, default=3,
                      help='of each neighbour (%(default)s)')
    made.add_argument('--home', type=pathlib.Path,
                      default=environments.default_home(),
                      help='folder of the environments (%(default)s)')
    made.add_argument('--state', type=pathlib.Path,
                      help='directory to work in, kept for its logs')
    made.add_argument('--output', type=pathlib.Path,
                      help='file to write to, without .json and .txt')
    return Options(**vars(made.parse_args(arguments)))

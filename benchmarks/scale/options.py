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

"""The command line: ``benchmarks/scale/run``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import pathlib

from benchmarks.api import measure
from benchmarks.fire import options as fire_options
from benchmarks.scale import stages
from tools.cloud import environments

PROJECTS = 10
ENGINES = ('sqlite', 'mariadb', 'postgresql')
SIZES = (1_000, 10_000, 100_000)


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured, and how long that may take.

    :ivar sizes: numbers of jobs, ascending
    :ivar projects: that have a user and a trust of their own. The jobs of
        the others are copies of theirs.
    :ivar upstream_most: jobs at upstream's side; beyond them it is left out
    :ivar servers: URLs by engine
    :ivar window: seconds for which something is watched
    :ivar patience: seconds after which something of upstream's that goes on
        is given up, and reckoned from how far it came
    :ivar effort: how long single requests are measured
    :ivar workers: processes of each API
    :ivar home: folder of the environments
    :ivar state: directory to work in that is kept
    :ivar output: file to write to, without suffix
    :ivar plots: folder for the plots
    """

    stages: Sequence[str]
    engines: Sequence[str]
    sizes: Sequence[int]
    projects: int
    ours_only: bool
    upstream_most: int
    servers: Mapping[str, str]
    window: float
    patience: float
    effort: measure.Effort
    workers: int
    home: pathlib.Path
    state: pathlib.Path | None
    output: pathlib.Path | None
    plots: pathlib.Path | None


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog='benchmarks/scale/run',
        description='Measure what one scheduler for all projects takes, and '
                    'what Freezer 19.0.0 does beside it, on a real Keystone '
                    'and the same database server.')
    made.add_argument('--stages', type=_Names(stages.NAMES),
                      default=stages.NAMES, metavar='NAME,...',
                      help=f'of {", ".join(stages.NAMES)}; all by default')
    made.add_argument('--engines', type=_Names(ENGINES),
                      default=('mariadb',), metavar='NAME,...',
                      help=f'of {", ".join(ENGINES)}; mariadb by default')
    made.add_argument('--most', type=int, default=SIZES[-1], metavar='JOBS',
                      help='leave out larger numbers of jobs')
    made.add_argument('--trusts', type=int, metavar='JOBS',
                      help='so many jobs instead, each with a project, a '
                           'user and a trust of its own; 19.0.0 is left out')
    made.add_argument('--upstream-most', type=int, default=SIZES[1],
                      metavar='JOBS',
                      help='leave 19.0.0 out beyond them (%(default)s)')
    made.add_argument('--ours-only', action='store_true',
                      help='leave 19.0.0 out')
    made.add_argument('--quick', action='store_true',
                      help='100 jobs and short windows: to see that it '
                           'works')
    made.add_argument('--window', type=float, default=60, metavar='SECONDS',
                      help='for which something idle is watched')
    made.add_argument('--patience', type=float, default=600,
                      metavar='SECONDS',
                      help='after which 19.0.0 is given up on, and what it '
                           'takes is reckoned from how far it came')
    made.add_argument('--workers', type=int, default=2,
                      help='processes of each API')
    for name, url in fire_options.SERVERS.items():
        made.add_argument(f'--{name}', metavar='URL', default=url,
                          help='its server (%(default)s)')
    made.add_argument('--home', type=pathlib.Path,
                      default=environments.default_home(),
                      help='folder of the environments (%(default)s)')
    made.add_argument('--state', type=pathlib.Path,
                      help='directory to work in, kept for its logs')
    made.add_argument('--output', type=pathlib.Path,
                      help='file to write to, without .json and .txt')
    made.add_argument('--plots', type=pathlib.Path,
                      help='folder for the plots')
    return made


class _Names:
    """What reads a list of some of the names, and keeps their order."""

    def __init__(self, known: Sequence[str]) -> None:
        self._known = known

    def __call__(self, text: str) -> tuple[str, ...]:
        given = text.split(',')
        unknown = sorted(set(given) - set(self._known))
        if unknown:
            raise argparse.ArgumentTypeError(
                f'{", ".join(unknown)}: not of {", ".join(self._known)}')
        return tuple(name for name in self._known if name in given)


def read(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line, or arguments like those on one."""
    made = _parser()
    chosen = made.parse_args(arguments)
    if chosen.state is not None and chosen.state.exists():
        made.error(f'--state {chosen.state}: is there already')
    sizes = (100,) if chosen.quick else tuple(
        jobs for jobs in SIZES if jobs <= chosen.most)
    if chosen.trusts:
        sizes = (chosen.trusts,)
    if not sizes:
        made.error(f'--most {chosen.most}: the fewest are {SIZES[0]}')
    return Options(
        stages=chosen.stages, engines=chosen.engines, sizes=sizes,
        projects=chosen.trusts or PROJECTS,
        ours_only=chosen.ours_only or bool(chosen.trusts),
        upstream_most=chosen.upstream_most,
        servers={name: getattr(chosen, name)
                 for name in fire_options.SERVERS},
        window=10 if chosen.quick else chosen.window,
        patience=min(chosen.patience, 60) if chosen.quick
        else chosen.patience,
        effort=(measure.Effort(1, 0.2, 5) if chosen.quick
                else measure.Effort()),
        workers=chosen.workers, home=chosen.home, state=chosen.state,
        output=chosen.output, plots=chosen.plots)

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

"""``python -m benchmarks STAGE [OPTIONS]``: run a stage, report what it found.

A stage is a module of :mod:`benchmarks.stages`, or an object of its module
``due_jobs``, with two functions::

    def add_options(parser: argparse.ArgumentParser) -> None: ...

    def run(chosen: argparse.Namespace, home: pathlib.Path,
            tell: progress.Progress) -> Iterator[report.Item]: ...

Its docstring is its help. ``run`` yields items as they are found, and works in
the empty folder ``home``.
"""

from __future__ import annotations

import argparse
from collections.abc import Generator
from collections.abc import Sequence
import contextlib
import importlib
import json
import os
import pathlib
import platform
import signal
import sys
import tempfile
import time
from typing import Any
from typing import Protocol

from benchmarks.environment import virtualenvs
from benchmarks import report
from tools.cloud import errors
from tools.cloud import progress

_ROOT = pathlib.Path(__file__).resolve().parents[1]

_DUE_JOBS = ('burst', 'lateness', 'noisy_neighbour', 'scale_out')

#: Stages that start services from virtual environments, which are created at
#: first use.
SERVED = ('api', 'start', 'idle', 'throughput', *_DUE_JOBS, 'concurrency',
          'chaos', 'soak', 'outage', 'hostile_tenant')

#: Stages with the API in their own process. They use fixtures of the tests,
#: and run in the environment of these.
IN_PROCESS = ('fairness', 'query_plans', 'schedules', 'simulation', 'upgrade',
              'galera')


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a stage in the environment that it needs.

    :returns: the exit status, see :func:`run`
    """
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks', epilog='STAGE --help describes a stage.',
        description='Measure this project, beside Freezer 19.0.0 where that '
                    'does the same.')
    parser.add_argument('stage', choices=(*SERVED, *IN_PROCESS),
                        metavar='STAGE',
                        help=f'one of {", ".join((*SERVED, *IN_PROCESS))}')
    parser.add_argument('options', nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    if given.stage in SERVED:
        needed = virtualenvs.ours()
        if pathlib.Path(sys.prefix) != needed.venv:
            virtualenvs.create(needed, progress.Progress())
            os.execve(needed.python, [  # noqa: S606
                needed.python, '-m', 'benchmarks', given.stage,
                *given.options], {**os.environ, 'PYTHONPATH': str(_ROOT)})
    return run(given.stage, given.options)


class Stage(Protocol):
    """A stage, see above."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of this stage alone."""

    def run(self, chosen: argparse.Namespace, home: pathlib.Path,
            tell: progress.Progress) -> Generator[report.Item]:
        """Yield items as they are found."""


def load(name: str) -> Stage:
    """Return the stage of a name."""
    due = name in _DUE_JOBS
    module: Any = importlib.import_module(
        f'benchmarks.stages.{"due_jobs" if due else name}')
    found: Stage = getattr(module, name) if due else module
    return found


def read(name: str, arguments: Sequence[str]) -> argparse.Namespace:
    """Read the options of a stage."""
    stage = load(name)
    parser = argparse.ArgumentParser(
        prog=f'python -m benchmarks {name}', description=stage.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--quick', action='store_true',
                        help='little of everything, to see that it works: '
                             'the figures mean little')
    parser.add_argument('--output', type=pathlib.Path, metavar='FILE',
                        help='write the report to FILE.txt and FILE.json')
    parser.add_argument('--state', type=pathlib.Path, metavar='FOLDER',
                        help='work in this new folder, and keep it')
    stage.add_options(parser)
    chosen = parser.parse_args(arguments)
    if chosen.state is not None and chosen.state.exists():
        parser.error(f'--state {chosen.state} exists')
    return chosen


def run(name: str, arguments: Sequence[str]) -> int:
    """Run a stage in this process; print its report.

    :returns: the exit status: 1 where an invariant is broken, a required aim
        is missed or the stage ended early
    """
    chosen, stage = read(name, arguments), load(name)
    tell = progress.Progress()
    # Any end of this program but kill -9 ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    title = (stage.__doc__ or name).partition('\n')[0].rstrip('.')
    found = report.Report(title, {}, [], (os.getloadavg()[0], 0), 0)
    with contextlib.ExitStack() as stack:
        # Without blanks: 19.0.0 splits its commands at them.
        home = (chosen.state or pathlib.Path(stack.enter_context(
            tempfile.TemporaryDirectory(prefix=f'freezer-{name}-')))
            ).resolve()
        home.mkdir(parents=True, exist_ok=True)
        items = stack.enter_context(contextlib.closing(
            stage.run(chosen, home, tell)))
        began = time.monotonic()
        try:
            for item in items:
                found.items.append(item)
                if isinstance(item, report.Figure):
                    tell.say(f'  {item}')
                _finish(found, began, chosen)
        except (errors.QuickstartError, OSError) as error:
            found.error = str(error)
            if chosen.state is None:
                tell.say('--state FOLDER keeps the logs')
    _finish(found, began, chosen)
    print(found)
    return 1 if found.failed else 0


def _finish(found: report.Report, began: float,
            chosen: argparse.Namespace) -> None:
    """Write down what there is: a stage takes long, and may be cut off."""
    found.machine = machine(chosen)
    found.load = found.load[0], os.getloadavg()[0]
    found.seconds = time.monotonic() - began
    if chosen.output is not None:
        chosen.output.with_suffix('.txt').write_text(f'{found}\n')
        chosen.output.with_suffix('.json').write_text(found.to_json())


def machine(chosen: argparse.Namespace) -> dict[str, str]:
    """Return what a stage runs on, and with which options."""
    cpu = next(
        (line.partition(':')[2].strip() for line in pathlib.Path(
            '/proc/cpuinfo').read_text().splitlines()
         if line.startswith('model name')), platform.machine())
    options = {name: value for name, value in vars(chosen).items()
               if name not in ('output', 'state', 'server', 'copy_to')
               and value not in (None, False)}
    return {
        'Machine': f'{os.cpu_count()} cores, {cpu}, {platform.release()}, '
                   f'Python {platform.python_version()}',
        'Options': json.dumps(options, default=str)}

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

"""One measurement from its beginning to its report."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import os
import pathlib
import signal
import sys
import tempfile
import time

from benchmarks.api import load
from benchmarks.api import sides
from benchmarks import machine
from benchmarks.scale import figure
from benchmarks.scale import options
from benchmarks.scale import plots
from benchmarks.scale import report
from benchmarks.scale import scene
from benchmarks.scale import stage
from tools.cloud import errors
from tools.cloud import progress


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write down, and print.

    :returns: the exit status: 0 also where an aim is missed, 1 where
        something could not be measured
    """
    chosen = options.read(arguments)
    tell = progress.Progress()
    # What was started is ended by any end of this but kill -9.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.ExitStack() as stack:
        # Without blanks: 19.0.0 takes its commands apart at them.
        home = (chosen.state or pathlib.Path(stack.enter_context(
            tempfile.TemporaryDirectory(prefix='freezer-scale-')))).resolve()
        home.mkdir(parents=True, exist_ok=True)
        parts: list[report.Part] = []
        try:
            for part in _parts(chosen, home, tell):
                parts.append(part)
                _keep(chosen, report.Report(_machine(chosen), parts,
                                            tell.seconds))
        except (errors.QuickstartError, load.Refused, OSError) as error:
            print(f'benchmarks/scale/run: {error}', file=sys.stderr)
            if chosen.state is None:
                print('--state keeps the logs', file=sys.stderr)
            return 1
    found = report.Report(_machine(chosen), parts, tell.seconds)
    print(report.render(found))
    return 1 if any(part.failed for part in parts) else 0


def _parts(chosen: options.Options, home: pathlib.Path,
           tell: progress.Progress) -> Iterator[report.Part]:
    # All of them now: nobody is to change the program while it measures.
    for name in chosen.stages:
        stage.load(name)
    with scene.keystone(home / 'cloud', chosen, tell) as made:
        for engine in chosen.engines:
            with scene.scene(made, engine, chosen, home / engine,
                             tell) as stands:
                for jobs in chosen.sizes:
                    yield from _at(stands, jobs, chosen, tell)


def _at(stands: scene.Scene, jobs: int, chosen: options.Options,
        tell: progress.Progress) -> Iterator[report.Part]:
    """Measure with one number of jobs."""
    with tell.step(f'{stands.engine}: filling up to {jobs} jobs'):
        stands.ours.world.grow(jobs)
        if stands.upstream is not None and jobs <= chosen.upstream_most:
            stands.upstream.world.grow(jobs)
    for name in chosen.stages:
        module = stage.load(name)
        before, began = os.getloadavg()[0], time.monotonic()
        figures, failed = [], ''
        with tell.step(f'{stands.engine}, {jobs} jobs: {module.TITLE}'):
            try:
                for one in module.measure(stands, chosen, tell):
                    figures.append(one)
                    _tell(one, tell)
            except (errors.QuickstartError, load.Refused) as error:
                # The other stages have something to say, too.
                failed = str(error)
                tell.say(failed)
        stands.found.extend(figures)
        yield report.Part(
            name, module.TITLE, stands.engine, jobs,
            (before, os.getloadavg()[0]), time.monotonic() - began, figures,
            failed)
    for deployed in (stands.ours, stands.upstream):
        if deployed is not None:
            deployed.stop()


def _tell(one: figure.Figure, tell: progress.Progress) -> None:
    tell.say(f'  {one.name}, {one.side}: {report.number(one.value)} '
             f'{one.unit} {one.note}'.rstrip())


def _keep(chosen: options.Options, found: report.Report) -> None:
    """Write down what there is: it takes long, and may be cut off."""
    if chosen.output is not None:
        chosen.output.with_suffix('.json').write_text(found.to_json())
        chosen.output.with_suffix('.txt').write_text(
            report.render(found) + '\n')
    if chosen.plots is not None:
        plots.draw(found.parts, chosen.plots)


def _machine(chosen: options.Options) -> dict[str, str]:
    return {
        **machine.described(),
        'API': f'uWSGI, {chosen.workers} processes of {sides.THREADS} '
               'threads, http-socket, a connection for each request',
        'Projects': (
            f'a tenth of the jobs; {chosen.projects} of them with users and '
            'trusts, the others copies of them'
            if chosen.projects < chosen.sizes[0] else
            'one for each job, with a user and a trust of its own'),
    }

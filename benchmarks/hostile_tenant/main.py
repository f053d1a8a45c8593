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

"""Attack both products, one after the other, and tell what came out."""

from __future__ import annotations

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
from benchmarks.hostile_tenant import options
from benchmarks.hostile_tenant import trial
from benchmarks import machine
from benchmarks.scale import figure
from benchmarks.scale import report
from benchmarks.scale import scene
from tools.cloud import errors
from tools.cloud import progress

_TITLE = 'a hostile tenant, and what its neighbours notice'


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write down, and print.

    :returns: the exit status: 0 where all aims are met
    """
    chosen = options.read(arguments)
    tell = progress.Progress()
    # Any end of this program but kill -9 ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.ExitStack() as stack:
        home = (chosen.state or pathlib.Path(stack.enter_context(
            tempfile.TemporaryDirectory(prefix='freezer-hostile-')))
            ).resolve()
        home.mkdir(parents=True, exist_ok=True)
        try:
            part = _measure(chosen, home, tell)
        except (errors.QuickstartError, load.Refused, OSError) as error:
            print(f'benchmarks/hostile_tenant/run: {error}', file=sys.stderr)
            return 2
    found = report.Report(
        {**machine.described(),
         'Attack': f'{chosen.minutes:g} minutes, seed {chosen.seed}, '
                   f'{chosen.clients} clients, {chosen.strangers} '
                   'connections without a token; '
                   f'{chosen.upstream_minutes:g} minutes on 19.0.0, without '
                   'these connections'},
        [part], tell.seconds)
    if chosen.output is not None:
        chosen.output.with_suffix('.json').write_text(found.to_json())
        chosen.output.with_suffix('.txt').write_text(
            report.render(found) + '\n')
    print(report.render(found))
    return 0 if all(one.aim is None or one.aim.met(one.value)
                    for one in part.figures
                    if one.side == figure.OURS) else 1


def _measure(chosen: options.Options, home: pathlib.Path,
             tell: progress.Progress) -> report.Part:
    environment = chosen.environment()
    before, began = os.getloadavg()[0], time.monotonic()
    figures: list[figure.Figure] = []
    with (scene.keystone(home / 'cloud', environment, tell) as made,
          scene.scene(made, chosen.engine, environment, home / 'scene',
                      tell, sides.ShippedSide) as stands):
        for one, minutes in ((stands.ours, chosen.minutes),
                             (stands.upstream, chosen.upstream_minutes)):
            if one is None or not minutes:
                continue
            with tell.step(f'{one.name}: {minutes:g} minutes of attack'):
                found = trial.run(stands, one, chosen, minutes, tell)
            for line in found.failed[:20]:
                tell.say(f'  failed: {line}')
            for name, answered in found.attack.items():
                tell.say(f'  {name}: {answered}')
            figures += trial.figures(stands, one.name, found)
        return report.Part(
            'hostile_tenant', _TITLE, chosen.engine, stands.ours.jobs,
            (before, os.getloadavg()[0]), time.monotonic() - began, figures)

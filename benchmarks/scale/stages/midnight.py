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

"""All jobs are due in one second.

First Cinder ends each backup at once, and a scheduler has a place for each
run. Then Cinder makes 15 at one time, as it does by default, and a scheduler
has its defaults.
"""

from __future__ import annotations

from collections.abc import Iterator
import os

from benchmarks.scale import figure
from benchmarks.scale import flow
from benchmarks.scale import options
from benchmarks.scale import scene as scenes
from benchmarks.scale.stages import throughput
from tools.cloud import progress

TITLE = 'midnight: all jobs are due in one second'
DRAWN = ()

_MOST = 10_000
_FEW = 500
_AIMS = {'until the last is claimed': figure.Aim(10),
         'calls of the API for each run': figure.Aim(3),
         'logins for each run': figure.Aim(1)}
#: CPU seconds and MiB of an agent of 19.0.0, which it starts for each run,
#: as found before on two cores, and its requests.
_AGENT_CPU, _AGENT_MEMORY = 2.1, 98
_AGENT_CALLS, _AGENT_LOGINS = 6, 8


def measure(scene: scenes.Scene, chosen: options.Options,
            tell: progress.Progress) -> Iterator[figure.Figure]:
    count = min(_MOST, chosen.sizes[-1])
    if scene.ours.jobs != count:
        return
    with flow.cinder(scene, flow.FAST) as cinder:
        fast = flow.watch(scene.ours, cinder, count, 0, chosen.patience,
                          max_in_flight=_MOST, claim_batch=500)
        yield from flow.told(scene, fast, 'fast Cinder', _AIMS)
    yield from _beside(scene, len(fast.submitted) / max(fast.submitted))
    few = min(_FEW, count)
    with flow.cinder(scene, 1, at_once=15) as cinder:
        slow = flow.watch(scene.ours, cinder, few, 0, chosen.patience)
        yield from flow.told(
            scene, slow, f'15 backups a second, {few} runs', {})


def _beside(scene: scenes.Scene, rate: float) -> Iterator[figure.Figure]:
    """Compare with what 19.0.0 ran, or with what its agents alone would."""
    rates = [one for one in scene.found if one.side == figure.UPSTREAM
             and one.name.endswith(f': {throughput.RATE}')]
    if rates:
        ran = max(rates, key=lambda one: one.value)
        note = f'run with {ran.jobs:,} jobs: {ran.note}'
        yield scene.figure('fast Cinder: requests for backups a second',
                           figure.UPSTREAM, ran.value / 60, '', note=note)
        yield scene.figure(
            'fast Cinder: times as many as 19.0.0', figure.OURS,
            rate / (ran.value / 60), '', figure.Aim(100, least=True), note)
        return
    most = (os.cpu_count() or 1) / _AGENT_CPU
    note = 'reckoned from what an agent took before, on two cores'
    for name, value, unit in (
            ('requests for backups a second', most, ''),
            ('CPU of the schedulers for each run', 1000 * _AGENT_CPU, 'ms'),
            ('calls of the API for each run', _AGENT_CALLS, ''),
            ('logins for each run', _AGENT_LOGINS, ''),
            ('memory of an agent', _AGENT_MEMORY, 'MiB')):
        yield scene.figure(f'fast Cinder: {name}', figure.KNOWN, value, unit,
                           note=note)
    yield scene.figure('fast Cinder: times as many as with agents',
                       figure.OURS, rate / most, '',
                       figure.Aim(100, least=True), note)

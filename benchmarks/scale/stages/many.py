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

"""The same work for several schedulers, and for several processes of the API.

Cinder ends each backup at once, and there is a place for each run. The
database, Keystone and Cinder share the machine with them.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.scale import figure
from benchmarks.scale import flow
from benchmarks.scale import options
from benchmarks.scale import scene as scenes
from tools.cloud import progress

TITLE = 'many: more schedulers, more processes of the API'
DRAWN = ()

_COUNT = 1_000
_TEAMS = ((1, 1), (1, 2), (1, 4), (2, 2), (4, 2), (4, 4))


def measure(scene: scenes.Scene, chosen: options.Options,
            tell: progress.Progress) -> Iterator[figure.Figure]:
    if scene.ours.jobs != chosen.sizes[-1]:
        return
    count = min(_COUNT, scene.ours.jobs)
    side = scene.ours.world.side
    try:
        for schedulers, workers in _TEAMS:
            side.resize(workers)
            with flow.cinder(scene, flow.FAST) as cinder:
                found = flow.watch(
                    scene.ours, cinder, count, 0, chosen.patience,
                    schedulers, max_in_flight=count, claim_batch=100)
            for name, value, unit in (
                    ('backups a second',
                     len(found.submitted) / max(found.submitted), ''),
                    ('until the last is claimed', max(found.claimed), 's'),
                    ('CPU of all for each run', 1000 * (
                        found.spent.schedulers + found.spent.api) / count,
                     'ms')):
                yield scene.figure(
                    f'{schedulers} schedulers, {workers} processes: {name}',
                    figure.OURS, value, unit, note=f'{count} runs')
    finally:
        side.resize(chosen.workers)

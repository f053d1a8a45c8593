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

"""How late backups are asked for, by how many jobs fire a minute.

Everything is as by default; Cinder ends each backup at once.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.scale import figure
from benchmarks.scale import flow
from benchmarks.scale import options
from benchmarks.scale import scene as scenes
from tools.cloud import progress

TITLE = 'lateness: from a firing to the request for its backup'
DRAWN = ()

_RATES = (1, 100, 1_000)
_SECONDS = 60
_CLAIM_INTERVAL = 5


def measure(scene: scenes.Scene, chosen: options.Options,
            tell: progress.Progress) -> Iterator[figure.Figure]:
    if scene.ours.jobs != chosen.sizes[-1]:
        return
    seconds = min(_SECONDS, int(chosen.window))
    for rate in _RATES:
        # Of one a minute there would be nothing to see in one.
        count = min(max(3, rate * seconds // 60), scene.ours.jobs)
        with flow.cinder(scene, flow.FAST) as cinder:
            found = flow.watch(scene.ours, cinder, count, seconds,
                               chosen.patience)
        note = f'{count} firings within {seconds} s'
        for share, name in ((0.5, 'median'), (0.99, '99th percentile'),
                            (1, 'most')):
            yield scene.figure(
                f'lateness at {rate} a minute, {name}', figure.OURS,
                found.late_at(share), 's',
                figure.Aim(_CLAIM_INTERVAL + 1) if share == 0.99 else None,
                note)

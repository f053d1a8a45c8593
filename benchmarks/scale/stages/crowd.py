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

"""What a crowd of due jobs of a few projects costs the others.

Everything is as by default; Cinder ends each backup at once. Some jobs of
other projects fire one after the other: first alone, then while one project
has all the other jobs due, then while so many projects have that all places
of the scheduler are taken.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.scale import figure
from benchmarks.scale import flow
from benchmarks.scale import options
from benchmarks.scale import scene as scenes
from tools.cloud import progress

TITLE = 'crowd: what the due jobs of a few projects cost the others'
DRAWN = ()

_MOST = 10_000
_OTHERS = 20
_SECONDS = 60
_CLAIM_INTERVAL = 5
#: By default, ten runs of a project go on at one time, and fifty of all.
_PROJECTS = (1, 10)


def measure(scene: scenes.Scene, chosen: options.Options,
            tell: progress.Progress) -> Iterator[figure.Figure]:
    if scene.ours.jobs != min(_MOST, chosen.sizes[-1]):
        return
    jobs = scene.ours.jobs - _OTHERS
    seconds = min(_SECONDS, int(chosen.window))
    yield from _of(scene, chosen, seconds, None, 'alone')
    for projects in _PROJECTS:
        name = (f'beside {jobs:,} due jobs of '
                + (f'{projects} projects' if projects > 1 else 'one project'))
        yield from _of(scene, chosen, seconds, flow.Crowd(jobs, projects),
                       name)


def _of(scene: scenes.Scene, chosen: options.Options, seconds: int,
        crowd: flow.Crowd | None, name: str) -> Iterator[figure.Figure]:
    with flow.cinder(scene, flow.FAST) as cinder:
        found = flow.watch(scene.ours, cinder, _OTHERS, seconds,
                           chosen.patience, crowd=crowd)
    # With free places, nobody waits for more than the next claim.
    aim = (figure.Aim(_CLAIM_INTERVAL + 1)
           if crowd is None or crowd.projects == 1 else None)
    note = f'{_OTHERS} firings within {seconds} s'
    yield scene.figure(f'{name}: others that ended well', figure.OURS,
                       found.ended, '', note=note)
    for share, what in ((0.5, 'median'), (1, 'most')):
        yield scene.figure(f'{name}: lateness of the others, {what}',
                           figure.OURS, found.late_at(share), 's',
                           aim if share == 1 else None, note)

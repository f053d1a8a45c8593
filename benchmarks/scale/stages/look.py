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

"""What it takes to look for what is due, by the number of jobs.

A stock scheduler reads the whole list, ten jobs a page. Ours claims.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.api import load
from benchmarks.api import measure as api_measure
from benchmarks.api import operations
from benchmarks.scale import deployment
from benchmarks.scale import figure
from benchmarks.scale import options
from benchmarks.scale import scene as scenes
from benchmarks.scale import settling
from tools.cloud import progress

TITLE = 'one look for what is due'
DRAWN = ('a look for what is due', 'CPU of the API, a look')

PAGE = 'page of the list'
_LOOK = 'a look for what is due'
_CPU = 'CPU of the API, a look'
_STATEMENTS = 'SQL statements, a look'
#: Of the patience, what one page may take.
_SHARE = 0.1


def measure(scene: scenes.Scene, chosen: options.Options,
            tell: progress.Progress) -> Iterator[figure.Figure]:
    yield from scene.known(PAGE, _LOOK)
    yield from _claims(scene, chosen)
    if scene.upstream is None:
        return
    reckoned = _reckoned(scene)
    if reckoned is not None and (
            scene.upstream.jobs < scene.ours.jobs
            or reckoned.value / 1000 > _SHARE * chosen.patience):
        yield reckoned
        yield _look(scene, reckoned)
    else:
        yield from _pages(scene, chosen)


def _claims(scene: scenes.Scene,
            chosen: options.Options) -> Iterator[figure.Figure]:
    asked = scene.ours.world
    claim = api_measure.in_turn([asked], operations.IDLE,
                                chosen.effort)[figure.OURS]
    yield scene.figure(_LOOK, figure.OURS, claim.p50 / 1000, 's',
                       note='one claim')
    yield scene.figure(_CPU, figure.OURS, _cpu(
        scene.ours, operations.claim(asked, operations.PAGE), 50), 's')
    yield scene.figure(_STATEMENTS, figure.OURS, claim.statements, '')


def _pages(scene: scenes.Scene,
           chosen: options.Options) -> Iterator[figure.Figure]:
    found = api_measure.in_turn(
        [one.world for one in scene.deployments], operations.LIST,
        chosen.effort)
    for side, page in found.items():
        yield scene.figure(PAGE, side, page.p50, 'ms')
        yield scene.figure('SQL statements of a page', side, page.statements,
                           '')
    assert scene.upstream is not None
    theirs, pages = found[figure.UPSTREAM], settling.pages(scene.ours.jobs)
    yield _look(scene, scene.figure(PAGE, figure.UPSTREAM, theirs.p50, 'ms'))
    cpu = _cpu(scene.upstream, operations.page(scene.upstream.world, 0),
               3 if theirs.p50 < 1000 else 1)
    for name, value, unit in ((_CPU, cpu, 's'),
                              (_STATEMENTS, theirs.statements, '')):
        yield scene.figure(name, figure.UPSTREAM, value * pages, unit,
                           note=f'{pages:,} pages, reckoned from one')


def _cpu(one: deployment.Deployment, request: load.Request,
         times: int) -> float:
    """Return the CPU seconds that a request takes at the API."""
    before = one.read()
    for _ in range(times):
        one.world.send(request)
    return one.read().since(before).api / times


def _reckoned(scene: scenes.Scene) -> figure.Figure | None:
    """Return what a page of upstream's may take, from fewer jobs."""
    before = [one for one in scene.found
              if (one.name, one.side) == (PAGE, figure.UPSTREAM)]
    if not before:
        return None
    last = before[-1]
    # Each page of it reads all jobs.
    return scene.figure(
        PAGE, figure.UPSTREAM, last.value * scene.ours.jobs / last.jobs,
        'ms', note=f'not asked for, reckoned from {last.jobs:,} jobs')


def _look(scene: scenes.Scene, page: figure.Figure) -> figure.Figure:
    pages = settling.pages(scene.ours.jobs)
    return scene.figure(_LOOK, page.side, page.value / 1000 * pages, 's',
                        note=f'{pages:,} pages, reckoned from one')

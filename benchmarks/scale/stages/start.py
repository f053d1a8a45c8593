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

"""From the start of a scheduler's process until it can run what is due."""

from __future__ import annotations

from collections.abc import Iterator
import statistics

from benchmarks.scale import deployment
from benchmarks.scale import figure
from benchmarks.scale import options
from benchmarks.scale import scene as scenes
from benchmarks.scale import settling
from benchmarks.scale.stages import look
from tools.cloud import errors
from tools.cloud import progress

TITLE = 'from the start of a scheduler until it can run what is due'
DRAWN = ('until a job can fire',)

_ROUNDS = 3
_UNTIL = 'until a job can fire'
_LIST = 'requests of a tick'
_PAGE, _CHANGE = 'of that, for each page', 'of that, for each change'


def measure(scene: scenes.Scene, chosen: options.Options,
            tell: progress.Progress) -> Iterator[figure.Figure]:
    yield from _ours(scene, chosen)
    if scene.upstream is not None:
        yield from scene.known(_UNTIL, 'logins', 'changes of jobs',
                               'memory of the scheduler', _LIST)
        if scene.ours.jobs == chosen.sizes[0]:
            yield from _upstream(scene, scene.upstream, chosen)
        else:
            yield from _larger(scene, scene.upstream)


def _ours(scene: scenes.Scene,
          chosen: options.Options) -> Iterator[figure.Figure]:
    rounds = [settling.settle(scene.ours, chosen.patience)
              for _ in range(_ROUNDS)]
    if not all(one.whole for one in rounds):
        raise errors.QuickstartError('our scheduler has claimed nothing')
    yield scene.figure(
        _UNTIL, figure.OURS, statistics.median(one.seconds for one in rounds),
        's', figure.Aim(2), f'median of {_ROUNDS}')
    rounds.sort(key=lambda one: one.spent.schedulers)
    yield from _spent(scene, scene.ours, rounds[len(rounds) // 2])


def _upstream(scene: scenes.Scene, one: deployment.Deployment,
              chosen: options.Options) -> Iterator[figure.Figure]:
    found = settling.settle(one, chosen.patience)
    asked = found.spent.asked
    read, changed = asked[settling.PAGE], asked[settling.CHANGE]
    a_page = found.listing / max(read, 1)
    a_change = (found.seconds - found.listing) / max(changed, 1)
    yield scene.figure(_PAGE, one.name, a_page, 's')
    if changed:
        # Then it has read the list to its end.
        yield scene.figure(_LIST, one.name, read, '')
        yield scene.figure(_CHANGE, one.name, a_change, 's')
    if found.whole:
        yield scene.figure(_UNTIL, one.name, found.seconds, 's')
    else:
        gone = (f'given up after {chosen.patience:.0f} s, {read:,} pages and '
                f'{changed:,} changes')
        yield _reckoned(
            scene, found.listing if changed else
            a_page * settling.pages(one.jobs), a_change if changed else None,
            gone)
    yield from _spent(scene, one, found)


def _spent(scene: scenes.Scene, one: deployment.Deployment,
           found: settling.Settled) -> Iterator[figure.Figure]:
    spent = found.spent
    for name, value, unit in (
            ('CPU of the scheduler', spent.schedulers, 's'),
            ('CPU of the API', spent.api, 's'),
            ('memory of the scheduler', found.resident / 1024, 'MiB'),
            ('requests to the API', spent.asked.total(), ''),
            ('changes of jobs', spent.asked[settling.CHANGE], ''),
            ('logins', spent.logins[settling.LOGIN], '')):
        yield scene.figure(name, one.name, value, unit,
                           note='' if found.whole else 'until given up')


def _larger(scene: scenes.Scene,
            one: deployment.Deployment) -> Iterator[figure.Figure]:
    """Reckon upstream's from what it took with fewer jobs."""
    jobs = scene.ours.jobs
    before = {found.name: found for found in scene.found
              if found.side == one.name}
    page, change = before.get(look.PAGE), before.get(_CHANGE)
    if page is None:
        return
    # Each page of it reads all jobs.
    a_page = page.value / 1000 * jobs / page.jobs
    pages = settling.pages(jobs)
    yield _reckoned(scene, a_page * pages, change.value if change else None,
                    f'{pages:,} pages of {a_page:.1f} s')


def _reckoned(scene: scenes.Scene, listing: float, change: float | None,
              how: str) -> figure.Figure:
    """Return how long upstream's start takes, by its parts in seconds."""
    total = listing + (change or 0) * scene.ours.jobs
    return scene.figure(
        _UNTIL, figure.UPSTREAM, total, 's', note=f'reckoned: {how}'
        + ('' if change else '; the list alone'))

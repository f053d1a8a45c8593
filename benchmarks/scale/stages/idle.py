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

"""What schedulers and their APIs use while nothing is due."""

from __future__ import annotations

from collections.abc import Iterator
import time

from benchmarks.scale import deployment
from benchmarks.scale import figure
from benchmarks.scale import options
from benchmarks.scale import scene as scenes
from benchmarks.scale import settling
from tools.cloud import errors
from tools.cloud import progress

TITLE = 'idle: everything is scheduled and nothing is due'
DRAWN = ('CPU of the scheduler', 'memory of the scheduler', 'CPU of the API',
         'SQL statements')

_HOUR = 3600
_AIMS = {'CPU of the scheduler': figure.Aim(0.001 * _HOUR),
         'memory of the scheduler': figure.Aim(100)}


def measure(scene: scenes.Scene, chosen: options.Options,
            tell: progress.Progress) -> Iterator[figure.Figure]:
    yield from _watch(scene, scene.ours, chosen)
    # With more jobs its first round would not end in any reasonable time.
    if scene.upstream is not None and scene.ours.jobs == chosen.sizes[0]:
        yield from _watch(scene, scene.upstream, chosen)


def _watch(scene: scenes.Scene, one: deployment.Deployment,
           chosen: options.Options) -> Iterator[figure.Figure]:
    # A stage before may have left it running.
    if not one.schedulers:
        settling.settle(one, chosen.patience)
    settled = one.settled
    if not settled and one.name == figure.OURS:
        raise errors.QuickstartError('our scheduler has claimed nothing')
    # What is done once after a start.
    time.sleep(min(10, chosen.window))
    before = one.read()
    time.sleep(chosen.window)
    after = one.read()
    one.stop()
    spent = after.since(before)
    hour = _HOUR / spent.seconds
    for name, value, unit in (
            ('CPU of the scheduler', hour * spent.schedulers, 's an hour'),
            ('memory of the scheduler', after.schedulers.resident / 1024,
             'MiB'),
            ('CPU of the API', hour * spent.api, 's an hour'),
            ('memory of the API', after.api.resident / 1024, 'MiB'),
            ('requests to the API', hour * spent.asked.total(), 'an hour'),
            ('SQL statements', hour * spent.statements, 'an hour'),
            ('requests to Keystone', hour * spent.logins.total(),
             'an hour')):
        yield scene.figure(
            name, one.name, value, unit, _AIMS.get(name),
            '' if settled else 'still reading its list for the first time')

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

"""Requests for one job, and one job that runs.

Upstream's figures of these are known from before: where they are found again,
the method is right.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import statistics
import time
from typing import Any

from benchmarks.api import measure as api_measure
from benchmarks.api import operations
from benchmarks.api import world
from benchmarks.fire import upstream
from benchmarks import processes
from benchmarks.scale import deployment
from benchmarks.scale import figure
from benchmarks.scale import options
from benchmarks.scale import scene as scenes
from benchmarks.scale import settling
from tools.cloud import errors
from tools.cloud import progress

TITLE = 'requests for one job, and one job that runs'
DRAWN = ()

_SINGLE = {'GET of a job': 'GET job', 'PATCH of a job': 'PATCH job'}
_POST = 'POST of a job with a trust'
_POSTS = 10
_RUNS = 5
#: What schedulers ask again and again, whether a job runs or not.
_ROUTINE = frozenset((
    settling.PAGE, settling.CLAIM, 'POST /v2/*/clients',
    'POST /v2/*/maintenance'))


def measure(scene: scenes.Scene, chosen: options.Options,
            tell: progress.Progress) -> Iterator[figure.Figure]:
    worlds = [one.world for one in scene.deployments]
    yield from scene.known(*_SINGLE, _POST, 'memory of the API')
    known = {what.name: what for what in operations.SINGLE}
    for name, what in _SINGLE.items():
        for side, found in api_measure.in_turn(
                worlds, known[what], chosen.effort).items():
            yield scene.figure(name, side, found.p50, 'ms')
    for one in scene.deployments:
        yield scene.figure(_POST, one.name, 1000 * _post(one.world), 'ms')
        memory = one.world.side.memory()
        yield scene.figure('memory of the API', one.name, memory.resident,
                           'MiB')
        yield scene.figure('of that, shared pages once', one.name,
                           memory.proportional, 'MiB')
    if scene.ours.jobs == chosen.sizes[0]:
        yield from scene.known(*_OF_A_RUN)
        for one in scene.deployments:
            with scene.further(one.name) as small:
                yield from _runs(scene, small, chosen)


def _post(asked: world.World) -> float:
    """Make some jobs, which go again; return the seconds of one."""
    answers = [asked.send(asked.member.request(
        'POST', 'jobs', world.job_document(world.CENTRAL)))
        for _ in range(_POSTS)]
    for answer in answers:
        asked.send(asked.member.request(
            'DELETE', f'jobs/{answer.document["job_id"]}'))
    return statistics.median(answer.seconds for answer in answers)


_ASKED, _LOGINS, _AGENT, _MEMORY = _OF_A_RUN = (
    'requests to the API, a run', 'logins, a run', 'CPU of the agent, a run',
    'memory of the agent')


def _runs(scene: scenes.Scene, one: deployment.Deployment,
          chosen: options.Options) -> Iterator[figure.Figure]:
    """Let some jobs run, one after the other."""
    if one.name == figure.UPSTREAM:
        upstream.real_agent(one.home, chosen.home)
    # Its scheduler sees a new job at its next round: in a minute, otherwise.
    settling.settle(one, chosen.patience, **(
        {'interval': 5} if one.name == figure.UPSTREAM else {}))
    before, most = one.read(), 0
    for volume in scene.cinder.state()['volumes'][:_RUNS]:
        most = max(most, _run(scene, one, volume, chosen.patience))
    spent = one.read().since(before)
    one.stop()
    asked = sum(number for kind, number in spent.asked.items()
                if kind not in _ROUTINE)
    for name, value, unit in (
            (_ASKED, asked / _RUNS, ''),
            (_LOGINS, spent.logins[settling.LOGIN] / _RUNS, ''),
            (_AGENT, spent.agents / _RUNS, 's'),
            (_MEMORY, most / 1024, 'MiB'),
            ('CPU of scheduler and agent, a run',
             (spent.schedulers + spent.agents) / _RUNS, 's')):
        yield scene.figure(name, one.name, value, unit)


def _run(scene: scenes.Scene, one: deployment.Deployment, volume: str,
         patience: float) -> int:
    """Have a job run once.

    :returns: KiB, the most that an agent of the scheduler had in memory
    """
    asked = one.world
    job_id = asked.send(asked.member.request('POST', 'jobs', _document(
        volume))).document['job_id']
    end, most = time.monotonic() + patience, 0
    [scheduler] = one.schedulers
    while True:
        scene.cinder.finish()
        for pid in processes.family(scheduler.lives[-1].pid)[1:]:
            # It may end meanwhile.
            with contextlib.suppress(OSError, KeyError):
                most = max(most, processes.Use.of(pid).most)
        job = asked.send(asked.member.request(
            'GET', f'jobs/{job_id}')).document
        result = job['job_schedule'].get('result')
        if result == 'success':
            return most
        if result or time.monotonic() > end:
            raise errors.QuickstartError(
                f'{one.name}: a job has ended as {result or "nothing"}',
                scheduler.log)
        time.sleep(0.1)


def _document(volume: str) -> dict[str, Any]:
    """A job that runs once, now."""
    document = world.job_document(world.CENTRAL)
    document['job_schedule'] = {}
    document['job_actions'][0]['freezer_action'][
        'cindernative_vol_id'] = volume
    return document

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

"""Jobs that are due in one second, and that both sides really run.

Cinder ends each backup at once. At the side of 19.0.0 the real
``freezer-agent`` makes each backup. Its jobs are made through its API, and
its scheduler has all of them armed before they fire, which is not counted.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import dataclasses
import datetime
import os
import time
from typing import Any
import uuid

from benchmarks.api import world
from benchmarks.cinder import process
from benchmarks.fire import upstream
from benchmarks import processes
from benchmarks.scale import deployment
from benchmarks.scale import figure
from benchmarks.scale import flow
from benchmarks.scale import options
from benchmarks.scale import scene as scenes
from benchmarks.scale import settling
from tools.cloud import errors
from tools.cloud import progress

TITLE = 'throughput: jobs that are due in one second, run by both'
DRAWN = ()

RATE = 'jobs a minute'
BEST = 'more at a time'
_DEFAULT = 'as by default'
_AIM = figure.Aim(100, least=True)
_OURS = 1_000
#: How many agents go on at one time, and of how many jobs, as a share.
_AGENTS = ((_DEFAULT, 1, 4), (BEST, 2 * (os.cpu_count() or 1), 1))
_THEIRS, _FEWEST = 40, 4
#: What its jobs are given until they fire, beside their making, in seconds.
_BEGIN, _ARM = 20, 0.5
_FAR = 30 * 86_400
_LOOK = 0.5


@dataclasses.dataclass(frozen=True)
class _Run:
    """What became of some jobs.

    :ivar asked: when Cinder was asked for each backup, in order
    :ivar most: KiB that the scheduler and its agents had in memory
    """

    asked: list[float]
    spent: deployment.Spent
    most: int

    @property
    def rate(self) -> float:
        """Jobs a second between the first and the last."""
        return (len(self.asked) - 1) / (self.asked[-1] - self.asked[0])


def measure(scene: scenes.Scene, chosen: options.Options,
            tell: progress.Progress) -> Iterator[figure.Figure]:
    if scene.ours.jobs != chosen.sizes[0]:
        return
    count = min(_OURS, scene.ours.jobs)
    rates = {}
    ours: tuple[tuple[str, dict[str, Any]], ...] = (
        (_DEFAULT, {}),
        (BEST, {'max_in_flight': count, 'claim_batch': 500}))
    for how, configured in ours:
        with flow.cinder(scene, flow.FAST) as cinder:
            found = flow.watch(scene.ours, cinder, count, 0, chosen.patience,
                               **configured)
        if not found.submitted:
            raise errors.QuickstartError('ours: Cinder was asked for nothing')
        rates[how] = len(found.submitted) / max(found.submitted)
        yield from _told(scene, scene.ours, how, rates[how], found.ended,
                         found.spent, found.peaks[0],
                         f'{len(found.submitted)} of {count} jobs')
    if scene.upstream is None:
        return
    with scene.further(figure.UPSTREAM) as small:
        upstream.real_agent(small.home, chosen.home)
        most = min(_THEIRS, scene.ours.jobs // 10)
        theirs: list[float] = []
        for how, agents, share in _AGENTS:
            made = max(_FEWEST, most // share)
            with flow.cinder(scene, flow.FAST) as cinder:
                ran = _run(small, cinder, made, agents, chosen.patience)
            if len(ran.asked) < 2:
                raise errors.QuickstartError(
                    f'upstream: {len(ran.asked)} of {made} jobs were run')
            yield from _told(
                scene, small, how, ran.rate, len(ran.asked), ran.spent,
                ran.most, f'{len(ran.asked)} of {made} jobs, {agents} agents '
                'at a time')
            theirs.append(ran.rate)
            # More agents at a time may be slower.
            yield scene.figure(
                f'{how}: times as many as 19.0.0', figure.OURS,
                rates[how] / max(theirs), '', _AIM if how == BEST else None)


def _run(one: deployment.Deployment, cinder: process.FakeCinder, count: int,
         agents: int, patience: float) -> _Run:
    """Have 19.0.0 run some jobs.

    :raises tools.cloud.errors.QuickstartError: they fired before all of them
        were armed
    """
    members = one.world.people.members
    far = time.time() + _FAR
    taken = max(one.world.send(members[number].request(
        'POST', 'jobs', _document(far))).seconds for number in range(3))
    at = time.time() + count * (1.5 * taken + _ARM) + _BEGIN
    for number in range(count):
        one.world.send(members[number % len(members)].request(
            'POST', 'jobs', _document(at)))
    one.stop()
    one.api.forget()
    one.keystone.forget()
    one.start(concurrent_jobs=agents)
    while time.time() < at:
        time.sleep(_LOOK)
    armed = one.api.seen()[settling.CHANGE]
    if armed < count:
        raise errors.QuickstartError(
            f'upstream: {armed} of {count} jobs were armed when they fired')
    one.api.forget()
    one.keystone.forget()
    before, most = one.read(), 0
    [scheduler] = one.schedulers
    end = time.monotonic() + patience
    pids = [scheduler.lives[-1].pid]
    while time.monotonic() < end and (
            cinder.count()['taken'] < count or len(pids) > 1):
        time.sleep(_LOOK)
        # Agents end meanwhile.
        with contextlib.suppress(OSError, KeyError):
            pids = processes.family(pids[0])
            most = max(most, processes.Use.of_all(pids).resident)
    after = one.read()
    one.stop()
    return _Run(sorted(one['at'] for one in cinder.record()['taken']),
                after.since(before), most)


def _document(at: float) -> dict[str, object]:
    """A job of a volume of its own that fires once."""
    document = world.job_document(world.CENTRAL)
    # Its scheduler takes it for its machine's own time.
    document['job_schedule'] = {
        'schedule_date': datetime.datetime.fromtimestamp(  # noqa: DTZ006
            int(at)).isoformat()}
    document['job_actions'][0]['freezer_action'][
        'cindernative_vol_id'] = str(uuid.uuid4())
    return document


def _told(scene: scenes.Scene, one: deployment.Deployment, how: str,
          rate: float, ran: int, spent: deployment.Spent, most: int,
          note: str) -> Iterator[figure.Figure]:
    for name, value, unit in (
            (RATE, 60 * rate, ''),
            ('CPU of schedulers and agents, a job',
             1000 * (spent.schedulers + spent.agents) / ran, 'ms'),
            ('CPU of the API, a job', 1000 * spent.api / ran, 'ms'),
            ('requests to the API, a job', spent.asked.total() / ran, ''),
            ('SQL statements, a job', spent.statements / ran, ''),
            ('logins, a job', spent.logins[settling.LOGIN] / ran, ''),
            ('memory of schedulers and agents', most / 1024, 'MiB')):
        yield scene.figure(f'{how}: {name}', one.name, value, unit,
                           note=note if name == RATE else '')

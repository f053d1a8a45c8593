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

"""One attack on one product, and what the neighbours noticed."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import json
import pathlib
import subprocess
import sys
import time
from typing import Any

from benchmarks.api import world
from benchmarks.fire import upstream
from benchmarks.hostile_tenant import neighbours
from benchmarks.hostile_tenant import options
from benchmarks.scale import deployment
from benchmarks.scale import figure
from benchmarks.scale import flow
from benchmarks.scale import scene as scenes
from benchmarks.scale import settling
from tools.cloud import progress

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_CLAIM_INTERVAL = 5
_PATIENCE = 120

Starts = Mapping[str, list[float]]


@dataclasses.dataclass(frozen=True)
class Trial:
    """What came out.

    :ivar late: seconds by which the neighbours' firings were late, ascending
    :ivar missing: firings whose backup was never asked for
    :ivar seconds: that the neighbours' requests took, ascending
    :ivar failed: of these, with an error or without an answer
    :ivar attack: answers and longest time by kind of hostile request
    :ivar spent: CPU and memory
    """

    late: list[float]
    missing: int
    seconds: list[float]
    failed: list[str]
    attack: dict[str, Any]
    spent: deployment.Spent
    peak_mib: float


def run(scene: scenes.Scene, one: deployment.Deployment,
        chosen: options.Options, minutes: float,
        tell: progress.Progress) -> Trial:
    """Attack for some minutes.

    :raises tools.cloud.errors.QuickstartError: something does not start
    """
    with flow.cinder(scene, flow.FAST) as cinder:
        settling.settle(one, _PATIENCE)
        jobs = neighbours.create_jobs(one.world, chosen.jobs)
        # Undisturbed, until the first of them fires.
        time.sleep(max(0, jobs[0].first - time.time()))
        asking = neighbours.Requests(one.world.side.port, jobs,
                                     one.name == figure.UPSTREAM)
        before = one.read()
        asking.start()
        attack = _attack(one, chosen, minutes * 60)
        asking.stop()
        after = one.read()
        # So late may the last of them be.
        until = time.time() - neighbours.INTERVAL
        starts = (_asked_of(cinder.record()['taken'])
                  if one.name == figure.OURS else _agents(one))
        one.stop()
    late, missing = neighbours.delays(jobs, starts, until)
    return Trial(late, missing, sorted(asking.seconds), asking.failed, attack,
                 after.since(before), after.api.most / 1024)


def _attack(one: deployment.Deployment, chosen: options.Options,
            seconds: float) -> dict[str, Any]:
    hostile = one.world.member
    done = subprocess.run(
        [sys.executable, '-m', 'benchmarks.hostile_tenant.attacker'],
        input=json.dumps({
            'port': one.world.side.port, 'seconds': seconds,
            'project_id': hostile.project_id, 'token': hostile.token,
            'client_id': world.CENTRAL, 'seed': chosen.seed,
            'clients': chosen.clients,
            # 19.0.0 needs a proxy against these, which is not measured.
            'strangers': (chosen.strangers if one.name == figure.OURS
                          else 0)}),
        cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _asked_of(taken: list[dict[str, Any]]) -> Starts:
    found = collections.defaultdict(list)
    for one in taken:
        found[one['volume_id']].append(one['at'])
    return found


def _agents(one: deployment.Deployment) -> Starts:
    found = collections.defaultdict(list)
    record = upstream.record(one.home)
    if record.exists():
        for line in record.read_text().splitlines():
            moment, _, volume = line.partition(' ')
            found[volume].append(float(moment))
    return found


def figures(scene: scenes.Scene, side: str,
            found: Trial) -> Iterator[figure.Figure]:
    """Yield what is told of a trial."""
    for name, value, unit, aim in (
            ("neighbours' firings that started", len(found.late), '', None),
            ("neighbours' firings that never started", found.missing, '', 0),
            *((f'start after its time, {words}',
               flow.percentile(found.late, share), 's', aim)
              for share, words, aim in (
                  (0.5, 'median', None), (0.99, '99th percentile', None),
                  (1, 'longest', _CLAIM_INTERVAL + 3)) if found.late),
            ("neighbours' requests", len(found.seconds), '', None),
            ('of these, failed', len(found.failed), '', 0),
            *((f'answer to a request, {words}',
               flow.percentile(found.seconds, share), 's', aim)
              for share, words, aim in (
                  (0.5, 'median', None), (0.99, '99th percentile', 1),
                  (1, 'longest', None))),
            ('hostile requests answered', sum(
                sum(one['statuses'].values())
                for one in found.attack.values()), '', None),
            ('hostile requests answered 500 to 599', sum(
                count for one in found.attack.values()
                for status, count in one['statuses'].items()
                if status.startswith('5')), '', 0),
            ('longest answer to a hostile request', max(
                one['longest'] for one in found.attack.values()), 's', None),
            ('CPU of the API', found.spent.api, 's', None),
            ('CPU of the scheduler', found.spent.schedulers, 's', None),
            ('memory of the API at the peak', found.peak_mib, 'MiB', None)):
        yield scene.figure(name, side, value, unit,
                           None if aim is None else figure.Aim(aim))

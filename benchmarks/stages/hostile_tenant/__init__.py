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

"""A hostile tenant attacks the API, and how that affects its neighbours.

The attack follows from a seed: schedules, actions, sessions, lists, searches
and records at, below and above each limit. Beside it, slow connections without
a token are opened. The neighbours' jobs fire each minute, and one of their
requests is sent each second. Our API is served by its own command.
"""

from __future__ import annotations

import argparse
import collections
from collections.abc import Iterator
from collections.abc import Mapping
import json
import pathlib
import subprocess
import sys
import time
from typing import Any

from benchmarks.environment import cinder as cinders
from benchmarks.environment import deployment
from benchmarks.environment import legacy_scheduler
from benchmarks.environment import side_by_side
from benchmarks.load import documents
from benchmarks import report
from benchmarks.stages.hostile_tenant import neighbours
from tools.cloud import progress

_ROOT = pathlib.Path(__file__).resolve().parents[3]
_CLAIM_INTERVAL = 5
_PATIENCE = 120
_PERCENTILES = ((0.5, 'median'), (0.99, '99th percentile'), (1, 'longest'))


def add_options(parser: argparse.ArgumentParser) -> None:
    side_by_side.add_options(parser, 10)
    parser.add_argument('--minutes', type=float, default=60,
                        help='of attack on our side (%(default)s)')
    parser.add_argument('--upstream-minutes', type=float, default=10,
                        help='of attack on 19.0.0 (%(default)s)')
    parser.add_argument('--seed', type=int, default=1,
                        help='of the attack (%(default)s)')
    parser.add_argument('--clients', type=int, default=4,
                        help='of the hostile tenant (%(default)s)')
    parser.add_argument('--strangers', type=int, default=40,
                        help='connections without a token (%(default)s)')
    parser.add_argument('--each', type=int, default=3,
                        help='jobs of each neighbour (%(default)s)')
    parser.set_defaults(workers=4)


def run(chosen: argparse.Namespace, home: pathlib.Path,
        tell: progress.Progress) -> Iterator[report.Figure]:
    if chosen.quick:
        chosen.minutes, chosen.upstream_minutes = 2, 2
    with side_by_side.running(chosen, home, tell, shipped=True,
                              ) as environment:
        yield from _attack(environment, environment.ours, chosen.minutes)
        if environment.upstream is not None:
            yield from _attack(environment, environment.upstream,
                               chosen.upstream_minutes)


def _attack(environment: side_by_side.Environment,
            one: deployment.Deployment,
            minutes: float) -> Iterator[report.Figure]:
    """Attack for some minutes."""
    tell, chosen = environment.tell, environment.chosen
    with (tell.step(f'{one.name}: {minutes:g} minutes of attack'),
          cinders.running(environment.cloud, 0, cinders.FAST) as cinder):
        one.start_and_wait(_PATIENCE)
        jobs = neighbours.create_jobs(one, chosen.each)
        # Undisturbed, until the first of them fires.
        time.sleep(max(0, jobs[0].first - time.time()))
        asking = neighbours.Requests(one.api.port, jobs,
                                     one.name == report.UPSTREAM)
        before = one.read()
        asking.start()
        answered = _run_attacker(one, chosen, minutes * 60)
        asking.stop()
        after = one.read()
        # The last firings may be as late as that.
        until = time.time() - neighbours.INTERVAL
        starts: Mapping[str, list[float]] = legacy_scheduler.starts(one.home)
        if one.name == report.OURS:
            starts = collections.defaultdict(list)
            for taken in cinder.record()['taken']:
                starts[taken['volume_id']].append(taken['at'])
        one.stop()
    for line in asking.failed[:20]:
        tell.say(f'  failed: {line}')
    for name, statuses in answered.items():
        tell.say(f'  {name}: {statuses}')
    late, missing = neighbours.delays(jobs, starts, until)
    spent = after.since(before)
    attacks = answered.values()
    for what, value, unit, aim in (
            ("neighbours' firings that started", len(late), '', None),
            ("neighbours' firings that never started", missing, '', 0),
            *((f'start after the nominal time, {words}',
               report.percentile(late, share), 's',
               _CLAIM_INTERVAL + 3 if share == 1 else None)
              for share, words in _PERCENTILES if late),
            ("neighbours' requests", len(asking.seconds), '', None),
            ('of these, failed', len(asking.failed), '', 0),
            *((f'answer to a request, {words}',
               report.percentile(sorted(asking.seconds), share), 's',
               1 if share == 0.99 else None)
              for share, words in _PERCENTILES),
            ('hostile requests answered', sum(
                sum(each['statuses'].values()) for each in attacks), '',
             None),
            ('hostile requests answered 500 to 599', sum(
                count for each in attacks
                for status, count in each['statuses'].items()
                if status.startswith('5')), '', 0),
            ('longest answer to a hostile request',
             max(each['longest'] for each in attacks), 's', None),
            ('CPU of the API', spent.api.cpu, 's', None),
            ('CPU of the scheduler', spent.schedulers.cpu, 's', None),
            ('memory of the API at the peak', after.api.most / 1024, 'MiB',
             None)):
        yield report.Figure(
            what, value, unit, one.name,
            aim=None if aim is None else report.Aim(aim, required=True))


def _run_attacker(one: deployment.Deployment, chosen: argparse.Namespace,
                  seconds: float) -> dict[str, Any]:
    """Return answers and longest time by kind of hostile request."""
    done = subprocess.run(
        [sys.executable, '-m', 'benchmarks.stages.hostile_tenant.attacker'],
        input=json.dumps({
            'port': one.api.port, 'seconds': seconds,
            'project_id': one.member.project_id, 'token': one.member.token,
            'client_id': documents.CENTRAL, 'seed': chosen.seed,
            'clients': chosen.clients,
            # 19.0.0 needs a proxy against these, which is not measured.
            'strangers': (chosen.strangers if one.name == report.OURS
                          else 0)}),
        cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found

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

Cinder finishes each backup at once. The real ``freezer-agent`` makes each
backup of 19.0.0. Its jobs are created through its API, and its scheduler has
all of them armed before they fire, which is not counted.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import contextlib
import datetime
import os
import pathlib
import time
from typing import Any
import uuid

from benchmarks.environment import cinder as cinders
from benchmarks.environment import deployment
from benchmarks.environment import legacy_scheduler
from benchmarks.environment import side_by_side
from benchmarks.load import documents
from benchmarks.load import requests
from benchmarks.observation import due_runs
from benchmarks.observation import processes
from benchmarks import report
from tools.cloud import errors
from tools.cloud import progress

_DEFAULT, _BEST = 'by default', 'more at a time'
_AIM = report.Aim(100, least=True)
#: How many agents run at a time, and the share of the jobs.
_AGENTS = ((_DEFAULT, 1, 4), (_BEST, 2 * (os.cpu_count() or 1), 1))
_THEIRS, _FEWEST = 40, 4
#: Seconds until its jobs fire, beside their creation.
_BEGIN, _ARM = 20, 0.5
_POLL = 0.5


def add_options(parser: argparse.ArgumentParser) -> None:
    side_by_side.add_options(parser, 1_000)


def run(chosen: argparse.Namespace, home: pathlib.Path,
        tell: progress.Progress) -> Iterator[report.Figure]:
    with side_by_side.running(chosen, home, tell) as environment:
        for jobs in environment.sizes():
            yield from _measure(environment, jobs)


def _measure(environment: side_by_side.Environment,
             jobs: int) -> Iterator[report.Figure]:
    rates = {}
    ours: dict[str, dict[str, Any]] = {
        _DEFAULT: {}, _BEST: {'max_in_flight': jobs, 'claim_batch': 500}}
    for how, configured in ours.items():
        found = due_runs.fire(environment, jobs, **configured)
        rates[how] = found.rate
        yield from _told(environment, report.OURS, how, found.rate,
                         found.succeeded, found.spent, found.peaks[0],
                         f'{len(found.submitted)} of {jobs} jobs')
    if environment.upstream is None:
        return
    with environment.further(report.UPSTREAM) as small:
        legacy_scheduler.use_real_agent(small.home)
        theirs: list[float] = []
        for how, agents, share in _AGENTS:
            count = max(_FEWEST, min(_THEIRS, jobs // 10) // share)
            asked, spent, most = _upstream(environment, small, count, agents)
            if len(asked) < 2:
                raise errors.QuickstartError(
                    f'19.0.0 has run {len(asked)} of {count} jobs')
            theirs.append((len(asked) - 1) / (asked[-1] - asked[0]))
            yield from _told(
                environment, report.UPSTREAM, how, theirs[-1], len(asked),
                spent, most, f'{len(asked)} of {count} jobs, {agents} agents '
                'at a time')
            # More agents at a time may be slower.
            yield environment.figure(
                f'{how}: times as many as 19.0.0', rates[how] / max(theirs),
                aim=_AIM if how == _BEST else None)


def _upstream(environment: side_by_side.Environment,
              one: deployment.Deployment, count: int, agents: int,
              ) -> tuple[list[float], deployment.Reading, int]:
    """Have 19.0.0 run some jobs.

    :returns: when Cinder was asked for each backup, ascending; what was
        spent; the most KiB of the scheduler and its agents
    :raises tools.cloud.errors.QuickstartError: they fired before all of them
        were armed
    """
    far = time.time() + 30 * 86_400
    taken = max(one.send(_creation(one, number, far)).seconds
                for number in range(3))
    at = time.time() + count * (1.5 * taken + _ARM) + _BEGIN
    for number in range(count):
        one.send(_creation(one, number, at))
    with cinders.running(environment.cloud, 0, cinders.FAST) as cinder:
        one.stop()
        one.reset()
        one.start(concurrent_jobs=agents)
        time.sleep(max(0, at - time.time()))
        armed = one.proxy.seen()[deployment.CHANGE]
        if armed < count:
            raise errors.QuickstartError(
                f'19.0.0: {armed} of {count} jobs were armed when they fired')
        one.reset()
        before, most = one.read(), 0
        end = time.monotonic() + environment.chosen.patience
        pids = [one.schedulers[0].pid]
        while time.monotonic() < end and (
                cinder.count()['taken'] < count or len(pids) > 1):
            time.sleep(_POLL)
            # Agents end meanwhile.
            with contextlib.suppress(OSError, KeyError):
                pids = processes.family(pids[0])
                most = max(most, processes.Usage.of_all(pids).resident)
        after = one.read()
        one.stop()
        asked = sorted(each['at'] for each in cinder.record()['taken'])
    return asked, after.since(before), most


def _creation(one: deployment.Deployment, number: int,
              at: float) -> requests.Request:
    """Return the request for a job of a new volume that fires once."""
    members = one.users.members
    # Its scheduler takes the date for local time.
    date = datetime.datetime.fromtimestamp(int(at)).isoformat()  # noqa: DTZ006
    return members[number % len(members)].request(
        'POST', 'jobs', documents.job(documents.CENTRAL, str(uuid.uuid4()),
                                      {'schedule_date': date}))


def _told(environment: side_by_side.Environment, side: str, how: str,
          rate: float, ran: int, spent: deployment.Reading, most: int,
          note: str) -> Iterator[report.Figure]:
    for name, value, unit in (
            ('jobs a minute', 60 * rate, ''),
            ('CPU of schedulers and agents, a job',
             1000 * (spent.schedulers.cpu + spent.schedulers.ended) / ran,
             'ms'),
            ('CPU of the API, a job', 1000 * spent.api.cpu / ran, 'ms'),
            ('requests to the API, a job', spent.asked.total() / ran, ''),
            ('SQL statements, a job', spent.statements / ran, ''),
            ('logins, a job', spent.logins[deployment.LOGIN] / ran, ''),
            ('memory of schedulers and agents', most / 1024, 'MiB')):
        yield environment.figure(f'{how}: {name}', value, unit, side,
                                 note=note if name == 'jobs a minute' else '')

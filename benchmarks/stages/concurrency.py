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

"""One scheduler with many backups in flight at a time.

Each is of a volume of its own. Cinder finishes none before all are in flight
and have been for a while.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from collections.abc import Iterator
import pathlib
import time

from benchmarks.environment import cinder as cinders
from benchmarks.environment import deployment
from benchmarks.environment import side_by_side
from benchmarks.load import documents
from benchmarks.observation import processes
from benchmarks import report
from tools.cloud import errors
from tools.cloud import progress


def add_options(parser: argparse.ArgumentParser) -> None:
    side_by_side.add_options(parser, 500)
    parser.add_argument('--poll-interval', type=int, default=10,
                        help='of the scheduler, in seconds (%(default)s)')
    parser.set_defaults(ours_only=True, projects=5)


def run(chosen: argparse.Namespace, home: pathlib.Path,
        tell: progress.Progress) -> Iterator[report.Figure]:
    with side_by_side.running(chosen, home, tell) as environment:
        one = environment.ours
        for count in chosen.jobs:
            with cinders.running(environment.cloud, count) as cinder:
                one.start_and_wait(
                    chosen.patience, max_in_flight=count,
                    max_in_flight_per_project=count,
                    poll_interval=chosen.poll_interval)
                yield from _measure(environment, cinder, count)
                one.stop()


def _measure(environment: side_by_side.Environment,
             cinder: cinders.FakeCinder,
             count: int) -> Iterator[report.Figure]:
    one, chosen = environment.ours, environment.chosen
    idle, logins = _usage(one), one.keystone.seen()[deployment.LOGIN]
    members, began = one.users.members, time.time()
    for number, volume in enumerate(cinder.state()['volumes']):
        one.send(members[number % len(members)].request(
            'POST', 'jobs', documents.job(documents.CENTRAL, volume, {})))
    _until(lambda: cinder.count()['taken'] >= count, chosen.patience)
    asked = time.time() - began
    before, polls = _usage(one), cinder.state()['requests']
    time.sleep(chosen.window)
    after, polls = _usage(one), cinder.state()['requests'] - polls
    cinder.finish()
    _until(lambda: one.api.database.rows(
        "SELECT COUNT(*) FROM job_runs WHERE state = 'success'")[0][0]
        >= count, chosen.patience)
    last = _usage(one)
    for name, value, unit in (
            ('memory of the scheduler, idle', idle.resident / 1024, 'MiB'),
            ('with all backups in flight', after.resident / 1024, 'MiB'),
            ('at most', last.most / 1024, 'MiB'),
            ('threads', after.threads, ''),
            ('CPU while they are in flight',
             100 * (after.cpu - before.cpu) / chosen.window, '% of a core'),
            ('requests to Cinder meanwhile', polls / chosen.window,
             'a second'),
            ('CPU for each backup in all',
             1000 * (last.cpu - idle.cpu) / count, 'ms'),
            ('logins', one.keystone.seen()[deployment.LOGIN] - logins, ''),
            ('backups asked for', count / asked, 'a second')):
        yield report.Figure(name, value, unit, jobs=count, aim=report.Aim(200)
                            if name == 'at most' else None)


def _usage(one: deployment.Deployment) -> processes.Usage:
    return processes.Usage.of(one.schedulers[0].pid)


def _until(done: Callable[[], bool], patience: float) -> None:
    """
    :raises tools.cloud.errors.QuickstartError: it takes too long
    """
    end = time.monotonic() + patience
    while not done():
        if time.monotonic() > end:
            raise errors.QuickstartError('it takes too long')
        time.sleep(1)

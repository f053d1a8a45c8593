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

"""What schedulers and their APIs use while nothing is due, as an hour of it.

All jobs are scheduled, and none is due for a month.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import pathlib
import time

from benchmarks.environment import deployment
from benchmarks.environment import side_by_side
from benchmarks import report
from tools.cloud import errors
from tools.cloud import progress

_HOUR = 3600
_AIMS = {'CPU of the scheduler': report.Aim(0.001 * _HOUR),
         'memory of the scheduler': report.Aim(100)}


def add_options(parser: argparse.ArgumentParser) -> None:
    side_by_side.add_options(parser, 1_000, 10_000, 100_000)


def run(chosen: argparse.Namespace, home: pathlib.Path,
        tell: progress.Progress) -> Iterator[report.Figure]:
    with side_by_side.running(chosen, home, tell) as environment:
        for jobs in environment.sizes():
            yield from _watch(environment, environment.ours)
            # With more jobs its first round would take too long.
            if environment.upstream is not None and jobs == chosen.jobs[0]:
                yield from _watch(environment, environment.upstream)


def _watch(environment: side_by_side.Environment,
           one: deployment.Deployment) -> Iterator[report.Figure]:
    window = environment.chosen.window
    whole = one.start_and_wait(environment.chosen.patience).whole
    if not whole and one.name == report.OURS:
        raise errors.QuickstartError('our scheduler has claimed nothing')
    # Some things are done once after a start.
    time.sleep(min(10, window))
    before = one.read()
    time.sleep(window)
    after = one.read()
    one.stop()
    spent = after.since(before)
    hour = _HOUR / spent.seconds
    for name, value, unit in (
            ('CPU of the scheduler', hour * spent.schedulers.cpu, 's an hour'),
            ('memory of the scheduler', after.schedulers.resident / 1024,
             'MiB'),
            ('CPU of the API', hour * spent.api.cpu, 's an hour'),
            ('memory of the API', after.api.resident / 1024, 'MiB'),
            ('requests to the API', hour * spent.asked.total(), 'an hour'),
            ('SQL statements', hour * spent.statements, 'an hour'),
            ('requests to Keystone', hour * spent.logins.total(),
             'an hour')):
        yield environment.figure(
            name, value, unit, one.name, _AIMS.get(name),
            '' if whole else 'still reading its list for the first time')

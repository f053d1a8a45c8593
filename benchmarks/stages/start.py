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

"""From the start of a scheduler's process until it can run what is due.

Ours can when its first claim is answered. That of 19.0.0 reads the whole list,
then logs in for each job and changes it. With more jobs than the first number
its time is extrapolated: each of its pages reads all jobs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import pathlib
import statistics

from benchmarks.environment import deployment
from benchmarks.environment import side_by_side
from benchmarks import report
from tools.cloud import errors
from tools.cloud import progress

_ROUNDS = 3
_UNTIL = 'until a job can fire'


def add_options(parser: argparse.ArgumentParser) -> None:
    side_by_side.add_options(parser, 1_000, 10_000, 100_000)


def run(chosen: argparse.Namespace, home: pathlib.Path,
        tell: progress.Progress) -> Iterator[report.Figure]:
    with side_by_side.running(chosen, home, tell) as environment:
        first: deployment.Started | None = None
        for jobs in environment.sizes():
            yield from _ours(environment)
            if environment.upstream is None:
                continue
            if first is None:
                first = environment.upstream.start_and_wait(chosen.patience)
                environment.upstream.stop()
                yield from _spent(environment, report.UPSTREAM, first)
            yield _upstream(environment, first, jobs, chosen.jobs[0])


def _ours(environment: side_by_side.Environment) -> Iterator[report.Figure]:
    rounds = [environment.ours.start_and_wait(environment.chosen.patience)
              for _ in range(_ROUNDS)]
    if not all(one.whole for one in rounds):
        raise errors.QuickstartError('our scheduler has claimed nothing')
    yield environment.figure(
        _UNTIL, statistics.median(one.seconds for one in rounds), 's',
        aim=report.Aim(2), note=f'median of {_ROUNDS}')
    rounds.sort(key=lambda one: one.spent.schedulers.cpu)
    yield from _spent(environment, report.OURS, rounds[_ROUNDS // 2])


def _upstream(environment: side_by_side.Environment,
              started: deployment.Started, jobs: int,
              measured: int) -> report.Figure:
    """Return the time of 19.0.0, extrapolated from what it did.

    :param measured: number of jobs with which it was started
    """
    read = started.spent.asked[deployment.PAGE]
    changed = started.spent.asked[deployment.CHANGE]
    seconds, note = started.seconds, ''
    if jobs != measured or not started.whole:
        a_page = started.listing / max(read, 1) * jobs / measured
        a_change = (started.seconds - started.listing) / max(changed, 1)
        seconds = a_page * deployment.pages(jobs) + a_change * jobs
        note = (f'extrapolated from {read:,} pages and {changed:,} changes '
                f'with {measured:,} jobs')
    return environment.figure(_UNTIL, seconds, 's', report.UPSTREAM,
                              note=note)


def _spent(environment: side_by_side.Environment, side: str,
           started: deployment.Started) -> Iterator[report.Figure]:
    spent = started.spent
    for name, value, unit in (
            ('CPU of the scheduler', spent.schedulers.cpu, 's'),
            ('CPU of the API', spent.api.cpu, 's'),
            ('memory of the scheduler', started.resident / 1024, 'MiB'),
            ('requests to the API', spent.asked.total(), ''),
            ('pages of the list', spent.asked[deployment.PAGE], ''),
            ('changes of jobs', spent.asked[deployment.CHANGE], ''),
            ('logins', spent.logins[deployment.LOGIN], '')):
        yield environment.figure(name, value, unit, side,
                                 note='' if started.whole
                                 else 'until given up')

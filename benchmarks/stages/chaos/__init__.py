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

"""Schedulers of one client while everything fails, in turn and at once.

Keystone, the API in two processes, its database and the schedulers are real;
Cinder is the fake of the unit tests behind HTTP. Jobs fire every few seconds
while a seed decides what is killed, stopped, cut off or misled. Afterwards the
invariants of the project are checked against rows, requests and backups.
"""

from __future__ import annotations

import argparse
import collections
from collections.abc import Iterator
import pathlib
import random
import time

from benchmarks.environment import database
from benchmarks.environment import keystone
from benchmarks.environment import legacy_scheduler
from benchmarks.observation import firings
from benchmarks import report
from benchmarks.stages.chaos import environment as environments
from benchmarks.stages.chaos import faults
from benchmarks.stages.chaos import invariants
from benchmarks.stages.chaos import observations
from benchmarks.stages.chaos import trial
from tools.cloud import cloud
from tools.cloud import errors
from tools.cloud import progress

_OF_UPSTREAM = (faults.Kind.KILL, faults.Kind.ROLL, faults.Kind.JOIN)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--engine', choices=sorted(database.SERVERS),
                        default='mariadb', help='database (%(default)s)')
    parser.add_argument('--server', metavar='URL',
                        help='database server, if not that of this machine')
    parser.add_argument('--own-server', action='store_true',
                        help='start a database server, and let it fail, too')
    parser.add_argument('--minutes', type=float, default=5,
                        help='for which jobs fire (%(default)s)')
    parser.add_argument('--seed', type=int,
                        help='of an earlier trial, to repeat its faults')
    parser.add_argument('--jobs', type=int, default=60)
    parser.add_argument('--interval', type=int, default=15,
                        help='seconds between two firings of a job')
    parser.add_argument('--projects', type=int, default=5)
    parser.add_argument('--schedulers', type=int, default=3)
    parser.add_argument('--pause', type=float, default=4,
                        help='seconds between two faults; both are means')
    parser.add_argument('--only', nargs='+', type=faults.Kind,
                        choices=list(faults.Kind), metavar='KIND',
                        help='of fault: ' + '; '.join(
                            f'{kind}: {said}'
                            for kind, said in faults.SAID.items()))
    parser.add_argument('--upstream', action='store_true',
                        help='schedulers of 19.0.0, which coordinate over '
                             'Redis; nothing but schedulers fails then')
    parser.add_argument('--shipped', action='store_true',
                        help='use the default timings of schedulers, such as '
                             'leases of a minute')
    parser.add_argument('--stopped', type=float, metavar='SECONDS',
                        help='for which a scheduler is stopped, where that '
                             'is longer than a lease')
    parser.add_argument('--patience', type=float, default=6,
                        help='seconds of allowance for a busy machine')


def run(chosen: argparse.Namespace, home: pathlib.Path,
        tell: progress.Progress) -> Iterator[report.Item]:
    if chosen.quick:
        chosen.minutes, chosen.jobs, chosen.interval = 0.4, 30, 5
        chosen.projects, chosen.pause = 3, 1.5
    with keystone.running(home / 'cloud', chosen.projects, tell) as made:
        yield from conduct(chosen, made, home, tell)


def conduct(chosen: argparse.Namespace, made: cloud.Cloud,
            home: pathlib.Path,
            tell: progress.Progress) -> Iterator[report.Item]:
    """Carry out one trial.

    :param made: a cloud whose Keystone runs
    :param home: a folder for configurations and logs
    :raises tools.cloud.errors.QuickstartError: a kind of fault cannot happen
    """
    able = _OF_UPSTREAM if chosen.upstream else tuple(
        kind for kind in faults.Kind
        if chosen.own_server or kind not in faults.OF_SERVER)
    kinds = chosen.only or able
    if set(kinds) - set(able):
        raise errors.QuickstartError(f'--only can be {" ".join(able)} here')
    if chosen.seed is None:
        chosen.seed = random.SystemRandom().randrange(10 ** 6)
    yield report.Figure('seed', chosen.seed)
    size = environments.Size(chosen.jobs, chosen.projects, chosen.schedulers,
                             chosen.interval)
    timings = (environments.SHIPPED if chosen.shipped
               else environments.TUNED)
    seconds, lease = 60 * chosen.minutes, timings['lease_seconds']
    with environments.running(
            made, chosen.engine, chosen.server, home, size, tell, timings,
            chosen.upstream, chosen.own_server) as environment:
        with tell.step(f'seed {chosen.seed}: creating {chosen.jobs} jobs'):
            begin = environment.create_jobs(size, chosen.seed, seconds)
        one = trial.Trial(environment, begin, tell)
        one.run(faults.draw(chosen.seed, seconds, environment.names,
                            environment.guest, lease, chosen.pause, kinds,
                            chosen.stopped), seconds)
        ended = time.time()
        with tell.step('waiting for the last runs'):
            if chosen.upstream:
                time.sleep(2 * lease)
            else:
                one.drain(6 * lease)
            one.stop()
        if chosen.upstream:
            yield from _upstream(environment, home)
            return
        found = one.observe(ended)
    yield from _figures(found)
    limits = invariants.Limits(timings['claim_interval'], chosen.patience)
    for name, rule in invariants.INVARIANTS.items():
        yield report.Invariant(name, list(rule(found, limits)))


def _upstream(environment: environments.Environment,
              home: pathlib.Path) -> Iterator[report.Figure]:
    starts = {environment.jobs[volume]: moments for volume, moments
              in legacy_scheduler.starts(home).items()}
    for name, value in firings.of_starts(
            firings.jobs(environment.database), starts).counts().items():
        yield report.Figure(name, value, side=report.UPSTREAM)


def _figures(found: observations.Observations) -> Iterator[report.Figure]:
    asked = collections.Counter(run_id for run_id, _, _ in found.taken)
    states = collections.Counter(run.state for run in found.runs)
    late = sorted(run.time_started - run.nominal_at for run in found.runs
                  if run.time_started is not None)
    reclaimed = collections.Counter(
        max(0, fence - 1) for fence in {
            change.run_id: change.fence for change in found.changes}.values())
    kinds = collections.Counter(window.kind for window in found.windows)
    started, healthy = invariants.shares(found)
    counts: dict[str, float] = {
        **firings.of_runs(found.jobs, found.runs, asked).counts(),
        'runs': len(found.runs),
        **{f'runs with state {state}': count
           for state, count in sorted(states.items())},
        'start after the nominal time, median, in s':
            late[len(late) // 2] if late else 0,
        'start after the nominal time, longest, in s':
            late[-1] if late else 0,
        'backups asked for in Cinder': len(found.taken),
        'of these a second one for a run, and deleted':
            len(found.taken) - len({one[:2] for one in found.taken}),
        'reports': len(found.reports),
        'reports with a stale fence, refused': sum(
            one.status == 409 for one in found.reports),
        **{f'runs reclaimed {times} times': count
           for times, count in sorted(reclaimed.items())},
        'answers of 500 and more': len(found.errors),
        'longest answer to a report, in s': max(
            (one.until - one.at for one in found.reports
             if one.until is not None), default=0),
        'faults': len(found.windows),
        **{faults.SAID[kind]: count for kind, count in sorted(kinds.items())},
        **{f'runs started by {name}, per healthy second':
           started[name] / max(1, healthy[name]) for name in sorted(started)},
    }
    for name, value in counts.items():
        yield report.Figure(name, value)

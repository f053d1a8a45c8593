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

"""The stages that have jobs of this project fire.

Cinder finishes each backup at once, where nothing else is said.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.environment import side_by_side
from benchmarks.observation import due_runs
from benchmarks import report

_Figures = Iterator[report.Figure]

_CLAIM_INTERVAL = 5
#: Jobs that are observed beside noisy neighbours.
_OTHERS = 20
#: Runs of a burst that Cinder makes slowly.
_FEW = 500


def _burst(environment: side_by_side.Environment, jobs: int) -> _Figures:
    """All jobs are due in one second.

    First the scheduler has a slot for each run. Then Cinder finishes 15
    backups a second, and the scheduler has its defaults.
    """
    yield from due_runs.figures(
        environment, due_runs.fire(environment, jobs, max_in_flight=jobs,
                                   claim_batch=500), 'fast Cinder', {
            'until the last is claimed': report.Aim(10),
            'requests to the API for each run': report.Aim(3),
            'logins for each run': report.Aim(1)})
    few = min(_FEW, jobs)
    yield from due_runs.figures(
        environment, due_runs.fire(environment, few, finish_every=1,
                                   at_once=15),
        f'15 backups a second, {few} runs', {})


def _lateness(environment: side_by_side.Environment, jobs: int) -> _Figures:
    """How late backups are asked for, by how many jobs fire a minute.

    Everything has its defaults.
    """
    seconds = int(environment.chosen.window)
    for rate in (1, 100, 1_000):
        # One job a minute would show nothing.
        count = min(max(3, rate * seconds // 60), jobs)
        found = due_runs.fire(environment, count, seconds)
        for share, name in ((0.5, 'median'), (0.99, '99th percentile'),
                            (1, 'longest')):
            yield environment.figure(
                f'{rate} firings a minute: lateness, {name}',
                report.percentile(found.late, share), 's',
                aim=report.Aim(_CLAIM_INTERVAL + 1) if share == 0.99
                else None, note=f'{count} firings within {seconds} s')


def _noisy_neighbour(environment: side_by_side.Environment,
                     jobs: int) -> _Figures:
    """How the due jobs of a few projects delay those of the others.

    Some jobs fire one after the other: alone, then while one project has all
    the other jobs due, then while ten projects do, which fills the slots of
    the scheduler. Everything has its defaults.
    """
    seconds = int(environment.chosen.window)
    # By default a project has up to ten runs at a time, and all have fifty.
    for projects in (0, 1, 10):
        found = due_runs.fire(
            environment, _OTHERS, seconds,
            noisy=due_runs.NoisyNeighbours(jobs - _OTHERS, projects)
            if projects else None)
        name = (f'beside the due jobs of {projects} projects' if projects
                else 'alone')
        for what, value, unit, aim in (
                ('runs that succeeded', found.succeeded, '', None),
                ('lateness, median', report.percentile(found.late, 0.5), 's',
                 None),
                # With free slots, no job waits for longer than a claim.
                ('lateness, longest', found.late[-1], 's',
                 report.Aim(_CLAIM_INTERVAL + 1) if projects < 2 else None)):
            yield environment.figure(
                f'{name}: {what}', value, unit, aim=aim,
                note=f'{_OTHERS} firings within {seconds} s')


def _scale_out(environment: side_by_side.Environment, jobs: int) -> _Figures:
    """The same work for several schedulers, and several processes of the API.

    There is a slot for each run. The database, Keystone and Cinder share the
    machine with them.
    """
    for schedulers, workers in ((1, 1), (1, 2), (1, 4), (2, 2), (4, 2),
                                (4, 4)):
        environment.ours.api.resize(workers)
        found = due_runs.fire(environment, jobs, schedulers=schedulers,
                              max_in_flight=jobs, claim_batch=100)
        cpu = found.spent.schedulers.cpu + found.spent.api.cpu
        for name, value, unit in (
                ('backups a second', found.rate, ''),
                ('until the last is claimed', max(found.claimed), 's'),
                ('CPU of all for each run', 1000 * cpu / jobs, 'ms')):
            yield environment.figure(
                f'{schedulers} schedulers, {workers} processes: {name}',
                value, unit)


burst = side_by_side.Stage(_burst, 10_000, ours_only=True)
lateness = side_by_side.Stage(_lateness, 10_000, 100_000, ours_only=True)
noisy_neighbour = side_by_side.Stage(_noisy_neighbour, 10_000,
                                     ours_only=True)
scale_out = side_by_side.Stage(_scale_out, 1_000, ours_only=True)

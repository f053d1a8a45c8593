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

"""What a simulation counts, and its tables."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

from benchmarks import report
from benchmarks.stages.simulation import api


@dataclasses.dataclass
class Day:
    """The state at the end of a day.

    :ivar rows: of each table
    :ivar sizes: MiB of each table
    :ivar cpu: seconds of the process with the API, of the database
    """

    number: float
    firings: int
    rows: Mapping[str, int]
    sizes: Mapping[str, float]
    cpu: tuple[float, float]


@dataclasses.dataclass
class Result:
    """All that came out.

    :ivar late: seconds by which runs were late, by group
    """

    firings: int = 0
    runs_ended: collections.Counter[str] = dataclasses.field(
        default_factory=collections.Counter)
    reclaimed: int = 0
    missed: int = 0
    lost: int = 0
    refused: int = 0
    followed: int = 0
    trimmed: int = 0
    seconds: int = 0
    held: int = 0
    late: dict[str, collections.Counter[int]] = dataclasses.field(
        default_factory=lambda: collections.defaultdict(collections.Counter))
    days: list[Day] = dataclasses.field(default_factory=list)
    wrong: list[str] = dataclasses.field(default_factory=list)


def percentile(counted: Mapping[int, int], part: float) -> int:
    """Return the value that a part of all values does not exceed."""
    left = part * sum(counted.values())
    for value in sorted(counted):
        left -= counted[value]
        if left <= 0:
            return value
    return max(counted, default=0)


_SHOWN = ('jobs', 'job_runs', 'backups', 'actions', 'user_credentials')


def items(result: Result, costs: Mapping[str, api.Cost],
          server_cpu: float) -> Iterator[report.Item]:
    """Yield what came out.

    :param server_cpu: seconds of the database
    """
    total = api.Cost(*(sum(getattr(cost, field.name)
                           for cost in costs.values())
                       for field in dataclasses.fields(api.Cost)))
    firings = max(1, result.firings)
    for name, value, unit in (
            ('simulated', result.seconds / 86_400, 'days'),
            ('firings claimed', result.firings, ''),
            ('runs at once, at most', result.held, ''),
            *((f'runs with state {state}', count, '')
              for state, count in sorted(result.runs_ended.items())),
            ('runs reclaimed', result.reclaimed, ''),
            ('jobs with missed firings', result.missed, ''),
            ('runs lost', result.lost, ''),
            ('reports refused', result.refused, ''),
            ('old runs trimmed', result.trimmed, ''),
            ('CPU of the API, a firing', 1000 * total.cpu / firings, 'ms'),
            ('CPU of MariaDB, a firing', 1000 * server_cpu / firings, 'ms'),
            ('SQL statements, a firing', total.statements / firings, ''),
            ('requests, a firing', total.requests / firings, '')):
        yield report.Figure(name, value, unit)
    yield report.Table('Lateness in seconds', [
        ('runs of', 'runs', 'median', '99th percentile', 'longest'), *(
            (group, f'{sum(counted.values()):,}',
             f'{percentile(counted, .5)}', f'{percentile(counted, .99)}',
             f'{max(counted, default=0)}')
            for group, counted in sorted(result.late.items()))])
    yield report.Table('Requests', [
        ('request', 'number', 'CPU s', 'CPU ms each', 'statements', 'each'),
        *(_cost(kind, cost) for kind, cost in
          (*sorted(costs.items()), ('all', total)))])
    yield report.Table('Days', list(_days(result.days)))
    yield report.Invariant(
        'each firing is one run, or a row says why not '
        f'({result.followed:,} rows followed)', result.wrong)


def _cost(kind: str, cost: api.Cost) -> report.Row:
    number = max(1, cost.requests)
    return (kind, f'{cost.requests:,}', f'{cost.cpu:.1f}',
            f'{1000 * cost.cpu / number:.2f}', f'{cost.statements:,}',
            f'{cost.statements / number:.1f}')


def _days(days: Sequence[Day]) -> Iterator[report.Row]:
    yield ('day', 'firings', 'API ms each', 'DB ms each',
           *(f'{name}: rows / MiB' for name in _SHOWN), 'all, MiB')
    for day in days:
        number = max(1, day.firings)
        yield (f'{day.number:.2f}', f'{day.firings:,}',
               *(f'{1000 * cpu / number:.2f}' for cpu in day.cpu),
               *(f'{day.rows.get(name, 0):,} / {day.sizes[name]:.0f}'
                 for name in _SHOWN), f'{sum(day.sizes.values()):,.0f}')

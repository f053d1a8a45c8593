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

"""What came out of a simulation, for people."""

from __future__ import annotations

import argparse
import collections
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

from benchmarks.simulation import api
from benchmarks.simulation import mix


@dataclasses.dataclass
class Day:
    """What there was at the end of a day.

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

    :ivar late: seconds by which runs were late, by whose they are
    :ivar waited: how long the longest waiting job had waited, by day
    """

    firings: int = 0
    runs_ended: collections.Counter[str] = dataclasses.field(
        default_factory=collections.Counter)
    taken_over: int = 0
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
    notes: list[str] = dataclasses.field(default_factory=list)


def percentile(counted: Mapping[int, int], part: float) -> int:
    """Return the value that a part of all values does not exceed."""
    left = part * sum(counted.values())
    for value in sorted(counted):
        left -= counted[value]
        if left <= 0:
            return value
    return max(counted, default=0)


def text(chosen: argparse.Namespace, result: Result,
         costs: Mapping[str, api.Cost], server_cpu: float) -> str:
    return '\n'.join((
        *_head(chosen, result), '', *_lateness(result.late), '',
        *_costs(result, costs, server_cpu), '', *_days(result.days), '',
        *_wrong(result)))


def _head(chosen: argparse.Namespace, result: Result) -> Iterator[str]:
    yield (f'{chosen.jobs:,} jobs in {chosen.projects:,} projects, '
           f'{chosen.monthly} of a thousand monthly, {chosen.daily} daily, '
           f'{chosen.hourly} hourly, the others weekly')
    yield (f'{result.seconds / mix.DAY:.2f} days of {chosen.days:g}; '
           f'{chosen.schedulers} schedulers with {chosen.places} places each')
    yield (f'{result.firings:,} firings claimed, at most {result.held:,} at '
           f'once; ' + ', '.join(
               f'{count:,} {state}' for state, count
               in sorted(result.runs_ended.items())))
    yield (f'{result.taken_over:,} taken over, {result.missed:,} jobs with '
           f'firings missed, {result.lost:,} lost, {result.refused:,} reports '
           f'refused, {result.trimmed:,} old runs trimmed')
    yield from result.notes


def _lateness(late: Mapping[str, collections.Counter[int]]) -> Iterator[str]:
    yield f'{"late, in seconds":40}{"runs":>10}{"p50":>7}{"p99":>7}{"max":>7}'
    for whose, counted in sorted(late.items()):
        yield (f'{whose:40}{sum(counted.values()):10,}'
               f'{percentile(counted, .5):7}{percentile(counted, .99):7}'
               f'{max(counted, default=0):7}')


def _costs(result: Result, costs: Mapping[str, api.Cost],
           server_cpu: float) -> Iterator[str]:
    yield (f'{"request":28}{"number":>10}{"CPU s":>9}{"CPU ms":>9}'
           f'{"statements":>12}{"each":>7}')
    total = api.Cost()
    for kind, cost in sorted(costs.items()):
        yield _cost(kind, cost)
        total.requests += cost.requests
        total.cpu += cost.cpu
        total.statements += cost.statements
    yield _cost('all of it', total)
    firings = max(1, result.firings)
    yield (f'for a thousand firings: {1000 * total.cpu / firings:.1f} CPU '
           f'seconds of the API, {1000 * server_cpu / firings:.1f} of '
           f'MariaDB; for one: {total.statements / firings:.1f} statements, '
           f'{total.requests / firings:.2f} requests')


def _cost(kind: str, cost: api.Cost) -> str:
    number = max(1, cost.requests)
    return (f'{kind:28}{cost.requests:10,}{cost.cpu:9.1f}'
            f'{1000 * cost.cpu / number:9.2f}{cost.statements:12,}'
            f'{cost.statements / number:7.1f}')


_SHOWN = ('jobs', 'job_runs', 'backups', 'actions', 'user_credentials')


def _days(days: Sequence[Day]) -> Iterator[str]:
    yield (f'{"day":>5}{"firings":>10}{"API ms":>8}{"DB ms":>8}' + ''.join(
        f'{name:>17}' for name in _SHOWN) + f'{"all, MiB":>10}')
    yield f'{"":>5}{"":>10}{"each":>8}{"each":>8}' + ''.join(
        f'{"rows / MiB":>17}' for _ in _SHOWN)
    for day in days:
        number = max(1, day.firings)
        yield (f'{day.number:5.2f}{day.firings:10,}'
               f'{1000 * day.cpu[0] / number:8.2f}'
               f'{1000 * day.cpu[1] / number:8.2f}' + ''.join(
                   f'{day.rows.get(name, 0):10,} /{day.sizes[name]:5.0f}'
                   for name in _SHOWN) + f'{sum(day.sizes.values()):10,.0f}')


def _wrong(result: Result) -> Iterator[str]:
    yield (f'{"BROKEN" if result.wrong else "held":8}each firing is one run, '
           f'or a row says why not ({result.followed:,} rows followed)')
    yield from (f'        {line}' for line in result.wrong[:20])

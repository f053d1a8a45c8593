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

"""What was measured, as JSON and as tables."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses

from benchmarks.api import measure
from benchmarks.api import operations
from benchmarks.api import sides

OURS = 'ours'
UPSTREAM = 'upstream'


@dataclasses.dataclass
class Stage:
    """What was measured with one number of jobs in one kind of database.

    :ivar results: of each kind of request, by side
    :ivar sweeps: by side
    :ivar load: of the machine, before and after
    """

    database: str
    jobs: int
    results: dict[str, dict[str, measure.Result]]
    sweeps: dict[str, list[measure.Sweep]]
    memory: dict[str, sides.Memory]
    load: list[float]


@dataclasses.dataclass
class Report:
    """Everything, with what it was measured on.

    :ivar machine: in words, by what is told
    """

    machine: dict[str, str]
    stages: list[Stage]
    seconds: float


Row = Sequence[str]


def _number(value: float) -> str:
    if value >= 100:
        return f'{value:,.0f}'
    return f'{value:.1f}' if value >= 10 else f'{value:.2f}'


def _times(ratio: float) -> str:
    return f'{_number(ratio)} x'


def table(title: str, rows: Sequence[Row]) -> str:
    """A simple table of reStructuredText; the first row is its head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = '  '.join('=' * width for width in widths)
    lines = ['  '.join(
        cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip() for row in rows]
    return '\n'.join(['', title, '', rule, lines[0], rule, *lines[1:], rule,
                      ''])


def render(report: Report) -> str:
    """The tables of a report."""
    parts = [f'{name}: {text}' for name, text in report.machine.items()]
    for stage in report.stages:
        load = ' to '.join(f'{one:.1f}' for one in stage.load)
        name = f'{stage.database}, {stage.jobs:,} jobs'
        parts.append(table(
            f'{name} (load of the machine {load})',
            [('request', 'p50 ms', '', 'p99 ms', '', 'req/s, 1 client', '',
              'ratio', 'req/s, 4 clients', '', 'ratio', 'SQL', '', 'failed',
              ''),
             ('', *([OURS, UPSTREAM] * 3), '', OURS, UPSTREAM, '', OURS,
              UPSTREAM, OURS, UPSTREAM), *_requests(stage)]))
        if stage.sweeps:
            parts.append(table(f'{name}: the whole list once', [
                ('how', 'side', 'seconds', 'pages', 'asked for',
                 'times faster than upstream'), *_sweeps(stage)]))
        parts.append(table(f'{name}: memory of the API', [
            ('side', 'processes', 'resident MiB', 'proportional MiB'),
            *((side, str(one.processes), _number(one.resident),
               _number(one.proportional))
              for side, one in stage.memory.items())]))
    parts.append(table('Aims', [('aim', 'measured', 'met'), *aims(report)]))
    return '\n'.join(parts)


def _requests(stage: Stage) -> Iterator[Row]:
    for name, results in stage.results.items():
        ours, theirs = results[OURS], results.get(UPSTREAM)
        cells = [name]
        for field in ('p50', 'p99', 'rate', 'rate4', 'statements'):
            mine = getattr(ours, field)
            other = getattr(theirs, field) if theirs else None
            cells += [_number(mine), '-' if other is None else _number(other)]
            if field in ('rate', 'rate4'):
                cells.append(_times(mine / other) if other else '-')
        cells += [str(ours.failed), str(theirs.failed) if theirs else '-']
        yield cells


def _sweeps(stage: Stage) -> Iterator[Row]:
    known = stage.sweeps.get(UPSTREAM)
    for side, found in stage.sweeps.items():
        for one in found:
            yield (one.how, side, _number(one.seconds), f'{one.pages:,}',
                   f'{one.measured:,}',
                   _times(known[0].seconds / one.seconds)
                   if known and side == OURS else '-')


def aims(report: Report) -> Iterator[Row]:
    """What is wanted of ours, what was measured, and whether it is met."""
    for stage in report.stages:
        where = f'{stage.database}, {stage.jobs:,} jobs'
        page = stage.results.get(operations.LIST.name)
        if page:
            yield _aim(f'{where}: a page within 15 ms', page[OURS].p50, 15,
                       'ms', least=False)
            yield _aim(f'{where}: a page in 4 statements at most',
                       page[OURS].statements, 4, '', least=False)
        for what in operations.SINGLE:
            found = stage.results.get(what.name)
            if found and UPSTREAM in found and what.aim:
                yield _aim(
                    f'{where}: {what.name}, {what.aim:g} times the rate',
                    found[OURS].rate / found[UPSTREAM].rate, what.aim, 'x',
                    least=True)
        known = stage.sweeps.get(UPSTREAM)
        if known and stage.jobs == 1000:
            for one in stage.sweeps[OURS]:
                yield _aim(
                    f'{where}: a sweep {one.how}, 1,000 times as fast',
                    known[0].seconds / one.seconds, 1000, 'x', least=True)
        yield _aim(f'{where}: 150 MiB of memory at most, shared pages once',
                   stage.memory[OURS].proportional, 150, 'MiB', least=False)


def _aim(text: str, value: float, wanted: float, unit: str, *,
         least: bool) -> Row:
    met = value >= wanted if least else value <= wanted
    return text, f'{_number(value)} {unit}'.strip(), 'yes' if met else 'NO'

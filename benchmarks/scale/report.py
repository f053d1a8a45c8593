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
import itertools
import json

from benchmarks.api import report
from benchmarks.scale import figure

NAMES = {'sqlite': 'SQLite', 'mariadb': 'MariaDB',
         'postgresql': 'PostgreSQL'}


@dataclasses.dataclass(frozen=True)
class Part:
    """What one stage found with one number of jobs.

    :ivar name: of the stage
    :ivar title: of the stage
    :ivar load: of the machine, before and after
    :ivar seconds: that it took
    :ivar failed: why it ended before it was done
    """

    name: str
    title: str
    engine: str
    jobs: int
    load: tuple[float, float]
    seconds: float
    figures: Sequence[figure.Figure]
    failed: str = ''


@dataclasses.dataclass(frozen=True)
class Report:
    """Everything, with what it was measured on.

    :ivar machine: in words, by what is told
    """

    machine: dict[str, str]
    parts: Sequence[Part]
    seconds: float

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1) + '\n'


def render(found: Report) -> str:
    """The tables of a report."""
    lines = [f'{name}: {text}' for name, text in found.machine.items()]
    lines.append(f'All of it took {found.seconds:.0f} seconds.')
    by_stage: dict[tuple[str, str], list[Part]] = {}
    for part in found.parts:
        by_stage.setdefault((part.engine, part.name), []).append(part)
    lines += map(_table, by_stage.values())
    return '\n'.join(lines)


def _table(parts: Sequence[Part]) -> str:
    first = parts[0]
    load = [one for part in parts for one in part.load]
    title = (f'{NAMES[first.engine]}: {first.title} (load of the machine '
             f'{min(load):.1f} to {max(load):.1f})')
    figures = [one for part in parts for one in part.figures]
    sides = [side for side in figure.SIDES
             if any(one.side == side for one in figures)]
    failed = [f'Ended early with {part.jobs:,} jobs: {part.failed}\n'
              for part in parts if part.failed]
    return report.table(title, [
        ('what', 'unit', 'jobs', *sides, 'upstream / ours', 'aim', 'met',
         'how'), *_rows(figures, sides)]) + ''.join(failed)


def _rows(figures: Sequence[figure.Figure],
          sides: Sequence[str]) -> Iterator[report.Row]:
    places = list(dict.fromkeys(one.name for one in figures))
    for (_, jobs), some in itertools.groupby(
            sorted(figures, key=lambda one: (places.index(one.name),
                                             one.jobs)),
            lambda one: (one.name, one.jobs)):
        by_side = {one.side: one for one in some}
        ours = by_side.get(figure.OURS)
        theirs = by_side.get(figure.UPSTREAM)
        any_one = next(iter(by_side.values()))
        aim = ours and ours.aim
        yield (
            any_one.name, any_one.unit, f'{jobs:,}',
            *(number(by_side[side].value) if side in by_side else '-'
              for side in sides),
            f'{number(theirs.value / ours.value)} x'
            if ours and theirs and ours.value else '-',
            f'{">=" if aim.least else "<="} {number(aim.value)}'
            if aim else '',
            ('yes' if aim.met(ours.value) else 'NO')
            if ours and aim else '',
            '; '.join(f'{one.side}: {one.note}' for one in by_side.values()
                      if one.note))


def number(value: float) -> str:
    """A number with three digits that count, or all before the point."""
    if value == 0:
        return '0'
    if abs(value) >= 100:
        return f'{value:,.0f}'
    return f'{value:.3g}'

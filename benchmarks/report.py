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

"""What a stage found: figures, tables and invariants, as JSON and as text."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import itertools
import json

OURS = 'ours'
UPSTREAM = 'upstream'
SIDES = (OURS, UPSTREAM)

Row = Sequence[str]

_SHOWN = 20


@dataclasses.dataclass(frozen=True)
class Aim:
    """What a figure of this project should be.

    :ivar value: in the unit of the figure
    :ivar least: more is better
    :ivar required: the stage fails where the aim is missed
    """

    value: float
    least: bool = False
    required: bool = False

    def met(self, value: float) -> bool:
        return value >= self.value if self.least else value <= self.value


@dataclasses.dataclass(frozen=True)
class Figure:
    """One measured value.

    :ivar name: the same for each side and number of jobs
    :ivar side: one of :data:`SIDES`
    :ivar jobs: in the database; 0 where that does not matter
    :ivar note: how it was found, where it was not just measured
    """

    name: str
    value: float
    unit: str = ''
    side: str = OURS
    jobs: int = 0
    aim: Aim | None = None
    note: str = ''

    def __str__(self) -> str:
        return (f'{self.name}, {self.side}: {number(self.value)} {self.unit} '
                f'{self.note}').rstrip()


@dataclasses.dataclass(frozen=True)
class Table:
    """Text in columns; the first row is the head."""

    title: str
    rows: Sequence[Row]

    def __str__(self) -> str:
        """Return a simple table of reStructuredText."""
        widths = [max(map(len, column))
                  for column in zip(*self.rows, strict=True)]
        rule = '  '.join('=' * width for width in widths)
        head, *rows = ['  '.join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
            ).rstrip() for row in self.rows]
        title = [self.title, ''] if self.title else []
        return '\n'.join(['', *title, rule, head, rule, *rows, rule, ''])


@dataclasses.dataclass(frozen=True)
class Invariant:
    """A rule, and a line for each case in which it was broken."""

    name: str
    violations: Sequence[str]

    def __str__(self) -> str:
        shown = [f'        {line}' for line in self.violations[:_SHOWN]]
        more = len(self.violations) - len(shown)
        if more:
            shown.append(f'        and {more} more')
        return '\n'.join([f'{"BROKEN" if shown else "held":8}{self.name}',
                          *shown])


Item = Figure | Table | Invariant


@dataclasses.dataclass
class Report:
    """Everything that one stage found.

    :ivar machine: what it was measured on, by name
    :ivar load: of the machine, before and after
    :ivar error: why the stage ended before it was done
    """

    title: str
    machine: dict[str, str]
    items: list[Item]
    load: tuple[float, float]
    seconds: float
    error: str = ''

    @property
    def figures(self) -> list[Figure]:
        return [one for one in self.items if isinstance(one, Figure)]

    @property
    def failed(self) -> bool:
        return bool(self.error) or any(
            isinstance(one, Invariant) and one.violations
            for one in self.items) or any(
                one.side == OURS and one.aim is not None and one.aim.required
                and not one.aim.met(one.value) for one in self.figures)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1) + '\n'

    def __str__(self) -> str:
        """Return the report as text."""
        low, high = min(self.load), max(self.load)
        parts = [
            f'{self.title} (load of the machine {low:.1f} to {high:.1f}, '
            f'{self.seconds:.0f} seconds)',
            *(f'{name}: {text}' for name, text in self.machine.items())]
        if self.figures:
            parts.append(str(Table('', list(_columns(self.figures)))))
        parts += [str(one) for one in self.items
                  if not isinstance(one, Figure)]
        if self.error:
            parts.append(f'Ended early: {self.error}')
        return '\n'.join(parts)


def _columns(figures: Sequence[Figure]) -> Iterator[Row]:
    """Yield the rows of the figures, without columns that stay empty."""
    rows = [('', 'unit', 'jobs', *SIDES, 'upstream / ours', 'aim', 'met',
             'note'), *_rows(figures)]
    used = [number for number, cells in enumerate(zip(*rows, strict=True))
            if any(cells[1:])]
    for row in rows:
        yield [row[number] for number in used]


def _rows(figures: Sequence[Figure]) -> Iterator[tuple[str, ...]]:
    order = list(dict.fromkeys(one.name for one in figures))
    for (name, jobs), same in itertools.groupby(
            sorted(figures, key=lambda one: (order.index(one.name),
                                             one.jobs)),
            lambda one: (one.name, one.jobs)):
        sides = {one.side: one for one in same}
        ours, theirs = sides.get(OURS), sides.get(UPSTREAM)
        aim = ours and ours.aim
        yield (
            name, next(iter(sides.values())).unit, f'{jobs:,}' if jobs else '',
            *(number(sides[side].value) if side in sides else ''
              for side in SIDES),
            f'{number(theirs.value / ours.value)} x'
            if ours and theirs and ours.value else '',
            f'{">=" if aim.least else "<="} {number(aim.value)}'
            if aim else '',
            ('yes' if aim.met(ours.value) else 'NO') if ours and aim else '',
            '; '.join(f'{one.side}: {one.note}' for one in sides.values()
                      if one.note))


def number(value: float) -> str:
    """Return a number with three significant digits, or all before the point.
    """
    if value == 0:
        return '0'
    if abs(value) >= 100:
        return f'{value:,.0f}'
    return f'{value:.3g}'


def percentile(ascending: Sequence[float], share: float) -> float:
    """Return the value that a share of the values does not exceed."""
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]

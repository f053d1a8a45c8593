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


"""Draw the backups that a year of a daily job leaves.

``python -m tools.retention_picture`` writes the picture, which is a part of
the page on retention. A model of Cinder makes the backups, and the planner of
the product removes them.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import datetime
import pathlib

from freezer_api.domain import keep_rules
from freezer_api.domain import retention
from tests.unit.freezer_api.domain import cinder_model

RULES = keep_rules.KeepRules(daily=7, weekly=4, monthly=12, yearly=3)
FULL_EVERY = 7

_PAGE = (pathlib.Path(__file__).resolve().parents[1]
         / 'doc/source/user/retention-year.svg')
_DAY = datetime.timedelta(days=1)
_CELL = 13
_LEFT, _TOP = 34, 34
_COLOURS = {'kept': '#1b7837', 'needed': '#a6dba0', 'removed': '#eeeeee'}
_WEEKDAYS = ('Mon', '', 'Wed', '', 'Fri', '', 'Sun')


@dataclasses.dataclass(frozen=True)
class Day:
    """A day of the year, and its backup at the end of the year.

    :ivar rules: the rules that keep it; empty if another backup needs it
    """

    date: datetime.date
    is_full: bool
    exists: bool
    rules: tuple[str, ...]


def simulate(days: int = 365, rules: keep_rules.KeepRules = RULES,
             start: datetime.datetime = cinder_model.START) -> list[Day]:
    """Make a backup each day, and remove old ones after each.

    :param days: number of days
    :param start: time of the first backup, at which the model's clock is 0
    """
    cinder = cinder_model.Cinder()
    made = {}
    for number in range(days):
        cinder.clock = 24.0 * number
        backup = cinder.make(incremental=number % FULL_EVERY > 0)
        assert backup is not None
        made[backup] = (start + number * _DAY).date()
        plan = retention.plan(
            cinder.listed(), retention.Rule(periods=rules),
            retention.Scope(made=backup, now=start + number * _DAY))
        for old in plan.deletions:
            assert cinder.delete(old.id)
    kept = rules.kept({
        one.id: one.created_at for one in cinder.backups.values()
        if one.created_at is not None})
    return [Day(date, number % FULL_EVERY == 0, backup in cinder.backups,
                kept.get(backup, ()))
            for number, (backup, date) in enumerate(made.items())]


def draw(days: list[Day]) -> str:
    """Return a calendar as SVG, with a column for each week."""
    first = days[0].date - days[0].date.weekday() * _DAY
    columns = (days[-1].date - first).days // 7 + 1
    width, height = _LEFT + columns * _CELL + 8, _TOP + 7 * _CELL + 62
    return '\n'.join((
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
        f'height="{height}" font-family="sans-serif" font-size="10" '
        'role="img">',
        '<title>The backups that exist after a year</title>',
        *(f'<text x="2" y="{_TOP + row * _CELL + 10}">{name}</text>'
          for row, name in enumerate(_WEEKDAYS) if name),
        *_months(days, first), *(_cell(day, first) for day in days),
        *_legend(days), '</svg>')) + '\n'


def _column(date: datetime.date, first: datetime.date) -> int:
    return _LEFT + (date - first).days // 7 * _CELL


def _months(days: list[Day], first: datetime.date) -> Iterator[str]:
    for day in days:
        if day.date.day == 1:
            yield (f'<text x="{_column(day.date, first)}" y="{_TOP - 6}">'
                   f'{day.date:%b}</text>')


def _cell(day: Day, first: datetime.date) -> str:
    colour = _COLOURS['removed' if not day.exists
                      else 'kept' if day.rules else 'needed']
    x = _column(day.date, first)
    y = _TOP + day.date.weekday() * _CELL
    what = ('removed' if not day.exists
            else f'stays: {", ".join(day.rules) or "another one needs it"}')
    edge = ' stroke="#000000"' if day.is_full and day.exists else ''
    return (f'<rect x="{x}" y="{y}" width="{_CELL - 2}" height="{_CELL - 2}" '
            f'fill="{colour}"{edge}><title>{day.date}, '
            f'{"full" if day.is_full else "incremental"}; {what}</title>'
            '</rect>')


def _legend(days: list[Day]) -> Iterator[str]:
    y = _TOP + 7 * _CELL + 14
    for number, (name, text) in enumerate((
            ('kept', 'a rule keeps it'),
            ('needed', 'in the chain of one that a rule keeps'),
            ('removed', 'removed'))):
        x = _LEFT + (0, 110, 330)[number]
        yield (f'<rect x="{x}" y="{y - 10}" width="{_CELL - 2}" '
               f'height="{_CELL - 2}" fill="{_COLOURS[name]}"/>'
               f'<text x="{x + _CELL + 2}" y="{y}">{text}</text>')
    stay = [day for day in days if day.exists]
    yield (f'<text x="{_LEFT}" y="{y + 20}">A black frame is a full backup. '
           f'{len(days)} backups were made, {len(stay)} exist in '
           f'{sum(day.is_full for day in stay)} chains.</text>')


if __name__ == '__main__':
    _PAGE.write_text(draw(simulate()))

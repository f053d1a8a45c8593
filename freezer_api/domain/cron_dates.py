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

"""The days that match cron fields.

There are at most 21 kinds of years: a year begins on one of seven weekdays,
and it, the year before it or neither is a leap year (the year before
determines whether 1 January can be in week 53). The days of each kind are
computed once, as a bit mask for each month, for any number of years.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
import datetime
import functools

from freezer_api.domain import cron_fields

LAST_YEAR = datetime.MAXYEAR - 1
"""The last year of a search; computations can reach the next one."""

# The Gregorian calendar repeats after these years. Each kind of year occurs at
# least once in 40 years.
_CYCLE = range(2000, 2400)
YEARS = 40

# Bit d is set for the days d of a month with the same weekday as the first
# day, the second day, and so on.
_SEVENTHS = tuple(sum(1 << day for day in range(1 + ahead, 32, 7))
                  for ahead in range(7))

_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

Kind = tuple[int, bool, bool]


def kind_of(year: int) -> Kind:
    """Return the values that determine the calendar of a year."""
    return (calendar.weekday(year, 1, 1), calendar.isleap(year),
            calendar.isleap(year - 1))


def _weeks(year: int) -> tuple[dict[int, int], ...]:
    """Return for each month the days of each ISO week, as bit masks."""
    months: list[dict[int, int]] = [{} for _ in range(12)]
    day = datetime.date(year, 1, 1)
    while day.year == year:
        week = day.isocalendar().week
        days = months[day.month - 1]
        days[week] = days.get(week, 0) | 1 << day.day
        day += datetime.timedelta(days=1)
    return tuple(months)


_WEEKS = {kind: _weeks(year)
          for kind, year in {kind_of(year): year for year in _CYCLE}.items()}


# The kinds of two successive years.
_PAIRS = frozenset((kind_of(year), kind_of(year + 1)) for year in _CYCLE)


class Dates:
    """The days that match the fields month, day, week and day_of_week.

    :param year: the only matching year, None for all years
    :param either: whether a day must match only one of ``days`` and
        ``weekdays``
    """

    def __init__(self, year: int | None, months: cron_fields.Values,
                 days: cron_fields.Values, weeks: cron_fields.Values,
                 weekdays: cron_fields.Values, either: bool = False) -> None:
        self._year = year
        self._kinds = tuple(_WEEKS) if year is None else (kind_of(year),)
        self._months = months.numbers
        self._days = days
        self._weeks = weeks.numbers
        self._weekdays = tuple(
            weekday for weekday in range(7) if weekdays.numbers >> weekday & 1)
        self._either = either
        self._every_week = weeks == cron_fields.everything('week')
        self._of_kind: dict[Kind, tuple[int, ...]] = {}
        self._of_month: dict[tuple[int, int], int] = {}

    @functools.cached_property
    def possible(self) -> bool:
        """Whether at least one day matches all fields."""
        return any(any(self._months_of(kind)) for kind in self._kinds)

    def first(self, since: datetime.date) -> datetime.date | None:
        """Return the first matching day that is not before ``since``.

        :returns: None if there is none before the year 9999
        """
        if not self.possible:
            return None
        years = range(since.year, min(since.year + YEARS, LAST_YEAR) + 1)
        if self._year is not None:
            years = range(max(since.year, self._year),
                          min(self._year, LAST_YEAR) + 1)
        for year in years:
            months = self._months_of(kind_of(year))
            passed = 0
            if year == since.year:
                passed = since.month - 1
                days = months[passed] >> since.day << since.day
                if days:
                    return since.replace(day=lowest(days))
                passed += 1
            for month, days in enumerate(months[passed:], passed + 1):
                if days:
                    return datetime.date(year, month, lowest(days))
        return None

    def adjacent(self) -> bool:
        """Return whether two successive days match."""
        return any(self._adjacent_in(kind) for kind in self._kinds) or (
            self._year is None and any(
                self._months_of(before)[11] >> 31 & 1
                and self._months_of(after)[0] >> 1 & 1
                for before, after in _PAIRS))

    def _adjacent_in(self, kind: Kind) -> bool:
        last = False
        for month, days in enumerate(self._months_of(kind), 1):
            if days & days >> 1 or (last and days >> 1 & 1):
                return True
            last = bool(days >> _length(kind, month) & 1)
        return False

    def _months_of(self, kind: Kind) -> tuple[int, ...]:
        """Return the matching days of each month, as bit masks."""
        if kind not in self._of_kind:
            self._of_kind[kind] = tuple(self._search(kind))
        return self._of_kind[kind]

    def _search(self, kind: Kind) -> Iterator[int]:
        weekday = kind[0]
        for month in range(1, 13):
            length = _length(kind, month)
            days = 0
            if self._months >> month & 1:
                days = self._in_month(weekday, length)
                if days and not self._every_week:
                    # The days of different weeks are disjoint.
                    days &= sum(
                        in_week for week, in_week
                        in _WEEKS[kind][month - 1].items()
                        if self._weeks >> week & 1)
            yield days
            weekday = (weekday + length) % 7

    def _in_month(self, weekday: int, length: int) -> int:
        """Return the matching days of a month, regardless of their week.

        :param weekday: of the first day
        :param length: number of days
        """
        known = self._of_month.get((weekday, length))
        if known is not None:
            return known
        days = self._days.numbers
        if self._days.last:
            days |= 1 << length
        for which, of in self._days.positions:
            hit = (of - weekday) % 7 + 1
            days |= 1 << (hit + which * 7 if which < 5
                          else hit + (length - hit) // 7 * 7)
        wanted = 0
        for of in self._weekdays:
            wanted |= _SEVENTHS[(of - weekday) % 7]
        days = days | wanted if self._either else days & wanted
        days &= (1 << length + 1) - 2
        self._of_month[weekday, length] = days
        return days


def _length(kind: Kind, month: int) -> int:
    """Return the number of days of a month."""
    return _LENGTHS[month - 1] + (kind[1] and month == 2)


def lowest(numbers: int) -> int:
    """Return the smallest number of a non-empty set."""
    return (numbers & -numbers).bit_length() - 1

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

"""The firings of cron fields, with changes of local time.

In UTC every time of day occurs once. When local clocks change, a time can be
skipped or occur twice, but a backup should be made exactly once: a skipped
time fires at the change, and a repeated time fires when it occurs first. A
schedule for every hour, whose hour begins with ``*``, fires each time the
clock shows its minute.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime
import functools
import itertools
import zoneinfo

from freezer_api.domain import cron_dates
from freezer_api.domain import cron_fields
from freezer_api.domain import crontab

# APScheduler's first year.
_FIRST = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_SECOND = datetime.timedelta(seconds=1)
_DAY = datetime.timedelta(days=1)
_DAY_SECONDS = 86_400

Fields = Sequence[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Compiled:
    """Compiled cron fields.

    :ivar hours: like minutes and seconds, a bit mask
    """

    dates: cron_dates.Dates
    hours: int
    minutes: int
    seconds: int

    def first(self, since: datetime.datetime) -> datetime.datetime | None:
        """Return the first match that is not before ``since``, in UTC."""
        day = self.dates.first(since.date())
        if day is None:
            return None
        if day == since.date():
            time = self._time_since(since.hour, since.minute, since.second)
            if time is not None:
                return datetime.datetime.combine(day, time)
            day = self.dates.first(day + _DAY)
            if day is None:
                return None
        return datetime.datetime.combine(day, self._midnight)

    @functools.cached_property
    def _midnight(self) -> datetime.time:
        """The first matching time of a day."""
        return _time(cron_dates.lowest(self.hours),
                     cron_dates.lowest(self.minutes),
                     cron_dates.lowest(self.seconds))

    def least_gap(self) -> int:
        """Return the smallest number of seconds between two matches, in UTC.

        :returns: at most one day
        """
        found, span = _DAY_SECONDS, 0
        for numbers, seconds in ((self.seconds, 1), (self.minutes, 60),
                                 (self.hours, 3600)):
            known = [number for number in range(numbers.bit_length())
                     if numbers >> number & 1]
            found = min([found, *(
                (after - before) * seconds - span
                for before, after in itertools.pairwise(known))])
            span += (known[-1] - known[0]) * seconds
        if _DAY_SECONDS - span < found and self.dates.adjacent():
            return _DAY_SECONDS - span
        return found

    def _time_since(self, hour: int, minute: int,
                    second: int) -> datetime.time | None:
        """Return the first matching time that is not before this one."""
        if self.hours >> hour & 1:
            if self.minutes >> minute & 1:
                seconds = self.seconds >> second << second
                if seconds:
                    return _time(hour, minute, cron_dates.lowest(seconds))
            minutes = self.minutes >> minute + 1 << minute + 1
            if minutes:
                return _time(hour, cron_dates.lowest(minutes),
                             cron_dates.lowest(self.seconds))
        hours = self.hours >> hour + 1 << hour + 1
        if hours:
            return _time(cron_dates.lowest(hours),
                         cron_dates.lowest(self.minutes),
                         cron_dates.lowest(self.seconds))
        return None


def _time(hour: int, minute: int, second: int) -> datetime.time:
    return datetime.time(hour, minute, second, tzinfo=datetime.UTC)


@functools.lru_cache(maxsize=256)
def compile_fields(fields: tuple[tuple[str, str], ...]) -> Compiled:
    """Compile cron fields.

    A missing field is ``*`` if it is more significant than a given one, and
    otherwise its smallest value.

    :param fields: names and values of the given fields; or only ``cron`` with
        a crontab expression
    :raises ValueError: if a value is not a cron expression
    """
    given = dict(fields)
    if 'cron' in given:
        return _of_crontab(crontab.compile_text(given['cron']))
    names = list(cron_fields.RANGES)
    least_significant = max(
        (names.index(name) for name in given), default=-1)
    values = {
        name: cron_fields.compile_field(
            name, given.get(name, '*' if position < least_significant
                            or name in ('week', 'day_of_week')
                            else str(cron_fields.RANGES[name][0])))
        for position, name in enumerate(names) if name != 'year'}
    year = int(given['year']) if 'year' in given else None
    return Compiled(
        cron_dates.Dates(year, values['month'], values['day'], values['week'],
                         values['day_of_week']),
        *(values[name].numbers for name in ('hour', 'minute', 'second')))


def _of_crontab(read: crontab.Crontab) -> Compiled:
    values = cron_fields.Values
    return Compiled(
        cron_dates.Dates(
            None, values(read.months), values(read.days),
            cron_fields.everything('week'), values(read.weekdays),
            read.either),
        read.hours, read.minutes, 1)


def first_firing(fields: Fields, zone: zoneinfo.ZoneInfo | None,
                 earliest: datetime.datetime) -> datetime.datetime | None:
    """Return the first firing that is not before ``earliest``, in UTC.

    :param fields: names and values of the given cron fields
    :param zone: time zone of the fields; None for UTC
    :param earliest: a whole second
    :returns: None if there is none before the year 9999
    """
    compiled = compile_fields(tuple(fields))
    earliest = max(earliest, _FIRST)
    if zone is None or earliest.year > cron_dates.LAST_YEAR:
        return _shown(compiled, earliest.astimezone(datetime.UTC))
    if _every_hour(dict(fields)):
        return _whenever_shown(compiled, zone, earliest)
    return _once_a_day(compiled, zone, earliest)


def _every_hour(given: Mapping[str, str]) -> bool:
    """Return whether the hour is ``*``, explicitly or by default."""
    if 'cron' in given:
        return crontab.compile_text(given['cron']).every_hour
    return given.get('hour', '*' if given.keys() & {'minute', 'second'}
                     else '0').startswith('*')


def _shown(compiled: Compiled,
           since: datetime.datetime) -> datetime.datetime | None:
    """Return the first match on a clock without changes.

    :param since: local time, as if it were UTC
    """
    since = max(since, _FIRST)
    return None if since.year > cron_dates.LAST_YEAR else compiled.first(since)


def _once_a_day(compiled: Compiled, zone: zoneinfo.ZoneInfo,
                earliest: datetime.datetime) -> datetime.datetime | None:
    before = (earliest - _SECOND).astimezone(zone)
    # After a skipped period, this is the local time without the change.
    since = _wall(before) + _SECOND
    if before.fold:
        # All times of the repeated period have already occurred.
        first = before.replace(fold=0).utcoffset()
        second = before.utcoffset()
        assert first is not None and second is not None
        since = _wall(_jump(zone, earliest - (first - second) - _SECOND,
                            earliest)) + (first - second)
    wall = _shown(compiled, since)
    if wall is None:
        return None
    firing = wall.replace(tzinfo=zone).astimezone(datetime.UTC)
    if _wall(firing.astimezone(zone)) == wall:
        return firing
    return _jump(zone, firing - (_wall(firing.astimezone(zone)) - wall)
                 - _SECOND, firing).astimezone(datetime.UTC)


def _whenever_shown(compiled: Compiled, zone: zoneinfo.ZoneInfo,
                    earliest: datetime.datetime) -> datetime.datetime | None:
    while True:
        wall = _wall(earliest.astimezone(zone))
        # Clocks are set back by less than two days, and differ from UTC by
        # less than a day. So nothing fires until a day before the next match,
        # and clock changes before that do not matter.
        coming = _shown(compiled, max(_FIRST, wall - 2 * _DAY))
        if coming is None:
            return None
        if coming - _DAY > earliest:
            earliest = coming - _DAY
            wall = _wall(earliest.astimezone(zone))
        shown = _shown(compiled, wall)
        firing = None if shown is None else earliest + (shown - wall)
        until = earliest + 3 * _DAY
        if firing is not None:
            until = min(until, firing)
        if _offset(zone, until) != _offset(zone, earliest):
            # The clock changes before the match: continue from the change.
            earliest = _jump(zone, earliest, until).astimezone(datetime.UTC)
        elif until == firing:
            return firing.astimezone(datetime.UTC)
        else:
            earliest = until


def _wall(local: datetime.datetime) -> datetime.datetime:
    """Return the local time, as if it were UTC."""
    return local.replace(tzinfo=datetime.UTC, fold=0)


def _offset(zone: zoneinfo.ZoneInfo,
            moment: datetime.datetime) -> datetime.timedelta | None:
    return moment.astimezone(zone).utcoffset()


def _jump(zone: zoneinfo.ZoneInfo, before: datetime.datetime,
          after: datetime.datetime) -> datetime.datetime:
    """Return the time of a clock change between two times, in local time.

    It is the first whole second with the offset of ``after``.
    """
    new = _offset(zone, after)
    low, high = 0, (after - before) // _SECOND
    while low + 1 < high:
        middle = (low + high) // 2
        if _offset(zone, before + middle * _SECOND) == new:
            high = middle
        else:
            low = middle
    return (before + high * _SECOND).astimezone(zone)

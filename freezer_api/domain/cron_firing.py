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

"""When cron fields fire, by a clock on some wall.

In UTC every time of day comes once. Where clocks are put forward and back a
time may not come, or come twice, and a backup is to be made once all the
same: a time that the clocks skip fires at the moment they jump, and one that
they show twice fires when they show it first. A schedule for every hour, one
whose hour begins with ``*``, fires whenever the clocks show its minute.
"""

from __future__ import annotations

from collections.abc import Sequence
import datetime
import zoneinfo

from apscheduler.triggers import cron

# Weekdays and leap days repeat after 28 years. A day that does not come
# within them (30 February) is taken never to come; to look further would
# take long for no answer.
_CRON_YEARS = 28

# APScheduler stumbles over the end of datetime's last year.
_LAST_YEAR = datetime.MAXYEAR - 1

# Nor do its years begin before that.
_FIRST = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_SECOND = datetime.timedelta(seconds=1)
_WEEK = datetime.timedelta(days=7)

Fields = Sequence[tuple[str, str]]


def first_firing(fields: Fields, zone: zoneinfo.ZoneInfo | None,
                 earliest: datetime.datetime) -> datetime.datetime | None:
    """Return the first firing that is not before ``earliest``, in UTC.

    :param fields: names and values of the cron fields that are given
    :param zone: whose clocks count; None for UTC
    :param earliest: a whole second
    :returns: None when there is none, or none before the year 9999
    """
    earliest = max(earliest, _FIRST)
    if zone is None or earliest.year > _LAST_YEAR:
        return _shown(fields, earliest.astimezone(datetime.UTC))
    if _every_hour(fields):
        return _whenever_shown(fields, zone, earliest)
    return _once_a_day(fields, zone, earliest)


def _every_hour(fields: Fields) -> bool:
    """Whether the hour is ``*``, given so or by what is given."""
    given = dict(fields)
    return given.get('hour', '*' if given.keys() & {'minute', 'second'}
                     else '0').startswith('*')


def _shown(fields: Fields, since: datetime.datetime,
           ) -> datetime.datetime | None:
    """Return the first matching time of a clock that is never put.

    :param since: what that clock shows, as if it were UTC
    """
    since = max(since, _FIRST)
    if since.year > _LAST_YEAR:
        return None
    given = dict(fields)
    given.setdefault(
        'year', f'{since.year}-{min(since.year + _CRON_YEARS, _LAST_YEAR)}')
    trigger = cron.CronTrigger(**given, timezone=datetime.UTC)
    found = trigger.get_next_fire_time(None, since)
    if found is None or found.year > _LAST_YEAR:
        return None
    return found.astimezone(datetime.UTC)


def _once_a_day(fields: Fields, zone: zoneinfo.ZoneInfo,
                earliest: datetime.datetime) -> datetime.datetime | None:
    before = (earliest - _SECOND).astimezone(zone)
    # Right after a jump that is what the clocks would have shown without it.
    since = _wall(before) + _SECOND
    if before.fold:
        # All that is shown for the second time has been.
        first = before.replace(fold=0).utcoffset()
        second = before.utcoffset()
        assert first is not None and second is not None
        since = _wall(_jump(zone, earliest - (first - second) - _SECOND,
                            earliest)) + (first - second)
    wall = _shown(fields, since)
    if wall is None:
        return None
    firing = wall.replace(tzinfo=zone).astimezone(datetime.UTC)
    if _wall(firing.astimezone(zone)) == wall:
        return firing
    return _jump(zone, firing - (_wall(firing.astimezone(zone)) - wall)
                 - _SECOND, firing).astimezone(datetime.UTC)


def _whenever_shown(fields: Fields, zone: zoneinfo.ZoneInfo,
                    earliest: datetime.datetime) -> datetime.datetime | None:
    while True:
        local = earliest.astimezone(zone)
        wall = _shown(fields, _wall(local))
        if wall is None:
            return None
        firing = earliest + (wall - _wall(local))
        if _offset(zone, firing) == local.utcoffset():
            return firing.astimezone(datetime.UTC)
        # The clocks are put before it is shown: on from there.
        week = earliest
        while _offset(zone, min(week + _WEEK, firing)) == local.utcoffset():
            week += _WEEK
        earliest = _jump(zone, week, min(week + _WEEK, firing)).astimezone(
            datetime.UTC)


def _wall(local: datetime.datetime) -> datetime.datetime:
    """What a clock shows, as if it were UTC."""
    return local.replace(tzinfo=datetime.UTC, fold=0)


def _offset(zone: zoneinfo.ZoneInfo,
            moment: datetime.datetime) -> datetime.timedelta | None:
    return moment.astimezone(zone).utcoffset()


def _jump(zone: zoneinfo.ZoneInfo, before: datetime.datetime,
          after: datetime.datetime) -> datetime.datetime:
    """Return when the clocks were put between two moments, by the new time.

    That is the first whole second with the offset of ``after``.
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

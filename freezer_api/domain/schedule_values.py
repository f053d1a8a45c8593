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

"""Parse the values of a schedule."""

from __future__ import annotations

import contextlib
import datetime
import re
import zoneinfo

from freezer_api.domain import cron_fields
from freezer_api.domain import crontab

_MAX_LENGTH = 255

_UNITS = {'weeks': 7 * 86400, 'days': 86400, 'hours': 3600, 'minutes': 60,
          'seconds': 1}
_INTERVAL = re.compile(r'([0-9]{1,12}) +(weeks|days|hours|minutes|seconds)')
_DATE = re.compile(
    r'([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})'
    r'(?:\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})?')
_ZONE = re.compile('[A-Z][A-Za-z0-9_]*(?:[/+-][A-Za-z0-9_]+)*')
_WEEKDAY_NAMES = re.compile(
    r'(?:mon|tue|wed|thu|fri|sat|sun)(?:[-, ]+(?:mon|tue|wed|thu|fri|sat|sun)'
    r')*', re.IGNORECASE)


class ScheduleError(ValueError):
    """A schedule is invalid; the error has the wrong field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f'{field}: {message}')
        self.field = field
        self.message = message


def as_text(field: str, value: object) -> str:
    """Return a value as text; job files can contain plain numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10000 else None
    if not isinstance(value, str):
        raise ScheduleError(field, 'is not a string')
    if len(value) > _MAX_LENGTH:
        raise ScheduleError(
            field, f'is longer than {_MAX_LENGTH} characters')
    return value


def parse_zone(field: str, value: object) -> zoneinfo.ZoneInfo:
    """Parse the name of a time zone of the IANA database.

    :raises ScheduleError: if there is no such zone
    """
    name = as_text(field, value)
    # Other names can refer to files of the host.
    if _ZONE.fullmatch(name) is not None:
        with contextlib.suppress(zoneinfo.ZoneInfoNotFoundError, ValueError,
                                 OSError):
            return zoneinfo.ZoneInfo(name)
    raise ScheduleError(
        field, f'{value!r} is not a time zone like Europe/Berlin')


def parse_date(field: str, value: object,
               zone: zoneinfo.ZoneInfo | None = None) -> datetime.datetime:
    """Parse ``YYYY-MM-DDThh:mm:ss[.f][Z|+hh:mm]`` as a time in UTC.

    :param zone: zone of a date without an offset, None for UTC. Of a local
        time that occurs twice, the first is used; one that is skipped is as
        long after the change as it would have been without it.
    :raises ScheduleError: if it is not a valid date
    """
    match = _DATE.fullmatch(as_text(field, value))
    if match is None:
        raise ScheduleError(
            field, f'{value!r} is not a date like 2030-01-31T23:59:59Z')
    day, offset = match[1], match[2]
    try:
        if offset is None and zone is not None:
            return datetime.datetime.fromisoformat(day).replace(
                tzinfo=zone).astimezone(datetime.UTC)
        moment = datetime.datetime.fromisoformat(f'{day}+00:00')
        return moment - _ahead(offset or 'Z')
    except (ValueError, OverflowError) as error:
        raise ScheduleError(
            field, f'{value!r} is not a real date: {error}') from error


def _ahead(offset: str) -> datetime.timedelta:
    """Return the difference of ``Z`` or ``+hh:mm`` from UTC."""
    if offset == 'Z':
        return datetime.timedelta()
    hours, minutes = map(int, offset[1:].split(':'))
    if hours > 23 or minutes > 59:
        raise ValueError('the offset is out of range')
    ahead = datetime.timedelta(hours=hours, minutes=minutes)
    return -ahead if offset[0] == '-' else ahead


def parse_interval(field: str, value: object) -> int:
    """Convert ``<n> <unit>`` to seconds, and ``continuous`` to 0.

    A number of 0 becomes one second, as in APScheduler.

    :raises ScheduleError: if it is neither
    """
    text = as_text(field, value)
    if text == 'continuous':
        return 0
    match = _INTERVAL.fullmatch(text)
    if match is None:
        raise ScheduleError(
            field, f"{value!r} is neither 'continuous' nor a number of "
            "weeks, days, hours, minutes or seconds")
    return max(1, int(match[1]) * _UNITS[match[2]])


def check_cron_field(field: str, value: object) -> None:
    """Check one cron field, with a name ``schedule_<name>``.

    :raises ScheduleError: if it is invalid
    """
    text = as_text(field, value)
    name = field.removeprefix('schedule_')
    if name == 'year' and not re.fullmatch('[0-9]{4}', text):
        raise ScheduleError(field, f'{value!r} is not a year')
    try:
        cron_fields.compile_field(name, text)
    except ValueError as error:
        raise ScheduleError(field, str(error)) from error


def parse_crontab(field: str, value: object) -> str:
    """Check a crontab expression; return it with single spaces.

    :raises ScheduleError: if it is invalid
    """
    text = as_text(field, value)
    try:
        crontab.compile_text(text)
    except ValueError as error:
        raise ScheduleError(field, str(error)) from error
    return ' '.join(text.split())


def check_new_cron_field(field: str, value: object) -> None:
    """Refuse a list in a new cron field that only stored ones may have.

    :raises ScheduleError: if it has too many entries
    """
    number = len(cron_fields.entries(as_text(field, value)))
    if number > cron_fields.MAX_ENTRIES:
        raise ScheduleError(
            field, f'lists {number} values; list at most '
            f'{cron_fields.MAX_ENTRIES}, or use a range or a step')


def check_new_interval(field: str, value: object) -> None:
    """Refuse a new interval of 0, which only stored ones may have.

    :raises ScheduleError: if the interval is 0
    """
    match = _INTERVAL.fullmatch(as_text(field, value))
    if match is not None and int(match[1]) == 0:
        raise ScheduleError(
            field, f"{value!r} is not a duration; use a number of at least "
            "1, or 'continuous'")


def is_weekdays_in_day(field: str, value: object) -> bool:
    """Return whether a field for days of the month has weekday names."""
    return (field == 'schedule_day' and isinstance(value, str)
            and _WEEKDAY_NAMES.fullmatch(value.strip()) is not None)

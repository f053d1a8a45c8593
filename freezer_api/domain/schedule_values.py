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

"""The values that a schedule is written in, read one by one."""

from __future__ import annotations

import contextlib
import datetime
import re
import zoneinfo

from freezer_api.domain import cron_fields

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
    """A schedule that cannot be understood, and the field at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f'{field}: {message}')
        self.field = field
        self.message = message


def as_text(field: str, value: object) -> str:
    """A value as text; job files may hold plain numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10000 else None
    if not isinstance(value, str):
        raise ScheduleError(field, 'is not a string')
    if len(value) > _MAX_LENGTH:
        raise ScheduleError(
            field, f'is longer than {_MAX_LENGTH} characters')
    return value


def parse_zone(field: str, value: object) -> zoneinfo.ZoneInfo:
    """Read the name of a time zone of the IANA database.

    :raises ScheduleError: naming ``field``
    """
    name = as_text(field, value)
    # Others are found as files too, whose meaning is the host's.
    if _ZONE.fullmatch(name) is not None:
        with contextlib.suppress(zoneinfo.ZoneInfoNotFoundError, ValueError,
                                 OSError):
            return zoneinfo.ZoneInfo(name)
    raise ScheduleError(
        field, f'{value!r} is not a time zone like Europe/Berlin')


def parse_date(field: str, value: object,
               zone: zoneinfo.ZoneInfo | None = None) -> datetime.datetime:
    """Read ``YYYY-MM-DDThh:mm:ss[.f][Z|+hh:mm]`` as a moment in UTC.

    :param zone: of a date without an offset, None for UTC. One that the
        clocks there show twice is the first of the two; one that they skip
        is as long after the jump as it would have been without it.
    :raises ScheduleError: naming ``field``
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
    """What ``Z`` or ``+hh:mm`` is ahead of UTC."""
    if offset == 'Z':
        return datetime.timedelta()
    hours, minutes = map(int, offset[1:].split(':'))
    if hours > 23 or minutes > 59:
        raise ValueError('the offset is out of range')
    ahead = datetime.timedelta(hours=hours, minutes=minutes)
    return -ahead if offset[0] == '-' else ahead


def parse_interval(field: str, value: object) -> int:
    """Read ``<n> <unit>`` to seconds, and ``continuous`` to 0.

    A number of 0 is a second, as APScheduler has it.

    :raises ScheduleError: naming ``field``
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
    """Check one cron field, given as ``schedule_<name>``.

    :raises ScheduleError: naming ``field``
    """
    text = as_text(field, value)
    name = field.removeprefix('schedule_')
    if name == 'year' and not re.fullmatch('[0-9]{4}', text):
        raise ScheduleError(field, f'{value!r} is not a year')
    try:
        cron_fields.compile_field(name, text)
    except ValueError as error:
        raise ScheduleError(field, str(error)) from error


def check_new_cron_field(field: str, value: object) -> None:
    """Check what a new cron field may not hold, though stored ones may.

    :raises ScheduleError: naming ``field``
    """
    number = len(cron_fields.entries(as_text(field, value)))
    if number > cron_fields.MAX_ENTRIES:
        raise ScheduleError(
            field, f'lists {number} values; list at most '
            f'{cron_fields.MAX_ENTRIES}, or use a range or a step')


def check_new_interval(field: str, value: object) -> None:
    """Check what a new interval may not be, though stored ones may.

    :raises ScheduleError: naming ``field``
    """
    match = _INTERVAL.fullmatch(as_text(field, value))
    if match is not None and int(match[1]) == 0:
        raise ScheduleError(
            field, f"{value!r} is no time at all; use a number of at least "
            "1, or 'continuous'")


def is_weekdays_in_day(field: str, value: object) -> bool:
    """Whether names of weekdays stand where days of the month belong."""
    return (field == 'schedule_day' and isinstance(value, str)
            and _WEEKDAY_NAMES.fullmatch(value.strip()) is not None)

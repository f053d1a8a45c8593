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

"""When a job fires next: a pure rule, with no clock of its own.

A schedule is the part of a ``job_schedule`` that a user wrote. Of several
ways to name a time the first counts: ``schedule_date``, then
``schedule_interval``, then the cron fields; with none of them the job is run
once. ``schedule_timezone`` names the zone of cron fields and of dates without
an offset; without it they are UTC. A firing is a whole second; a fraction of
a second in a document is dropped.

Nothing here depends on when it is asked: the firings of a schedule are fixed
by the schedule and the creation of its job alone, so a restart neither
repeats one nor shifts the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import datetime
from typing import TypeVar
import zoneinfo

from freezer_api.domain import cron_firing
from freezer_api.domain import schedule_values as values

T = TypeVar('T')

# What a caller catches.
ScheduleError = values.ScheduleError

CRON_FIELDS = ('year', 'month', 'day', 'week', 'day_of_week', 'hour',
               'minute', 'second')

_FIELDS_OF_DAYS = ('year', 'month', 'day', 'week', 'day_of_week')

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_SECOND = datetime.timedelta(seconds=1)
_WEEKDAYS_IN_DAY = ('schedule_day takes days of the month; names of weekdays '
                    'belong in schedule_day_of_week')


@dataclasses.dataclass(frozen=True)
class Once:
    """At one moment, whenever the job was made."""

    at: datetime.datetime


@dataclasses.dataclass(frozen=True)
class Interval:
    """Every so many seconds.

    From ``start``, which is itself the first firing, or else from the job's
    creation, with the first firing one interval after it.
    """

    seconds: int
    start: datetime.datetime | None = None
    end: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True)
class Continuous:
    """Again as soon as the last run is over."""

    start: datetime.datetime | None = None
    end: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True)
class Cron:
    """Whenever the clock matches the fields, as APScheduler reads them.

    ``fields`` holds name and value of those that were given. One that was not
    is ``*`` when it is more significant than one that was, and otherwise the
    least value. ``zone`` is whose clock it is, None for UTC.
    """

    fields: tuple[tuple[str, str], ...]
    start: datetime.datetime | None = None
    end: datetime.datetime | None = None
    zone: zoneinfo.ZoneInfo | None = None


@dataclasses.dataclass(frozen=True)
class OneShot:
    """No time is named: once, when the job is made."""


@dataclasses.dataclass(frozen=True)
class Never:
    """A schedule that is stored for its sender's sake and never fires.

    :ivar field: the field that a new schedule is refused for, None where it
        is not
    """

    reason: str
    field: str | None = None


Schedule = Once | Interval | Continuous | Cron | OneShot | Never


def parse(schedule: Mapping[str, object]) -> Schedule:
    """Read the schedule keys of a job_schedule; other keys do not matter.

    ``schedule_start_date`` and ``schedule_end_date`` bound intervals and cron
    fields, the end also without a start; both are inclusive. An end that lies
    before the start is dropped.

    :raises ScheduleError: on a value that cannot be understood. Names of
        weekdays in ``schedule_day`` are no error but a schedule that never
        fires: known clients send them.
    """
    if not isinstance(schedule, Mapping):
        raise values.ScheduleError('job_schedule', 'is not an object')
    zone = _optional(schedule, 'schedule_timezone', values.parse_zone)

    def date(field: str) -> datetime.datetime | None:
        return _optional(schedule, field, lambda name, value:
                         values.parse_date(name, value, zone))

    at = date('schedule_date')
    if at is not None:
        return Once(at)
    interval = _optional(schedule, 'schedule_interval', values.parse_interval)
    fields = tuple(
        (name, text) for name in CRON_FIELDS if (text := _optional(
            schedule, f'schedule_{name}', values.as_text)) is not None)
    if interval is None and not fields:
        return OneShot()
    start, end = date('schedule_start_date'), date('schedule_end_date')
    if start is not None and end is not None and start > end:
        end = None
    if interval is not None:
        return (Interval(interval, start, end) if interval
                else Continuous(start, end))
    for name, text in fields:
        if values.is_weekdays_in_day(f'schedule_{name}', text):
            return Never(_WEEKDAYS_IN_DAY)
        values.check_cron_field(f'schedule_{name}', text)
    if not cron_firing.compile_fields(fields).dates.possible:
        return _never_together(fields)
    return Cron(fields, start, end, zone)


def check_new(schedule: Mapping[str, object]) -> None:
    """Refuse what a new schedule may not hold.

    Stored schedules of earlier releases may hold it, and are read and run.

    :raises ScheduleError: on what ``parse`` refuses, on a list that is too
        long, an interval of nothing, and cron fields that no day matches
    """
    parsed = parse(schedule)
    for field in (f'schedule_{name}' for name in CRON_FIELDS):
        _optional(schedule, field, values.check_new_cron_field)
    _optional(schedule, 'schedule_interval', values.check_new_interval)
    if isinstance(parsed, Never) and parsed.field is not None:
        raise values.ScheduleError(
            parsed.field, f'{parsed.reason}; change one of them')


def check_interval(schedule: Mapping[str, object], minimum: int) -> None:
    """Refuse a schedule that fires more often than its job may run.

    A continuous job is none: each run waits for the end of the last.

    :param minimum: seconds from one firing to the next
    :raises ScheduleError: naming the field
    """
    parsed = parse(schedule)
    if isinstance(parsed, Interval):
        field, gap = 'schedule_interval', parsed.seconds
    elif isinstance(parsed, Cron):
        # The field that comes last decides how often it fires.
        field = f'schedule_{parsed.fields[-1][0]}'
        gap = cron_firing.compile_fields(parsed.fields).least_gap()
    else:
        return
    if gap < minimum:
        raise values.ScheduleError(
            field, f'the schedule fires every {gap} seconds at its fastest; '
            f'leave at least {minimum} seconds between two firings')


def _never_together(fields: tuple[tuple[str, str], ...]) -> Never:
    names = [f'schedule_{name}' for name, _ in fields
             if name in _FIELDS_OF_DAYS]
    return Never('no day matches all the fields ' + ', '.join(names),
                 names[0])


def next_firing(schedule: Schedule, anchor: datetime.datetime,
                after: datetime.datetime) -> datetime.datetime | None:
    """Return the first firing that lies strictly after ``after``, in UTC.

    :param anchor: when the job was created
    :returns: None when there is none, or none before the year 10000
    :raises ValueError: if a time is naive

    A one-shot fires at the anchor; a delay is the caller's to add.
    """
    anchor_second, after_second = _seconds(anchor), _seconds(after)
    end: datetime.datetime | None = None
    match schedule:
        case Never():
            return None
        case Once(at=at):
            firing = _seconds(at)
        case OneShot():
            firing = anchor_second
        case Continuous(start=start, end=end):
            firing = after_second + 1
            if start is not None:
                firing = max(firing, _seconds(start))
        case Interval(seconds=seconds, start=start, end=end):
            firing = _interval_firing(
                seconds, anchor_second, start, after_second)
        case Cron():
            return _cron_firing(schedule, after_second)
    if firing <= after_second or (
            end is not None and firing > _seconds(end)):
        return None
    return _moment(firing)


def _optional(schedule: Mapping[str, object], field: str,
              read: Callable[[str, object], T]) -> T | None:
    value = schedule.get(field)
    return None if value is None or value == '' else read(field, value)


def _seconds(moment: datetime.datetime) -> int:
    """Whole seconds since the epoch, rounded down."""
    if moment.utcoffset() is None:
        raise ValueError(f'{moment!r} is naive')
    return (moment - _EPOCH) // _SECOND


def _moment(seconds: int) -> datetime.datetime | None:
    try:
        return _EPOCH + datetime.timedelta(seconds=seconds)
    except OverflowError:
        return None


def _interval_firing(seconds: int, anchor: int,
                     start: datetime.datetime | None, after: int) -> int:
    """The first firing after ``after``, by arithmetic however far it is."""
    first = anchor + seconds if start is None else _seconds(start)
    if after < first:
        return first
    return first + ((after - first) // seconds + 1) * seconds


def _cron_firing(schedule: Cron, after: int) -> datetime.datetime | None:
    earliest = after + 1
    if schedule.start is not None:
        earliest = max(earliest, _seconds(schedule.start))
    since = _moment(earliest)
    if since is None:
        return None
    firing = cron_firing.first_firing(schedule.fields, schedule.zone, since)
    if firing is None or (schedule.end is not None and firing > schedule.end):
        return None
    return firing

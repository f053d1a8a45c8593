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

"""The firings of a schedule: a pure rule, without a clock.

A schedule is the part of a ``job_schedule`` that a user writes. If it sets the
time in several ways, the first of these counts: ``schedule_date``,
``schedule_interval``, the cron fields. With none of them the job runs once.
``schedule_cron``, a crontab expression, excludes all others.
``schedule_timezone`` is the zone of cron fields, of the expression and of
dates without an offset; the default is UTC. A firing is a whole second;
fractions of seconds in a document are dropped.

The firings depend only on the schedule and the creation time of its job. So a
restart neither repeats a firing nor shifts later ones.
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


class Ambiguous(values.ScheduleError):
    """A schedule sets the time in two ways that exclude each other."""


# The exception for callers to catch.
ScheduleError = values.ScheduleError

CRON_FIELDS = ('year', 'month', 'day', 'week', 'day_of_week', 'hour',
               'minute', 'second')

#: The keys that set the time, except ``schedule_interval``.
WAYS = ('schedule_date', 'schedule_cron',
        *(f'schedule_{name}' for name in CRON_FIELDS))

_FIELDS_OF_DAYS = ('year', 'month', 'day', 'week', 'day_of_week')

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_SECOND = datetime.timedelta(seconds=1)
_WEEKDAYS_IN_DAY = ('schedule_day takes days of the month; names of weekdays '
                    'belong in schedule_day_of_week')


@dataclasses.dataclass(frozen=True)
class Once:
    """At one time, independent of the creation of the job."""

    at: datetime.datetime


@dataclasses.dataclass(frozen=True)
class Interval:
    """At regular intervals.

    The first firing is ``start``, or without it one interval after the
    creation of the job.
    """

    seconds: int
    start: datetime.datetime | None = None
    end: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True)
class Continuous:
    """Again after the end of each run."""

    start: datetime.datetime | None = None
    end: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True)
class Cron:
    """Whenever the clock matches the fields, with APScheduler's meaning.

    A field that is not given is ``*`` if it is more significant than a given
    one, and otherwise its smallest value.

    :ivar fields: names and values of the given fields, or only ``cron`` with
        a crontab expression
    :ivar zone: the time zone, None for UTC
    """

    fields: tuple[tuple[str, str], ...]
    start: datetime.datetime | None = None
    end: datetime.datetime | None = None
    zone: zoneinfo.ZoneInfo | None = None


@dataclasses.dataclass(frozen=True)
class OneShot:
    """Once, when the job is created, because no time is set."""


@dataclasses.dataclass(frozen=True)
class Never:
    """A schedule that is stored for compatibility and never fires.

    :ivar field: the field for which a new schedule is refused, None if it is
        accepted
    """

    reason: str
    field: str | None = None


Schedule = Once | Interval | Continuous | Cron | OneShot | Never


def parse(schedule: Mapping[str, object]) -> Schedule:
    """Parse the schedule keys of a job_schedule; other keys are ignored.

    ``schedule_start_date`` and ``schedule_end_date`` limit intervals and cron
    fields; both are inclusive, and the end does not need a start. An end
    before the start is dropped.

    :raises ScheduleError: if a value is invalid. Names of weekdays in
        ``schedule_day`` are accepted, because known clients send them, but
        never fire.
    """
    if not isinstance(schedule, Mapping):
        raise values.ScheduleError('job_schedule', 'is not an object')
    zone = _optional(schedule, 'schedule_timezone', values.parse_zone)

    def date(field: str) -> datetime.datetime | None:
        return _optional(schedule, field, lambda name, value:
                         values.parse_date(name, value, zone))

    crontab = _optional(schedule, 'schedule_cron', values.parse_crontab)
    if crontab is not None:
        _check_alone(schedule)
    at = date('schedule_date')
    if at is not None:
        return Once(at)
    interval = _optional(schedule, 'schedule_interval', values.parse_interval)
    fields = tuple(
        (name, text) for name in CRON_FIELDS if (text := _optional(
            schedule, f'schedule_{name}', values.as_text)) is not None)
    if interval is None and not fields and crontab is None:
        return OneShot()
    start, end = date('schedule_start_date'), date('schedule_end_date')
    if start is not None and end is not None and start > end:
        end = None
    if interval is not None:
        return (Interval(interval, start, end) if interval
                else Continuous(start, end))
    if crontab is not None:
        fields = ('cron', crontab),
    return _never(fields) or Cron(fields, start, end, zone)


def _check_alone(schedule: Mapping[str, object]) -> None:
    """Refuse a crontab expression together with another time."""
    others = [key for key in ('schedule_interval', *WAYS)
              if key != 'schedule_cron' and schedule.get(key) not in (
                  None, '')]
    if others:
        raise Ambiguous(
            'schedule_cron', f'cannot be combined with {", ".join(others)}; '
            'set only one of them')


def check_new(schedule: Mapping[str, object]) -> None:
    """Refuse values that only stored schedules may have.

    Schedules of earlier releases can have such values, and are run.

    :raises ScheduleError: for the errors of ``parse``, for lists that are too
        long, for an interval of 0, and for cron fields that match no day
    """
    parsed = parse(schedule)
    for field in (f'schedule_{name}' for name in CRON_FIELDS):
        _optional(schedule, field, values.check_new_cron_field)
    _optional(schedule, 'schedule_interval', values.check_new_interval)
    if isinstance(parsed, Never) and parsed.field is not None:
        raise values.ScheduleError(
            parsed.field, f'{parsed.reason}; change one of them')
    _optional(schedule, 'schedule_cron', values.check_new_cron_field)


def check_interval(schedule: Mapping[str, object], minimum: int) -> None:
    """Refuse a schedule that fires more often than allowed.

    A continuous job passes: each run waits for the end of the previous one.

    :param minimum: seconds between two firings
    :raises ScheduleError: if it does; the text names the field
    """
    parsed = parse(schedule)
    if isinstance(parsed, Interval):
        field, gap = 'schedule_interval', parsed.seconds
    elif isinstance(parsed, Cron):
        # The least significant field determines the frequency.
        field = f'schedule_{parsed.fields[-1][0]}'
        gap = cron_firing.compile_fields(parsed.fields).least_gap()
    else:
        return
    if gap < minimum:
        raise values.ScheduleError(
            field, f'the schedule fires up to every {gap} seconds; leave at '
            f'least {minimum} seconds between two firings')


def _never(fields: tuple[tuple[str, str], ...]) -> Never | None:
    """Return why cron fields never fire, or None.

    :raises ScheduleError: if a field is invalid
    """
    for name, text in fields:
        if values.is_weekdays_in_day(f'schedule_{name}', text):
            return Never(_WEEKDAYS_IN_DAY)
        if name != 'cron':
            values.check_cron_field(f'schedule_{name}', text)
    if cron_firing.compile_fields(fields).dates.possible:
        return None
    if fields[0][0] == 'cron':
        return Never('no day matches the fields of schedule_cron',
                     'schedule_cron')
    names = [f'schedule_{name}' for name, _ in fields
             if name in _FIELDS_OF_DAYS]
    return Never('no day matches all the fields ' + ', '.join(names),
                 names[0])


def next_firing(schedule: Schedule, anchor: datetime.datetime,
                after: datetime.datetime) -> datetime.datetime | None:
    """Return the first firing after ``after``, in UTC.

    A one-shot fires at the anchor; the caller adds a delay.

    :param anchor: creation time of the job
    :returns: None if there is none before the year 10000
    :raises ValueError: if a time is naive
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
    """Return whole seconds since the epoch, rounded down."""
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
    """Return the first firing after a time, without a search."""
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

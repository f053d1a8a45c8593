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

"""Cron fields by clocks that are put forward and back."""

from __future__ import annotations

from collections.abc import Iterator
import datetime
import time
from typing import Any
import zoneinfo

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_api.domain import schedule
from tests.unit.freezer_api.domain import test_schedule

UTC = datetime.UTC
MINUTE = datetime.timedelta(minutes=1)
DAY = datetime.timedelta(days=1)

# Days around which the clocks were put: by an hour, by half an hour, by a
# whole day, twice in five weeks, at midnight, and never.
PUT = (
    ('Europe/Berlin', '2026-03-29'), ('Europe/Berlin', '2026-10-25'),
    ('America/New_York', '2026-03-08'), ('America/New_York', '2026-11-01'),
    ('Australia/Lord_Howe', '2026-04-05'),
    ('Australia/Lord_Howe', '2026-10-04'),
    ('Africa/Casablanca', '2026-02-15'), ('Africa/Casablanca', '2026-03-22'),
    ('America/Havana', '2026-03-08'), ('America/Havana', '2026-11-01'),
    ('Pacific/Apia', '2011-12-30'), ('Asia/Kolkata', '2026-06-01'))


def jump(name: str, day: str) -> datetime.datetime:
    """When the clocks were put, or noon where they were not."""
    zone = zoneinfo.ZoneInfo(name)
    moment = datetime.datetime.fromisoformat(day).replace(tzinfo=UTC) - DAY
    offset = moment.astimezone(zone).utcoffset()
    for minute in range(3 * 24 * 60):
        found = moment + minute * MINUTE
        if found.astimezone(zone).utcoffset() != offset:
            return found
    return moment + DAY * 1.5


JUMPS = [(name, jump(name, day)) for name, day in PUT]

HOURS = ('*', '*/2', '0', '1', '2', '3', '2,3', '0-4', '*/5', '23')
MINUTES = ('0', '15', '30', '*/20', '15,45', '59', '*')


def meaning(text: str, end: int) -> set[int]:
    """What an expression of the two lists above stands for."""
    if text.startswith('*'):
        return set(range(0, end, int(text[2:] or 1)))
    if '-' in text:
        first, last = map(int, text.split('-'))
        return set(range(first, last + 1))
    return set(map(int, text.split(',')))


times_of_day = st.fixed_dictionaries({}, optional={
    'hour': st.sampled_from([(text, meaning(text, 24)) for text in HOURS]),
    'minute': st.sampled_from(
        [(text, meaning(text, 60)) for text in MINUTES])})


def shown(zone: zoneinfo.ZoneInfo, first: datetime.datetime,
          ) -> Iterator[tuple[datetime.datetime, datetime.datetime]]:
    """Walk through the minutes: the moment, and what the clock shows."""
    moment = first
    while True:
        yield moment, moment.astimezone(zone).replace(
            tzinfo=None, fold=0)
        moment += MINUTE


def matches(values: dict[str, set[int]], wall: datetime.datetime) -> bool:
    return (wall.month in values['month'] and wall.day in values['day']
            and wall.isocalendar().week in values['week']
            and wall.weekday() in values['day_of_week']
            and wall.hour in values['hour']
            and wall.minute in values['minute'])


def reference(values: dict[str, set[int]], every_hour: bool,
              zone: zoneinfo.ZoneInfo, after: datetime.datetime,
              days: int) -> datetime.datetime | None:
    """The rule in words, minute by minute."""
    seen: set[datetime.datetime] = set()
    previous = None
    for moment, wall in shown(zone, after.replace(second=0) - 3 * DAY):
        if moment > after + days * DAY:
            return None
        skipped = previous is not None and wall > previous + MINUTE
        times = [wall]
        if skipped and not every_hour:
            assert previous is not None
            times += [previous + minute * MINUTE for minute in range(
                1, (wall - previous) // MINUTE)]
        if every_hour or wall not in seen:
            if moment > after and any(
                    matches(values, one) for one in times):
                return moment
        seen.add(wall)
        previous = wall
    return None


class TestClocks(testtools.TestCase):

    def fires(self, document: dict[str, str], after: str,
              *expected: str) -> None:
        parsed = schedule.parse(document)
        moment: Any = datetime.datetime.fromisoformat(after)
        for text in expected:
            moment = schedule.next_firing(parsed, moment, moment)
            self.assertEqual(text, moment.isoformat()[:16])

    def test_a_time_that_is_skipped_fires_at_the_jump(self) -> None:
        self.fires({'schedule_hour': '2', 'schedule_minute': '30',
                    'schedule_timezone': 'Europe/Berlin'},
                   '2026-03-27T12:00:00Z', '2026-03-28T01:30',
                   '2026-03-29T01:00', '2026-03-30T00:30')

    def test_a_time_that_comes_twice_fires_once(self) -> None:
        self.fires({'schedule_hour': '2', 'schedule_minute': '30',
                    'schedule_timezone': 'Europe/Berlin'},
                   '2026-10-24T12:00:00Z', '2026-10-25T00:30',
                   '2026-10-26T01:30')

    def test_every_hour_is_every_hour(self) -> None:
        for hour in ({}, {'schedule_hour': '*'}):
            self.fires({'schedule_minute': '0', **hour,
                        'schedule_timezone': 'Europe/Berlin'},
                       '2026-10-24T23:30:00Z', '2026-10-25T00:00',
                       '2026-10-25T01:00', '2026-10-25T02:00')
            self.fires({'schedule_minute': '0', **hour,
                        'schedule_timezone': 'Europe/Berlin'},
                       '2026-03-28T23:30:00Z', '2026-03-29T00:00',
                       '2026-03-29T01:00', '2026-03-29T02:00')

    def test_a_day_that_is_left_out(self) -> None:
        """Samoa went from 29 to 31 December 2011."""
        self.fires({'schedule_hour': '12',
                    'schedule_timezone': 'Pacific/Apia'},
                   '2011-12-28T23:00:00Z', '2011-12-29T22:00',
                   '2011-12-30T10:00', '2011-12-30T22:00')

    def test_dates_without_an_offset_are_of_the_zone(self) -> None:
        zone = {'schedule_timezone': 'America/New_York'}
        self.fires({'schedule_date': '2030-07-01T00:00:00', **zone},
                   '2026-01-01T00:00:00Z', '2030-07-01T04:00')
        self.fires({'schedule_date': '2030-07-01T00:00:00Z', **zone},
                   '2026-01-01T00:00:00Z', '2030-07-01T00:00')
        self.fires({'schedule_interval': '1 days', **zone,
                    'schedule_start_date': '2030-01-01T00:00:00'},
                   '2026-01-01T00:00:00Z', '2030-01-01T05:00',
                   '2030-01-02T05:00')

    def test_an_end_is_a_moment(self) -> None:
        parsed = schedule.parse({
            'schedule_hour': '2', 'schedule_timezone': 'Europe/Berlin',
            'schedule_end_date': '2026-06-01T02:00:00'})
        day = datetime.datetime(2026, 5, 31, 12, tzinfo=UTC)
        last = schedule.next_firing(parsed, day, day)
        self.assertEqual(day.replace(month=6, day=1, hour=0), last)
        self.assertIsNone(schedule.next_firing(parsed, day, last or day))

    def test_what_is_no_zone(self) -> None:
        value: Any
        for value in ('', None):
            self.assertIsInstance(schedule.parse(
                {'schedule_timezone': value}), schedule.OneShot)
        for value in ('Mars/Olympus', 'localtime', '../../etc/passwd',
                      'right/UTC', 'Europe', '/etc/localtime', 'UTC\0', 5,
                      ['UTC'], 'Europe/Berlin ', 'x' * 300):
            error = self.assertRaises(
                schedule.ScheduleError, schedule.parse,
                {'schedule_timezone': value})
            self.assertEqual('schedule_timezone', error.field)

    def test_the_ends_of_time(self) -> None:
        for zone in ('Pacific/Kiritimati', 'Pacific/Niue', 'Europe/Berlin'):
            for fields in ({'schedule_hour': '3'}, {'schedule_minute': '3'},
                           {'schedule_year': '9999'}):
                parsed = schedule.parse(
                    {**fields, 'schedule_timezone': zone})
                for after in (datetime.datetime.min.replace(tzinfo=UTC),
                              datetime.datetime.max.replace(tzinfo=UTC)):
                    found = schedule.next_firing(parsed, after, after)
                    self.assertEqual('schedule_year' in fields
                                     or after.year > 1, found is None)

    def test_a_far_firing_costs_little(self) -> None:
        started = time.process_time()
        for fields in ({'schedule_minute': '7', 'schedule_month': '2',
                        'schedule_day': '29', 'schedule_day_of_week': 'mon'},
                       {'schedule_second': '*', 'schedule_year': '2050'}):
            parsed = schedule.parse(
                {**fields, 'schedule_timezone': 'Africa/Casablanca'})
            self.assertIsNotNone(schedule.next_firing(
                parsed, test_schedule.NOON, test_schedule.NOON))
        self.assertLess(time.process_time() - started, 2)

    @hypothesis.settings(deadline=None, max_examples=250)
    @hypothesis.given(times_of_day, st.sampled_from(JUMPS),
                      st.integers(-3, 3) | st.integers(-7200, 7200)
                      | st.integers(-40 * 3600, 40 * 3600))
    def test_against_a_walk_through_the_minutes(
            self, fields: dict[str, tuple[str, set[int]]],
            put: tuple[str, datetime.datetime], away: int) -> None:
        hypothesis.assume(fields)
        zone = zoneinfo.ZoneInfo(put[0])
        after = put[1] + datetime.timedelta(seconds=away)
        found = schedule.next_firing(schedule.parse({
            'schedule_timezone': put[0],
            **{f'schedule_{name}': text
               for name, (text, _) in fields.items()}}), after, after)
        hour = fields['hour'][0] if 'hour' in fields else '*'
        self.assertEqual(
            reference(test_schedule.allowed(fields), hour.startswith('*'),
                      zone, after, 3), found)

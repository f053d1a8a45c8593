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

import calendar
import datetime
import time
from typing import Any

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_api.domain import schedule

UTC = datetime.UTC
NOON = datetime.datetime(2026, 11, 22, 12, tzinfo=UTC)
SECOND = datetime.timedelta(seconds=1)

moments = st.datetimes(
    min_value=datetime.datetime(1990, 1, 1),  # noqa: DTZ001
    max_value=datetime.datetime(2090, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC))
offsets = st.integers(-300, 300).map(
    lambda seconds: datetime.timedelta(seconds=seconds))


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=UTC)


# A reference for cron fields that shares nothing with the code under test:
# sets of allowed values, and a walk through the calendar.
RANGES = {'month': (1, 12), 'day': (1, 31), 'week': (1, 53),
          'day_of_week': (0, 6), 'hour': (0, 23), 'minute': (0, 59),
          'second': (0, 59)}
LEAST = {'month': 1, 'day': 1, 'hour': 0, 'minute': 0, 'second': 0}


@st.composite
def cron_fields(draw: st.DrawFn) -> dict[str, tuple[str, set[int]]]:
    """Fields as name -> (expression, the values that it stands for)."""
    fields = {}
    for name, (low, high) in RANGES.items():
        kind = draw(st.sampled_from(['none', 'none', 'list', 'range',
                                     'every', 'step']))
        first, last = sorted((draw(st.integers(low, high)),
                              draw(st.integers(low, high))))
        if kind == 'list':
            fields[name] = f'{last}, {first}', {first, last}
        elif kind == 'range':
            fields[name] = f'{first}-{last}', set(range(first, last + 1))
        elif kind == 'every':
            step = draw(st.integers(1, high - low))
            fields[name] = f'*/{step}', set(range(low, high + 1, step))
        elif kind == 'step' and first < last:
            step = draw(st.integers(1, last - first))
            fields[name] = (f'{first}-{last}/{step}',
                            set(range(first, last + 1, step)))
    hypothesis.assume(fields)
    return fields


def allowed(fields: dict[str, tuple[str, set[int]]]) -> dict[str, set[int]]:
    """What each field may be, with those that were not given."""
    names = list(RANGES)
    least_given = max(names.index(name) for name in fields)
    result = {}
    for position, name in enumerate(names):
        low, high = RANGES[name]
        if name in fields:
            result[name] = fields[name][1]
        elif position > least_given and name in LEAST:
            result[name] = {LEAST[name]}
        else:
            result[name] = set(range(low, high + 1))
    return result


def brute_force(values: dict[str, set[int]], after: datetime.datetime,
                days: int) -> datetime.datetime | None:
    times = [datetime.time(hour, minute, second, tzinfo=UTC)
             for hour in sorted(values['hour'])
             for minute in sorted(values['minute'])
             for second in sorted(values['second'])]
    for ahead in range(days):
        day = after.date() + datetime.timedelta(days=ahead)
        if (day.month in values['month'] and day.day in values['day']
                and day.isocalendar().week in values['week']
                and day.weekday() in values['day_of_week']):
            for moment in times:
                firing = datetime.datetime.combine(day, moment)
                if firing > after:
                    return firing
    return None


documents = st.fixed_dictionaries({}, optional={
    'schedule_date': st.sampled_from(
        ['2026-11-22T12:00:01', '2030-01-01T00:00:00+02:00']),
    'schedule_interval': st.sampled_from(
        ['continuous', '0 days', '7 seconds', '3 hours', '2 weeks']),
    'schedule_start_date': st.sampled_from(
        ['2020-02-29T23:59:59', '2027-01-01T00:00:00Z']),
    'schedule_end_date': st.sampled_from(
        ['2021-01-01T00:00:00', '2031-01-01T00:00:00Z']),
    'schedule_month': st.sampled_from(['2', 'jan-mar', '*/5']),
    'schedule_day': st.sampled_from(['30', 'last', '1st mon', 'mon, fri']),
    'schedule_day_of_week': st.sampled_from(['mon,wed', '6']),
    'schedule_hour': st.sampled_from(['*/5', '23']),
    'schedule_second': st.sampled_from(['*', '*/7'])})


class TestParse(testtools.TestCase):

    def test_what_counts_first(self) -> None:
        everything = {'schedule_date': '2030-01-01T00:00:00',
                      'schedule_interval': '2 hours', 'schedule_hour': '3'}
        self.assertEqual(schedule.Once(at('2030-01-01T00:00:00')),
                         schedule.parse(everything))
        del everything['schedule_date']
        self.assertEqual(schedule.Interval(7200), schedule.parse(everything))
        del everything['schedule_interval']
        self.assertEqual(schedule.Cron((('hour', '3'),)),
                         schedule.parse(everything))
        self.assertEqual(schedule.OneShot(), schedule.parse({}))

    def test_runtime_and_empty_values_say_nothing(self) -> None:
        self.assertEqual(schedule.OneShot(), schedule.parse({
            'status': 'stop', 'time_created': 5, 'schedule_hour': '',
            'schedule_date': None, 'schedule_interval': '',
            'schedule_start_date': '2030-01-01T00:00:00'}))

    def test_intervals(self) -> None:
        for text, seconds in (
                ('1 seconds', 1), ('2 minutes', 120), ('3 hours', 10800),
                ('4 days', 345600), ('5  weeks', 3024000), ('0 days', 1),
                ('000 weeks', 1), ('999999999999 seconds', 999999999999)):
            self.assertEqual(schedule.Interval(seconds),
                             schedule.parse({'schedule_interval': text}))
        self.assertEqual(
            schedule.Continuous(),
            schedule.parse({'schedule_interval': 'continuous'}))

    def test_dates(self) -> None:
        for text, utc in (
                ('2026-01-31T23:59:59', '2026-01-31T23:59:59'),
                ('2026-01-31T23:59:59Z', '2026-01-31T23:59:59'),
                ('2026-01-31T23:59:59.999', '2026-01-31T23:59:59'),
                ('2026-01-31T23:59:59+02:30', '2026-01-31T21:29:59'),
                ('2026-01-31T23:59:59.5-01:00', '2026-02-01T00:59:59')):
            self.assertEqual(schedule.Once(at(utc)),
                             schedule.parse({'schedule_date': text}))

    def test_an_end_before_the_start_is_dropped(self) -> None:
        start, end = '2026-02-01T00:00:00', '2026-01-01T00:00:00'
        self.assertEqual(
            schedule.Interval(86400, at(start), None), schedule.parse({
                'schedule_interval': '1 days', 'schedule_start_date': start,
                'schedule_end_date': end}))
        self.assertEqual(
            schedule.Interval(86400, None, at(end)), schedule.parse({
                'schedule_interval': '1 days', 'schedule_end_date': end}))

    def test_weekdays_in_schedule_day_never_fire(self) -> None:
        parsed = schedule.parse({'schedule_day': 'mon, wed, fri',
                                 'schedule_hour': '3'})
        self.assertIsInstance(parsed, schedule.Never)
        self.assertIn('schedule_day_of_week', getattr(parsed, 'reason', ''))
        self.assertIsNone(schedule.next_firing(parsed, NOON, NOON))

    def test_numbers_of_job_files(self) -> None:
        self.assertEqual(schedule.Cron((('hour', '3'),)),
                         schedule.parse({'schedule_hour': 3}))

    def test_what_cannot_be_understood(self) -> None:
        for field, value in (
                ('schedule_date', 'tomorrow'), ('schedule_date', 5),
                ('schedule_date', '2026-02-29T00:00:00'),
                ('schedule_interval', '5 day'), ('schedule_interval', True),
                ('schedule_interval', ['5 days']),
                ('schedule_interval', '5 days\n'),
                ('schedule_year', '*'), ('schedule_month', '0'),
                ('schedule_day', 'someday'), ('schedule_hour', {}),
                ('schedule_hour', '1' * 5000),
                ('schedule_day_of_week', 'mon;tue')):
            error = self.assertRaises(
                schedule.ScheduleError, schedule.parse, {field: value})
            self.assertEqual(field, error.field)
            self.assertTrue(error.message)
            self.assertLess(len(str(error)), 600)
        not_a_mapping: Any = ['schedule_hour']
        self.assertRaises(
            schedule.ScheduleError, schedule.parse, not_a_mapping)

    @hypothesis.given(st.dictionaries(
        st.sampled_from([f'schedule_{name}' for name in (
            *schedule.CRON_FIELDS, 'date', 'interval', 'start_date',
            'end_date')]),
        st.none() | st.booleans() | st.integers() | st.text(max_size=9)
        | st.lists(st.text())))
    def test_nothing_else_is_raised(self, document: Any) -> None:
        try:
            schedule.parse(document)
        except schedule.ScheduleError as error:
            self.assertIn(error.field, document)


class TestNextFiring(testtools.TestCase):

    def fires(self, document: dict[str, str], *expected: str,
              after: datetime.datetime = NOON) -> None:
        """Check the first firings, and that None follows where told so."""
        parsed = schedule.parse(document)
        moment = after
        for text in expected:
            found = schedule.next_firing(parsed, NOON, moment)
            self.assertEqual(None if text == 'never' else at(text), found)
            if found is not None:
                moment = found

    def test_once(self) -> None:
        self.fires({'schedule_date': '2026-11-22T13:00:00'},
                   '2026-11-22T13:00:00', 'never')
        self.fires({'schedule_date': '2026-11-22T12:00:00'}, 'never')

    def test_one_shot(self) -> None:
        self.fires({}, '2026-11-22T12:00:00', 'never', after=NOON - SECOND)
        self.fires({}, 'never')

    def test_interval_counts_from_creation(self) -> None:
        self.fires({'schedule_interval': '5 days'},
                   '2026-11-27T12:00:00', '2026-12-02T12:00:00')
        self.fires({'schedule_interval': '5 days'}, '2026-11-27T12:00:00',
                   after=at('2000-01-01T00:00:00'))

    def test_interval_counts_from_its_start(self) -> None:
        self.fires({'schedule_interval': '1 days',
                    'schedule_start_date': '2027-01-01T01:02:03'},
                   '2027-01-01T01:02:03', '2027-01-02T01:02:03')
        self.fires({'schedule_interval': '1 days',
                    'schedule_start_date': '2020-01-01T01:02:03'},
                   '2026-11-23T01:02:03')

    def test_the_end_counts_without_a_start(self) -> None:
        self.fires({'schedule_interval': '1 days',
                    'schedule_end_date': '2026-11-24T12:00:00'},
                   '2026-11-23T12:00:00', '2026-11-24T12:00:00', 'never')
        self.fires({'schedule_hour': '3',
                    'schedule_end_date': '2026-11-24T02:59:59'},
                   '2026-11-23T03:00:00', 'never')
        self.fires({'schedule_interval': 'continuous',
                    'schedule_end_date': '2026-11-22T12:00:01'},
                   '2026-11-22T12:00:01', 'never')
        self.fires({'schedule_interval': '1 days',
                    'schedule_start_date': '2026-11-24T12:00:00',
                    'schedule_end_date': '2026-11-24T12:00:00'},
                   '2026-11-24T12:00:00', 'never')

    def test_continuous(self) -> None:
        self.fires({'schedule_interval': 'continuous'},
                   '2026-11-22T12:00:01', '2026-11-22T12:00:02')
        self.fires({'schedule_interval': 'continuous',
                    'schedule_start_date': '2027-01-01T00:00:00'},
                   '2027-01-01T00:00:00', '2027-01-01T00:00:01')

    def test_cron(self) -> None:
        self.fires({'schedule_hour': '3'},
                   '2026-11-23T03:00:00', '2026-11-24T03:00:00')
        self.fires({'schedule_day_of_week': 'mon,wed'},
                   '2026-11-23T00:00:00', '2026-11-25T00:00:00',
                   '2026-11-30T00:00:00')
        self.fires({'schedule_day': 'last', 'schedule_hour': '23'},
                   '2026-11-30T23:00:00', '2026-12-31T23:00:00')
        self.fires({'schedule_day': '3rd fri'}, '2026-12-18T00:00:00')
        self.fires({'schedule_year': '2030'}, '2030-01-01T00:00:00', 'never')
        self.fires({'schedule_year': '2020'}, 'never')
        self.fires({'schedule_month': 'feb', 'schedule_day': '29'},
                   '2028-02-29T00:00:00', '2032-02-29T00:00:00')

    def test_cron_between_start_and_end(self) -> None:
        self.fires({'schedule_minute': '30',
                    'schedule_start_date': '2026-12-01T10:30:00',
                    'schedule_end_date': '2026-12-01T11:30:00'},
                   '2026-12-01T10:30:00', '2026-12-01T11:30:00', 'never')

    def test_impossible_days_end_quickly(self) -> None:
        started = time.process_time()
        for document in (
                {'schedule_month': '2', 'schedule_day': '30'},
                {'schedule_month': '2-11', 'schedule_week': '1'},
                {'schedule_month': '*/3', 'schedule_week': '53',
                 'schedule_day_of_week': 'mon', 'schedule_minute': '*/7'},
                {'schedule_year': '9999', 'schedule_month': '6',
                 'schedule_week': '53'}):
            self.fires(document, 'never')
        self.assertLess(time.process_time() - started, 2)

    def test_a_far_question_costs_no_more(self) -> None:
        parsed = schedule.Interval(1)
        late = NOON.replace(year=3026)
        started = time.process_time()
        for _ in range(100):
            self.assertEqual(late + SECOND,
                             schedule.next_firing(parsed, NOON, late))
        self.assertLess(time.process_time() - started, 1)

    def test_the_end_of_time(self) -> None:
        last = datetime.datetime.max.replace(tzinfo=UTC)
        for document in ({'schedule_interval': '1 seconds'}, {},
                         {'schedule_interval': 'continuous'},
                         {'schedule_second': '*'},
                         {'schedule_year': '9999', 'schedule_second': '59'}):
            self.fires(document, 'never', after=last)
        for document in ({'schedule_month': '2'},
                         {'schedule_month': '2', 'schedule_second': '*'}):
            self.fires(document, 'never', after=last - SECOND)
        self.fires({'schedule_interval': '999999999999 weeks'}, 'never')

    def test_the_beginning_of_time(self) -> None:
        first = datetime.datetime.min.replace(tzinfo=UTC)
        self.fires({'schedule_hour': '1'}, '1970-01-01T01:00:00', after=first)
        self.fires({'schedule_interval': 'continuous'},
                   '0001-01-01T00:00:01', after=first)

    def test_naive_times_are_refused(self) -> None:
        naive = NOON.replace(tzinfo=None)
        for parsed in (schedule.OneShot(), schedule.Interval(5)):
            for anchor, after in ((naive, NOON), (NOON, naive)):
                self.assertRaises(ValueError, schedule.next_firing,
                                  parsed, anchor, after)

    def test_other_zones_are_the_same_moments(self) -> None:
        zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
        for document in ({'schedule_hour': '3'}, {'schedule_interval':
                                                  '1 hours'}):
            parsed = schedule.parse(document)
            found = schedule.next_firing(
                parsed, NOON.astimezone(zone), NOON.astimezone(zone))
            self.assertEqual(schedule.next_firing(parsed, NOON, NOON), found)
            self.assertEqual(datetime.timedelta(0),
                             found.utcoffset() if found else None)


class TestProperties(testtools.TestCase):

    @hypothesis.given(st.integers(1, 100), moments, offsets,
                      st.none() | offsets, st.none() | offsets)
    def test_intervals_against_every_second(
            self, seconds: int, anchor: datetime.datetime,
            away: datetime.timedelta, start_away: datetime.timedelta | None,
            end_away: datetime.timedelta | None) -> None:
        anchor = anchor.replace(microsecond=0)
        after = anchor + away
        start = None if start_away is None else anchor + start_away
        end = None if end_away is None else anchor + end_away
        first = start or anchor + seconds * SECOND
        expected, moment = None, first
        while moment <= after + 1000 * SECOND:
            if moment > after and (end is None or moment <= end):
                expected = moment
                break
            moment += seconds * SECOND
        self.assertEqual(expected, schedule.next_firing(
            schedule.Interval(seconds, start, end), anchor, after))

    @hypothesis.given(cron_fields(), moments)
    def test_cron_against_the_calendar(
            self, fields: dict[str, tuple[str, set[int]]],
            after: datetime.datetime) -> None:
        parsed = schedule.parse({
            f'schedule_{name}': text for name, (text, _) in fields.items()})
        found = schedule.next_firing(parsed, NOON, after)
        days = 800
        expected = brute_force(allowed(fields), after, days)
        if expected is None and found is not None:
            self.assertGreater(
                found, after + datetime.timedelta(days=days - 1))
        else:
            self.assertEqual(expected, found)

    @hypothesis.given(documents, moments, moments)
    def test_a_firing_is_a_whole_second_after(
            self, document: Any, anchor: datetime.datetime,
            after: datetime.datetime) -> None:
        found = schedule.next_firing(schedule.parse(document), anchor, after)
        if found is not None:
            self.assertGreater(found, after)
            self.assertEqual(0, found.microsecond)
            self.assertEqual(UTC, found.tzinfo)

    @hypothesis.given(documents, moments, moments,
                      st.floats(0, 1, allow_nan=False))
    def test_nothing_depends_on_when_it_is_asked(
            self, document: Any, anchor: datetime.datetime,
            after: datetime.datetime, part: float) -> None:
        parsed = schedule.parse(document)
        hypothesis.assume(not isinstance(parsed, schedule.Continuous))
        found = schedule.next_firing(parsed, anchor, after)
        if found is None:
            later = after + datetime.timedelta(days=365 * part)
            again = schedule.next_firing(parsed, anchor, later)
            self.assertIsNone(again)
            return
        # From anywhere before it, the same firing; at it, another.
        between = after + (found - SECOND - after) * part
        if between >= after:
            self.assertEqual(
                found, schedule.next_firing(parsed, anchor, between))
        self.assertEqual(found, schedule.next_firing(
            parsed, anchor, found - SECOND))
        self.assertNotEqual(
            found, schedule.next_firing(parsed, anchor, found))

    @hypothesis.given(moments)
    def test_last_day_of_month(self, after: datetime.datetime) -> None:
        found = schedule.next_firing(
            schedule.Cron((('day', 'last'),)), NOON, after)
        assert found is not None
        self.assertEqual(
            calendar.monthrange(found.year, found.month)[1], found.day)
        self.assertLess(found - after, datetime.timedelta(days=32))

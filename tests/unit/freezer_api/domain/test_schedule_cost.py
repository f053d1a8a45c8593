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

"""What a schedule may cost, counted in lines of Python.

Lines are the same on each machine, quiet or not. What they take in time is
measured by ``python -m benchmarks.schedules``.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import datetime
import sys
import types
from typing import Any
import zoneinfo

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_api.domain import cron_fields
from freezer_api.domain import cron_firing
from freezer_api.domain import crontab
from freezer_api.domain import schedule

UTC = datetime.UTC

MOST_LINES = 12_000
"""For a document that nobody has seen before: read, checked and searched."""

MOST_LINES_AGAIN = 2_500
"""For each further firing."""

MOST_LENGTH = 255

# The worst of an attack on earlier releases: 827 bytes, 4 seconds.
ATTACK = {'schedule_day': ','.join('*' * 128),
          'schedule_week': ','.join('2' * 128),
          'schedule_month': ','.join(['2-12'] * 51)}

ZONES = ('Africa/Casablanca', 'Europe/Dublin', 'Pacific/Apia', 'Asia/Gaza',
         'America/Nuuk', 'Antarctica/Troll', 'Australia/Lord_Howe',
         'Africa/El_Aaiun', 'America/Scoresbysund', 'UTC')


def lines_of(work: Callable[[], object]) -> int:
    """Return how many lines of the package a piece of work runs."""
    lines = 0

    def local(frame: types.FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        lines += event == 'line'
        return local

    def begin(frame: types.FrameType, event: str, _: Any) -> Any:
        return local if 'freezer_api' in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(begin)
    try:
        work()
    finally:
        sys.settrace(before)
    return lines


def forget() -> None:
    """Forget what was compiled, as if others had used the caches since."""
    cron_firing.compile_fields.cache_clear()
    cron_fields.compile_field.cache_clear()
    crontab.compile_text.cache_clear()


def cost(document: Mapping[str, Any], anchor: datetime.datetime,
         after: datetime.datetime) -> tuple[int, int]:
    """Return the lines of the first firing, and of the next."""

    def first() -> None:
        try:
            schedule.check_new(document)
            schedule.check_interval(document, 60)
        except schedule.ScheduleError:
            pass
        search()

    def search() -> None:
        try:
            schedule.next_firing(schedule.parse(document), anchor, after)
        except schedule.ScheduleError:
            pass

    forget()
    return lines_of(first), lines_of(search)


def lists(entry: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Lists as long as a field may be."""
    return st.builds(
        lambda parts, times: ','.join(parts * times)[:MOST_LENGTH].rsplit(
            ',', 1)[0],
        st.lists(entry, min_size=1, max_size=40), st.integers(1, 128))


def numbers(name: str) -> st.SearchStrategy[str]:
    least, most = cron_fields.RANGES[name]
    number = st.integers(least, most)
    return lists(st.one_of(
        st.just('*'), number.map(str),
        st.tuples(number, number).map(lambda two: f'{min(two)}-{max(two)}'),
        st.integers(1, max(1, most - least)).map(lambda step: f'*/{step}')))


positions = lists(st.tuples(
    st.sampled_from(('1st', '2nd', '3rd', '4th', '5th', 'last')),
    st.sampled_from(('mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'))).map(
        ' '.join) | st.just('last'))

dates = st.builds(
    lambda year, rest: f'{year:04}-{rest}', st.integers(1, 9999),
    st.sampled_from(('02-29T00:00:00', '12-31T23:59:59+23:59',
                     '01-01T00:00:00-23:59', '03-29T02:30:00',
                     '06-01T00:00:00Z')))

documents = st.fixed_dictionaries({}, optional={
    'schedule_year': st.sampled_from(('1970', '2026', '9998')),
    'schedule_month': numbers('month') | st.sampled_from(('2', '2-11')),
    'schedule_day': numbers('day') | positions | st.sampled_from(
        ('29', '30', '31', '5th fri')),
    'schedule_week': numbers('week') | st.sampled_from(('1', '9', '53')),
    'schedule_day_of_week': numbers('day_of_week'),
    'schedule_hour': numbers('hour'),
    'schedule_minute': numbers('minute'),
    'schedule_second': numbers('second'),
    'schedule_start_date': dates, 'schedule_end_date': dates,
    'schedule_timezone': st.sampled_from(ZONES)})

crontabs = st.fixed_dictionaries({'schedule_cron': st.builds(
    lambda *parts: ' '.join(part[:MOST_LENGTH // 5 - 1].rsplit(',', 1)[0]
                            for part in parts),
    *(numbers(name) | st.just('*')
      for name in ('minute', 'hour')),
    numbers('day') | st.sampled_from(('29', '30', '31', '*')),
    numbers('month') | st.sampled_from(('2', '2-11', '*')),
    numbers('day_of_week') | st.sampled_from(('*', '7', '*/7')))}, optional={
        'schedule_start_date': dates, 'schedule_end_date': dates,
        'schedule_timezone': st.sampled_from(ZONES)})

others = st.fixed_dictionaries({}, optional={
    'schedule_date': dates,
    'schedule_interval': st.just('continuous') | st.builds(
        '{} {}'.format, st.integers(0, 10 ** 12 - 1),
        st.sampled_from(('seconds', 'minutes', 'hours', 'days', 'weeks'))),
    'schedule_start_date': dates, 'schedule_end_date': dates,
    'schedule_timezone': st.sampled_from(ZONES)})


def moment(year: int) -> datetime.datetime:
    return datetime.datetime(year, 11, 22, 12, tzinfo=UTC)


moments = st.datetimes(timezones=st.just(UTC))


class TestCost(testtools.TestCase):

    def within(self, document: Mapping[str, Any], anchor: datetime.datetime,
               after: datetime.datetime) -> tuple[int, int]:
        first, again = cost(document, anchor, after)
        self.assertLess(first, MOST_LINES, document)
        self.assertLess(again, MOST_LINES_AGAIN, document)
        return first, again

    def test_what_stopped_every_project(self) -> None:
        now = moment(2026)
        self.within(ATTACK, now, now)
        for zone in ZONES:
            self.within({**ATTACK, 'schedule_timezone': zone}, now, now)
            self.within({**ATTACK, 'schedule_week': '9', 'schedule_day': '29',
                         'schedule_timezone': zone}, now, now)

    @hypothesis.settings(deadline=None, max_examples=400)
    @hypothesis.given(documents, moments, moments)
    @hypothesis.example(ATTACK, moment(2026), moment(2026))
    def test_no_cron_fields_cost_much(
            self, document: dict[str, str], anchor: datetime.datetime,
            after: datetime.datetime) -> None:
        first, again = self.within(document, anchor, after)
        hypothesis.target(float(first), label='first')
        hypothesis.target(float(again), label='again')

    @hypothesis.settings(deadline=None, max_examples=200)
    @hypothesis.given(crontabs, moments, moments)
    def test_no_crontab_expression_costs_much(
            self, document: dict[str, str], anchor: datetime.datetime,
            after: datetime.datetime) -> None:
        first, again = self.within(document, anchor, after)
        hypothesis.target(float(first), label='first')
        hypothesis.target(float(again), label='again')

    @hypothesis.settings(deadline=None, max_examples=200)
    @hypothesis.given(others, moments, moments)
    def test_nothing_else_costs_much(
            self, document: dict[str, str], anchor: datetime.datetime,
            after: datetime.datetime) -> None:
        first, again = self.within(document, anchor, after)
        hypothesis.target(float(first), label='first')
        hypothesis.target(float(again), label='again')

    def test_no_zone_costs_much(self) -> None:
        now = moment(2026)
        for zone in sorted(zoneinfo.available_timezones()):
            if not zone[0].isupper():
                continue
            for hour in ({}, {'schedule_hour': '2'}):
                for after in (now, now.replace(year=1970)):
                    self.within({
                        'schedule_minute': '30', 'schedule_month': '2',
                        'schedule_day': '29', 'schedule_day_of_week': 'mon',
                        'schedule_timezone': zone, **hour}, after, after)

    def test_what_is_remembered_is_bounded(self) -> None:
        for cached in (cron_firing.compile_fields, cron_fields.compile_field,
                       crontab.compile_text):
            self.assertIsNotNone(cached.cache_info().maxsize)
            self.assertLessEqual(cached.cache_info().maxsize or 0, 1024)

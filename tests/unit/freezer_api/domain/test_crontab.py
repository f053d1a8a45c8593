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

"""schedule_cron means what crontab(5) says, as the library cronsim reads it.

cronsim is the oracle, in UTC: where clocks are put forward and back,
schedule_cron follows the rules of the other cron keys, which have tests of
their own.
"""

from __future__ import annotations

import datetime
import zoneinfo

import cronsim
import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_api.domain import crontab
from freezer_api.domain import schedule

UTC = datetime.UTC
T0 = datetime.datetime(2026, 11, 30, 9, 30, tzinfo=UTC)

RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
NAMES = {3: ('jan', 'FEB', 'Jun', 'dec', 'smarch'),
         4: ('sun', 'MON', 'Thu', 'fri', 'sat', 'caturday')}


def entries(place: int) -> st.SearchStrategy[str]:
    least, most = RANGES[place]
    number = (st.integers(least, most) | st.integers(0, 70)).map(str)
    word = number | st.sampled_from(NAMES.get(place, ('1',)))
    item = st.one_of(st.just('*'), word, st.tuples(word, word).map('-'.join))
    # cronsim reads 1-1/2 as 1/2, which goes on to the end of the field.
    stepped = item.filter(lambda text: not is_range_of_one(place, text))
    return item | st.tuples(stepped, st.integers(0, 40).map(str)).map('/'.join)


def is_range_of_one(place: int, text: str) -> bool:
    start, _, end = text.partition('-')
    return end != '' and value(place, start) == value(place, end)


def value(place: int, word: str) -> int:
    names = {3: ('jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug',
                 'sep', 'oct', 'nov', 'dec'),
             4: ('sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat')}
    known = names.get(place, ())
    if word.lower() in known:
        return known.index(word.lower()) + (place == 3)
    return int(word) if word.isdecimal() else -1


def parts(place: int) -> st.SearchStrategy[str]:
    return st.just('*') | st.lists(
        entries(place), min_size=1, max_size=3).map(','.join)


texts = st.tuples(*map(parts, range(5))).map(' '.join)
moments = st.integers(631_152_000, 3_786_912_000).map(
    lambda second: datetime.datetime.fromtimestamp(second, UTC))


def firings(text: str, after: datetime.datetime, number: int = 3,
            **more: str) -> list[datetime.datetime]:
    parsed = schedule.parse({'schedule_cron': text, **more})
    found = []
    for _ in range(number):
        firing = schedule.next_firing(parsed, T0, after)
        if firing is None:
            break
        found.append(firing)
        after = firing
    return found


class TestMeaning(testtools.TestCase):

    @hypothesis.settings(deadline=None, max_examples=500)
    @hypothesis.given(texts, moments)
    def test_it_is_what_cronsim_says(
            self, text: str, after: datetime.datetime) -> None:
        after = after.replace(microsecond=0)
        try:
            oracle = cronsim.CronSim(text, after)
        except cronsim.CronSimError:
            oracle = None
        try:
            read = firings(text, after)
        except schedule.ScheduleError:
            self.assertIsNone(oracle, text)
            return
        if oracle is None:
            # It refuses days that never come, and so does check_new.
            self.assertEqual([], read, text)
            return
        wanted = []
        for firing in oracle:
            wanted.append(firing)
            if len(wanted) == len(read) or not read:
                break
        self.assertEqual(wanted, read, text)

    def test_days_are_those_of_cron_and_not_of_the_other_keys(self) -> None:
        weekdays = {firing.isoweekday()
                    for firing in firings('0 2 * * 1-5', T0, 20)}
        self.assertEqual({1, 2, 3, 4, 5}, weekdays)
        for sunday in ('0', '7', 'sun', 'SUN'):
            self.assertEqual(
                {7}, {firing.isoweekday() for firing in firings(
                    f'0 2 * * {sunday}', T0, 3)})

    def test_a_range_of_one_stays_one_with_a_step(self) -> None:
        self.assertEqual({1}, {firing.day for firing in firings(
            '0 0 1-1/2 * *', T0, 5)})

    def test_either_day_field_matches_where_both_are_restricted(self) -> None:
        found = firings('0 0 13 * 5', T0, 200)
        self.assertTrue(all(firing.day == 13 or firing.isoweekday() == 5
                            for firing in found))
        self.assertEqual({True, False}, {firing.day == 13
                                         for firing in found})
        for text in ('0 0 13 * *', '0 0 * * 5', '0 0 */2 * 5'):
            for firing in firings(text, T0, 50):
                if '13' in text:
                    self.assertEqual(13, firing.day)
                else:
                    self.assertEqual(5, firing.isoweekday())

    def test_it_is_read_by_the_clocks_of_its_zone(self) -> None:
        berlin = zoneinfo.ZoneInfo('Europe/Berlin')
        spring = datetime.datetime(2027, 3, 27, 12, tzinfo=UTC)
        self.assertEqual(
            ['2027-03-28T03:00:00+02:00', '2027-03-29T02:30:00+02:00'],
            [firing.astimezone(berlin).isoformat() for firing in firings(
                '30 2 * * *', spring, 2, schedule_timezone='Europe/Berlin')])
        autumn = datetime.datetime(2027, 10, 30, 23, 45, tzinfo=UTC)
        self.assertEqual(
            ['2027-10-31T02:30:00+02:00', '2027-11-01T02:30:00+01:00'],
            [firing.astimezone(berlin).isoformat() for firing in firings(
                '30 2 * * *', autumn, 2, schedule_timezone='Europe/Berlin')])
        self.assertEqual(25, sum(
            firing.astimezone(berlin).date() == datetime.date(2027, 10, 31)
            for firing in firings('15 * * * *', autumn.replace(hour=20), 48,
                                  schedule_timezone='Europe/Berlin')))


class TestRefusals(testtools.TestCase):

    def test_what_is_no_expression_names_the_field(self) -> None:
        for text, said in (
                ('', None), ('* * * *', 'has 4 fields'),
                ('0 0 2 * * *', 'has 6 fields'), ('@daily', 'has 1 fields'),
                ('60 * * * *', "the minute '60' is not from 0 to 59"),
                ('* 24 * * *', "the hour '24'"),
                ('* * 0 * *', "the day of the month '0'"),
                ('* * L * *', "the day of the month"),
                ('* * * 13 *', "the month '13'"),
                ('* * * smarch *', 'is not one of jan, feb'),
                ('* * * * 8', "the day of the week '8' is not from 0 to 7"),
                ('* * * * fri-mon', 'ends before it begins'),
                ('*/0 * * * *', "the step of the minute '*/0' is 0"),
                ('1,,2 * * * *', "the minute ''"),
                ('\u0661 * * * *', 'cannot be understood'),
                ('1-2-3 * * * *', 'cannot be understood')):
            if said is None:
                self.assertIsInstance(
                    schedule.parse({'schedule_cron': text}), schedule.OneShot)
                continue
            error = self.assertRaises(
                schedule.ScheduleError, schedule.parse,
                {'schedule_cron': text})
            self.assertEqual('schedule_cron', error.field)
            self.assertIn(said, error.message)
            self.assertRaises(ValueError, crontab.compile_text, text)

    def test_a_day_that_never_comes(self) -> None:
        for text in ('0 0 30 2 *', '0 0 31 2,4,6,9,11 *'):
            self.assertIsInstance(
                schedule.parse({'schedule_cron': text}), schedule.Never)
            error = self.assertRaises(
                schedule.ScheduleError, schedule.check_new,
                {'schedule_cron': text})
            self.assertEqual('schedule_cron', error.field)

    def test_it_stands_with_no_other_way_to_name_a_time(self) -> None:
        cron = {'schedule_cron': '0 2 * * *'}
        for name in ('schedule_interval', *schedule.WAYS):
            if name == 'schedule_cron':
                continue
            value = {'schedule_interval': '1 days', 'schedule_year': '2027',
                     'schedule_date': '2027-01-01T00:00:00'}.get(name, '1')
            error = self.assertRaises(
                schedule.Ambiguous, schedule.parse, {**cron, name: value})
            self.assertIn('schedule_cron', str(error))
            self.assertIn(name, str(error))
            # Horizon sends empty keys.
            schedule.parse({**cron, name: ''})
        schedule.parse({**cron, 'schedule_timezone': 'Europe/Berlin',
                        'schedule_start_date': '2027-01-01T00:00:00',
                        'schedule_end_date': '2028-01-01T00:00:00'})

    def test_how_often_it_fires_is_known(self) -> None:
        for text, gap in (('* * * * *', 60), ('*/5 * * * *', 300),
                          ('0,1 2 * * *', 60), ('0 2 * * *', 86_400),
                          ('0 0 1 * *', 86_400)):
            schedule.check_interval({'schedule_cron': text}, gap)
            if gap < 86_400:
                error = self.assertRaises(
                    schedule.ScheduleError, schedule.check_interval,
                    {'schedule_cron': text}, gap + 1)
                self.assertEqual('schedule_cron', error.field)

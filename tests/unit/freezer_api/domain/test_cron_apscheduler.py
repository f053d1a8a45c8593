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

"""Cron fields as APScheduler reads them, which earlier releases used."""

from __future__ import annotations

import datetime
import re

from apscheduler.triggers import cron
import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_api.domain import cron_fields
from freezer_api.domain import schedule
from freezer_api.domain import schedule_values
from tests.unit.freezer_api.domain import test_schedule

UTC = datetime.UTC

NAMES = {'month': ('jan', 'FEB', 'Mar', 'dec', 'smarch'),
         'day_of_week': ('mon', 'TUE', 'fri', 'sun', 'caturday')}
POSITIONS = ('1st', '2nd', '3rd', '4TH', '5th', 'last', '6th')


def entries(name: str) -> st.SearchStrategy[str]:
    """Entries of a list, most of which are expressions of the field."""
    least, most = cron_fields.RANGES[name]
    number = st.integers(least, most) | st.integers(0, 70)
    kinds = [
        st.just('*'), number.map(str), number.map(lambda n: f'*/{n}'),
        number.map(lambda n: f'{n:03}'),
        st.tuples(number, number).map(lambda two: f'{two[0]}-{two[1]}'),
        st.tuples(number, number).map(lambda two: f'{two[0]}/{two[1]}'),
        st.tuples(number, number, st.integers(0, 9)).map(
            lambda three: f'{min(three[:2])}-{max(three[:2])}/{three[2]}')]
    if name in NAMES:
        word = st.sampled_from(NAMES[name])
        kinds += [word, st.tuples(word, word).map('-'.join)]
    if name == 'day':
        kinds += [st.just('last'), st.just('Last'), st.tuples(
            st.sampled_from(POSITIONS), st.sampled_from((' ', '  ')),
            st.sampled_from(NAMES['day_of_week'])).map(''.join)]
    return st.one_of(kinds)


def expressions(name: str) -> st.SearchStrategy[str]:
    separator = st.sampled_from((',', ', ', ' , ', ' ,'))
    return st.builds(
        lambda between, parts: between.join(parts),
        separator, st.lists(entries(name), min_size=1, max_size=4))


# What no list of expressions is: read by its beginning, or of other letters.
ODD = st.sampled_from((
    '', ' ', ',', '1,', '*,', '1 2', 'mon;tue', 'mon-fri/2', 'lastfri',
    'last 5', '1st', '2nd-3rd fri', '1-', '-1', '*/', '*/*', '5\n,6', '\t3',
    '٣', 'ﬁ', '1\n', 'jan-3', 'fri#2', 'L', '?', '@daily', '1--2', '0x1',
    '1_0', '+1', '1.0', 'last-1'))

NOT_THE_YEAR = [name for name in cron_fields.RANGES if name != 'year']

documents = st.fixed_dictionaries({}, optional={
    'year': st.integers(1965, 2099).map(str),
    **{name: expressions(name) for name in NOT_THE_YEAR}})


def reference_field(name: str, text: str) -> bool:
    """Whether APScheduler reads all of a text as expressions of a field."""
    try:
        parsed = cron.CronTrigger.FIELDS_MAP[name](name, text)
    except ValueError:
        return False
    return all(any(compiler.value_re.fullmatch(part)
                   for compiler in parsed.COMPILERS)
               for part in re.split(' *, *', text.strip()))


def reference_firing(fields: dict[str, str],
                     since: datetime.datetime) -> datetime.datetime | None:
    """The first firing within some years, by APScheduler."""
    given = {'year': f'{since.year}-{since.year + 4}', **fields}
    return cron.CronTrigger(**given, timezone=UTC).get_next_fire_time(
        None, since)


class TestAPScheduler(testtools.TestCase):

    @hypothesis.settings(deadline=None, max_examples=600)
    @hypothesis.given(st.data())
    def test_an_expression_is_read_alike(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(NOT_THE_YEAR))
        text = data.draw(expressions(name) | ODD | st.text(max_size=6))
        accepted = text.isascii() and reference_field(name, text)
        hypothesis.event('accepted' if accepted else 'refused')
        if accepted:
            schedule_values.check_cron_field(f'schedule_{name}', text)
        else:
            error = self.assertRaises(
                schedule.ScheduleError, schedule_values.check_cron_field,
                f'schedule_{name}', text)
            self.assertEqual(f'schedule_{name}', error.field)

    @hypothesis.settings(deadline=None, max_examples=600)
    @hypothesis.given(documents, test_schedule.moments)
    def test_a_schedule_fires_alike(
            self, fields: dict[str, str], since: datetime.datetime) -> None:
        hypothesis.assume(fields)
        since = since.replace(microsecond=0)
        try:
            parsed = schedule.parse(
                {f'schedule_{name}': text for name, text in fields.items()})
        except schedule.ScheduleError:
            hypothesis.reject()
        found = schedule.next_firing(
            parsed, since, since - test_schedule.SECOND)
        expected = reference_firing(fields, since)
        if isinstance(parsed, schedule.Never):
            hypothesis.event('never')
            self.assertIsNone(expected)
        elif expected is None and found is not None:
            self.assertGreater(
                found.year, since.year + ('year' not in fields) * 4)
        else:
            hypothesis.event('later' if expected is None else 'found')
            self.assertEqual(expected, found)

    def test_every_field_alone(self) -> None:
        since = test_schedule.NOON
        for name in NOT_THE_YEAR:
            least, most = cron_fields.RANGES[name]
            for number in range(least, most + 1):
                found = schedule.next_firing(
                    schedule.parse({f'schedule_{name}': str(number)}),
                    since, since - test_schedule.SECOND)
                self.assertEqual(
                    reference_firing({name: str(number)}, since), found,
                    f'{name} {number}')

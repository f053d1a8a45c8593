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


"""The rules of restic and borg, held against slow copies of both."""

from __future__ import annotations

import dataclasses
import datetime
import zoneinfo

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_api.domain import keep_rules

NAMES = keep_rules.NAMES

# Twice a year an hour is skipped or repeated in some, and one skips a day.
ZONES = st.sampled_from((
    datetime.UTC, zoneinfo.ZoneInfo('Europe/Berlin'),
    zoneinfo.ZoneInfo('Pacific/Apia'), zoneinfo.ZoneInfo('Asia/Kathmandu')))

RULES = st.builds(
    keep_rules.KeepRules,
    **{name: st.integers(0, 9) for name in NAMES}, zone=ZONES)

FIRST = datetime.datetime(2010, 1, 1, tzinfo=datetime.UTC)
MOMENTS = st.lists(
    st.integers(0, 5 * 365 * 86400), max_size=60,
    unique=True).map(lambda moments: {
        f'b{number}': FIRST + datetime.timedelta(seconds=moment)
        for number, moment in enumerate(moments)})


def formats(name: str) -> str:
    """Return how borg writes a period."""
    return {'daily': '%Y-%m-%d', 'weekly': '%G-%V', 'monthly': '%Y-%m',
            'yearly': '%Y'}[name]


def by_restic(rules: keep_rules.KeepRules,
              moments: dict[str, datetime.datetime]) -> set[str]:
    """Walk once, with a count and a last value for each rule."""
    left = {name: getattr(rules, name) for name in NAMES}
    last: dict[str, str] = {}
    kept = set()
    ordered = sorted(moments, key=lambda one: (moments[one], one))[::-1]
    for number, one in enumerate(ordered):
        local = moments[one].astimezone(rules.zone)
        for name in NAMES:
            value = (str(number) if name == 'last'
                     else local.strftime(formats(name)))
            if left[name] > 0 and (
                    value != last.get(name) or one == ordered[-1]):
                kept.add(one)
                last[name] = value
                left[name] -= 1
    return kept


def by_borg(rules: keep_rules.KeepRules,
            moments: dict[str, datetime.datetime]) -> set[str]:
    """Split the list once for each rule."""
    kept: set[str] = set()
    ordered = sorted(moments, key=lambda one: (moments[one], one))[::-1]
    for name in NAMES[1:]:
        wanted = getattr(rules, name)
        last = None
        chosen: list[str] = []
        for one in ordered:
            period = moments[one].astimezone(rules.zone).strftime(
                formats(name))
            if period != last and len(chosen) < wanted:
                chosen.append(one)
            last = period
        if ordered and len(chosen) < wanted and ordered[-1] not in chosen:
            chosen.append(ordered[-1])
        kept.update(chosen)
    return kept.union(ordered[:rules.last])


class KeepRulesTests(testtools.TestCase):

    @hypothesis.given(RULES, MOMENTS)
    def test_the_same_stay_as_with_restic_and_borg(self, rules, moments):
        kept = set(rules.kept(moments))
        self.assertEqual(by_restic(rules, moments), kept)
        self.assertEqual(by_borg(rules, moments), kept)

    @hypothesis.given(RULES, MOMENTS, st.randoms())
    def test_the_order_of_the_list_does_not_matter(
            self, rules, moments, random):
        shuffled = list(moments.items())
        random.shuffle(shuffled)
        self.assertEqual(rules.kept(moments), rules.kept(dict(shuffled)))

    @hypothesis.given(RULES, MOMENTS, st.timedeltas(
        datetime.timedelta(seconds=1), datetime.timedelta(days=500)))
    def test_removing_the_others_changes_no_later_decision(
            self, rules, moments, later):
        stay = {one: moments[one] for one in rules.kept(moments)}
        self.assertEqual(set(stay), set(rules.kept(stay)))
        new = {'new': max(moments.values(), default=datetime.datetime(
            2012, 1, 1, tzinfo=datetime.UTC)) + later}
        self.assertEqual(set(rules.kept({**moments, **new})),
                         set(rules.kept({**stay, **new})))

    @hypothesis.given(RULES, MOMENTS, st.sampled_from(NAMES))
    def test_a_larger_number_keeps_all_that_a_smaller_keeps(
            self, rules, moments, name):
        more = dataclasses.replace(
            rules, **{name: getattr(rules, name) + 1})
        smaller = set(rules.kept(moments))
        # The oldest stays only until a rule is full.
        oldest = min(moments, key=lambda one: (moments[one], one),
                     default=None)
        self.assertLessEqual(smaller - {oldest}, set(more.kept(moments)))

    @hypothesis.given(RULES, MOMENTS)
    def test_each_rule_keeps_as_many_as_there_are(self, rules, moments):
        kept = rules.kept(moments)
        for name in NAMES[1:]:
            periods = {moment.astimezone(rules.zone).strftime(formats(name))
                       for moment in moments.values()}
            number = sum(name in reasons for reasons in kept.values())
            self.assertGreaterEqual(
                number, min(getattr(rules, name), len(periods)))
        self.assertEqual(
            min(rules.last, len(moments)),
            sum('last' in reasons for reasons in kept.values()))

    def test_the_day_begins_in_the_zone(self) -> None:
        """23:30 UTC is the next day in Berlin."""
        moments = {
            'evening': datetime.datetime(2027, 1, 1, 23, 30,
                                         tzinfo=datetime.UTC),
            'morning': datetime.datetime(2027, 1, 2, 8, tzinfo=datetime.UTC)}
        berlin = zoneinfo.ZoneInfo('Europe/Berlin')
        self.assertEqual(
            {'morning': ('daily',), 'evening': ('daily',)},
            keep_rules.KeepRules(daily=1 + 1).kept(moments))
        self.assertEqual(
            {'morning': ('daily',)},
            keep_rules.KeepRules(daily=1, zone=berlin).kept(moments))

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


"""Years of a daily job, with the real planner and a model of Cinder."""

from __future__ import annotations

import datetime
import pathlib

import testtools

from freezer_api.domain import keep_rules
from tests.unit.freezer_api.domain import test_keep_rules
from tools import retention_picture

_PAGES = pathlib.Path(__file__).parents[4] / 'doc/source/user'


class YearTests(testtools.TestCase):

    def test_the_picture_of_the_page_is_what_the_planner_does(self) -> None:
        self.assertEqual(
            (_PAGES / 'retention-year.svg').read_text(),
            retention_picture.draw(retention_picture.simulate()),
            'run: python -m tools.retention_picture')

    def test_what_stays_is_what_the_rules_keep_of_all(self) -> None:
        """Although each day's plan saw only what the days before left."""
        for days in (1, 40, 365, 1200):
            found = retention_picture.simulate(days)
            self.assertEqual(
                test_keep_rules.by_restic(
                    retention_picture.RULES, moments(found)),
                {str(day.date) for day in found if day.rules})

    def test_a_chain_stays_whole_while_a_rule_keeps_one_of_it(self) -> None:
        found = retention_picture.simulate(1200)
        week = retention_picture.FULL_EVERY
        for chain in (found[at:at + week]
                      for at in range(0, len(found), week)):
            self.assertEqual({any(day.rules for day in chain)},
                             {day.exists for day in chain})

    def test_single_rules_keep_their_number_and_the_first(self) -> None:
        for rules in (keep_rules.KeepRules(daily=2),
                      keep_rules.KeepRules(weekly=2),
                      keep_rules.KeepRules(monthly=2),
                      keep_rules.KeepRules(yearly=2)):
            found = retention_picture.simulate(60, rules)
            kept = [day.date for day in found if day.rules]
            # One year has begun: the oldest fills the second place.
            self.assertEqual(2, len(kept), str(rules))
            self.assertEqual(found[-1].date, kept[-1])


def moments(found: list[retention_picture.Day],
            ) -> dict[str, datetime.datetime]:
    return {str(day.date): datetime.datetime.combine(
        day.date, datetime.time(), datetime.UTC) for day in found}

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

"""Turns, against picking one after the other."""

from __future__ import annotations

import collections

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_api.domain import fair_share

lines = st.lists(
    st.tuples(st.sampled_from(['a', 'b', 'c', None]), st.integers(0, 5),
              st.booleans())
).map(lambda many:
      [fair_share.Entry(str(number), *one) for number, one in enumerate(many)])


def one_by_one(entries: list[fair_share.Entry], limit: int,
               going: dict[str | None, int],
               per_project: int | None) -> list[fair_share.Entry]:
    """The next is always of who had least, and the oldest of those."""
    had: collections.Counter[str | None] = collections.Counter()
    numbers = collections.Counter(going)
    left = list(entries)
    chosen: list[fair_share.Entry] = []
    while left and len(chosen) < limit:
        first: dict[str | None, fair_share.Entry] = {}
        for entry in sorted(left, key=lambda one: one.age, reverse=True):
            first[entry.project_id] = entry
        heads = [entry for project_id, entry in first.items()
                 if entry.goes_on or per_project is None
                 or numbers[project_id] < per_project]
        if not heads:
            break
        entry = min(heads, key=lambda one: (had[one.project_id], one.age))
        left.remove(entry)
        chosen.append(entry)
        had[entry.project_id] += 1
        numbers[entry.project_id] += not entry.goes_on
    return chosen


class TestTurns(testtools.TestCase):

    @hypothesis.given(lines, st.integers(0, 12),
                      st.dictionaries(st.sampled_from(['a', 'b', None]),
                                      st.integers(0, 4)),
                      st.none() | st.integers(1, 4))
    def test_against_picking_one_after_the_other(
            self, entries, limit, going, per_project):
        """Invariant 4: the queue is fair between projects."""
        self.assertEqual(
            one_by_one(entries, limit, going, per_project),
            fair_share.chosen(entries, limit, going, per_project))

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

"""The fair-share order, against picking one item after the other."""

from __future__ import annotations

import collections

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_api.domain import fair_share

_PROJECTS = st.sampled_from('abcd')
_STEPS = st.lists(
    st.tuples(st.sampled_from(['add', 'add', 'first', 'next', 'remove']),
              _PROJECTS, st.sets(_PROJECTS, max_size=2)), max_size=40)

_LAST_TURNS = st.dictionaries(st.sampled_from(['a', 'b', 'c']),
                              st.integers(0, 8))
_DUE = st.lists(st.tuples(st.sampled_from(['a', 'b', 'c', None]),
                          st.integers(0, 5), st.booleans()))


class TestFairShare(testtools.TestCase):

    @hypothesis.given(_STEPS)
    def test_no_project_waits_for_two_turns_of_another(
            self, steps: list[tuple[str, str, set[str]]]) -> None:
        """... and nothing is lost, or comes twice, or out of its queue."""
        turns = fair_share.FairShare[str, int]()
        queues: dict[str, list[int]] = collections.defaultdict(list)
        owners = {number: project for number, (_, project, _)
                  in enumerate(steps)}
        # How many turns others had since each project could have one.
        passed: dict[str, collections.Counter[str]] = (
            collections.defaultdict(collections.Counter))
        for number, (what, project, blocked) in enumerate(steps):
            if what == 'next':
                waiting = {name for name, queue in queues.items()
                           if queue and name not in blocked}
                taken = turns.next(lambda item, blocked=blocked: (
                    owners[item] not in blocked))
                self.assertEqual(not waiting, taken is None)
                for name in waiting:
                    if queues[name][0] == taken:
                        queues[name].pop(0)
                        passed[name].clear()
                        for other in waiting - {name}:
                            passed[other][name] += 1
                            self.assertEqual(1, passed[other][name])
            elif what == 'remove':
                turns.remove(project, queues[project].pop()
                             if queues[project] else -1)
            else:
                turns.add(project, number, what == 'first')
                if not queues[project]:
                    passed[project].clear()
                queues[project].insert(
                    0 if what == 'first' else len(queues[project]), number)

    def test_the_first_item_of_each_project_comes_first(self) -> None:
        turns = fair_share.FairShare[str, str]()
        for item in ('a1', 'a2', 'a3', 'b1', 'b2', 'c1'):
            turns.add(item[0], item)
        self.assertEqual('a1', turns.next())
        turns.add('d', 'd1')
        self.assertEqual(['b1', 'c1', 'a2', 'd1', 'b2', 'a3', None],
                         [turns.next() for _ in range(7)])

    def test_a_project_that_cannot_have_a_turn_keeps_its_place(self) -> None:
        turns = fair_share.FairShare[str, str]()
        for item in ('a1', 'b1', 'b2'):
            turns.add(item[0], item)
        self.assertEqual('b1', turns.next(lambda item: item[0] != 'a'))
        self.assertEqual(['a1', 'b2'], [turns.next(), turns.next()])


def one_by_one(entries: list[fair_share.Entry], limit: int,
               going: dict[str | None, int],
               per_project: int | None) -> list[fair_share.Entry]:
    """Pick the oldest entry of the project that has waited longest."""
    had: collections.Counter[str | None] = collections.Counter()
    numbers = collections.Counter(going)
    left = list(entries)
    first: dict[str | None, fair_share.Entry] = {}
    for entry in sorted(left, key=lambda one: one.age, reverse=True):
        first[entry.project_id] = entry
    chosen: list[fair_share.Entry] = []
    while left and len(chosen) < limit:
        heads = {entry.project_id: entry for entry in sorted(
            left, key=lambda one: one.age, reverse=True)
            if entry.goes_on or per_project is None
            or numbers[entry.project_id] < per_project}
        if not heads:
            break
        entry = min(heads.values(), key=lambda one: (
            had[one.project_id], not first[one.project_id].goes_on,
            max(first[one.project_id].at, one.last_turn_at or 0),
            going.get(one.project_id, 0), first[one.project_id].age))
        left.remove(entry)
        chosen.append(entry)
        had[entry.project_id] += 1
        numbers[entry.project_id] += not entry.goes_on
    return chosen


class TestChosen(testtools.TestCase):

    @hypothesis.given(_DUE, _LAST_TURNS, st.integers(0, 12),
                      st.dictionaries(st.sampled_from(['a', 'b', None]),
                                      st.integers(0, 4)),
                      st.none() | st.integers(1, 4))
    def test_it_is_like_picking_one_after_the_other(
            self, due: list[tuple[str | None, int, bool]],
            last_turns: dict[str | None, int], limit: int,
            going: dict[str | None, int], per_project: int | None) -> None:
        """Invariant 4: the queue is fair between projects."""
        entries = [
            fair_share.Entry(str(number), project_id, at, goes_on,
                             last_turns.get(project_id))
            for number, (project_id, at, goes_on) in enumerate(due)]
        self.assertEqual(
            one_by_one(entries, limit, going, per_project),
            fair_share.chosen(entries, limit, going, per_project))

    def test_a_project_that_had_no_turn_comes_before_older_jobs(self) -> None:
        entries = [fair_share.Entry('old', 'large', 1, last_turn_at=9),
                   fair_share.Entry('late', 'small', 5)]
        self.assertEqual(['late', 'old'], [
            entry.id for entry in fair_share.chosen(entries, 2, {}, None)])

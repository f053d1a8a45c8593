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

from __future__ import annotations

import collections

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_scheduler.runs import fair_share

_PROJECTS = st.sampled_from('abcd')
_STEPS = st.lists(st.tuples(st.sampled_from(['add', 'add', 'next', 'remove']),
                            _PROJECTS), max_size=40)


class TestTurns(testtools.TestCase):

    @hypothesis.given(_STEPS)
    def test_nobody_waits_for_the_second_turn_of_another(
            self, steps: list[tuple[str, str]]) -> None:
        """... and nothing is lost, or comes twice, or out of its line."""
        made = fair_share.FairShare[int]()
        lines: dict[str, list[int]] = collections.defaultdict(list)
        # How often others had a turn since each has been waiting.
        passed: dict[str, collections.Counter[str]] = {}
        for number, (what, project) in enumerate(steps):
            if what == 'add':
                made.add(project, number)
                if not lines[project]:
                    passed[project] = collections.Counter()
                lines[project].append(number)
            elif what == 'remove':
                if lines[project]:
                    made.remove(project, lines[project].pop())
            else:
                waiting = {name for name, line in lines.items() if line}
                taken = made.next()
                self.assertEqual(taken is None, not waiting)
                for name in waiting:
                    if lines[name][0] == taken:
                        lines[name].pop(0)
                        passed[name] = collections.Counter()
                        for other in waiting - {name}:
                            passed[other][name] += 1
                            self.assertLess(passed[other][name], 3)
                        break
                else:
                    self.assertIsNone(taken)

    def test_the_first_of_each_comes_first(self) -> None:
        made = fair_share.FairShare[str]()
        for project in 'aaabbc':
            made.add(project, project)
        self.assertEqual('a', made.next())
        made.add('d', 'd')
        self.assertEqual([*'bcdaba', None],
                         [made.next() for _ in range(7)])

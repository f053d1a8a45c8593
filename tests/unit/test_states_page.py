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

"""The pages that tell of the states of runs and steps, and their source."""

from __future__ import annotations

import pathlib
import re

import testtools

from freezer_api.domain import run_state

ROOT = pathlib.Path(__file__).parents[2]


class TestStates(testtools.TestCase):

    def drawn(self, name: str) -> dict[str, set[str]]:
        """Return what follows on each state, as the page draws it."""
        page = (ROOT / 'doc/source/contributor/architecture.rst').read_text()
        block = page.partition(f':name: {name}\n\n')[2].partition('\n\n')[0]
        arrows = re.findall(r'^    (\w+) +-> (.+)$', block, re.MULTILINE)
        return {state: set(after.split(' | ')) for state, after in arrows}

    def test_of_runs(self) -> None:
        self.assertEqual(
            {state: set(after)
             for state, after in run_state.RUN_FOLLOWS.items()},
            self.drawn('states-of-a-run'))
        # What nothing follows on is final, and nothing else is.
        self.assertEqual({state for state in run_state.State if state.final},
                         set(run_state.State) - set(run_state.RUN_FOLLOWS))

    def test_of_steps(self) -> None:
        self.assertEqual(
            {state: set(after)
             for state, after in run_state.STEP_FOLLOWS.items()},
            self.drawn('states-of-a-step'))
        self.assertEqual(
            run_state.FINAL_STEPS,
            set(run_state.StepState) - set(run_state.STEP_FOLLOWS))

    def test_the_api_reference_tells_of_each(self) -> None:
        page = (ROOT / 'api-ref/source/runs.rst').read_text()
        for run in run_state.State:
            self.assertIn(f'``{run}``', page)
        table = page.partition('The states of an action:')[2].partition(
            '\n\nAn action')[0]
        self.assertEqual([str(step) for step in run_state.StepState],
                         re.findall(r'^``(\w+)``', table, re.MULTILINE))

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

"""What the actions of a job may cost to read, counted in lines of Python.

Lines are the same on each machine, quiet or not. Those of difflib count too:
unknown keys are compared with ours by it.
"""

from __future__ import annotations

from collections.abc import Callable
import itertools
import json
import random
import sys
import types
from typing import Any

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_api.db import job_size
from freezer_api.domain import agent_keys
from freezer_api.domain import cinder_keys
from freezer_api.domain import near_keys
from freezer_api.schemas import budgets
from freezer_api.services import parsed_documents

NAMES = sorted(cinder_keys.NAMES)

MOST_LINES = 600_000
"""For the actions of the largest job that the API takes, read once."""

MOST_COMPARED = 500_000
"""More than for the same job without unknown keys."""

# What a stored action has beside its document.
_AROUND = 450


def lines_of(work: Callable[[], object]) -> int:
    """Return how many lines of ours and of difflib a piece of work runs."""
    lines = 0

    def local(frame: types.FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        lines += event == 'line'
        return local

    def begin(frame: types.FrameType, event: str, _: Any) -> Any:
        name = frame.f_code.co_filename
        return local if ('freezer_api' in name
                         or 'difflib' in name) else None

    before = sys.gettrace()
    sys.settrace(begin)
    try:
        work()
    finally:
        sys.settrace(before)
    return lines


def anagram(name: str, chance: random.Random, swaps: int) -> str:
    letters = list(name)
    for _ in range(swaps):
        one, other = chance.randrange(len(name)), chance.randrange(len(name))
        letters[one], letters[other] = letters[other], letters[one]
    return ''.join(letters)


def edited(name: str, chance: random.Random, edits: int) -> str:
    letters = list(name)
    for _ in range(edits):
        letters[chance.randrange(len(letters))] = chance.choice(
            'abcdefghijklmnopqrstuvwxyz_-0')
    return ''.join(letters)


def cased(name: str, chance: random.Random, _: int) -> str:
    return ''.join(chance.choice((letter, letter.upper()))
                   for letter in anagram(name, chance, 3))


def joined(name: str, chance: random.Random, _: int) -> str:
    return anagram(name, chance, 2) + chance.choice(NAMES)


def job(make: Callable[[str, random.Random, int], str], names: list[str],
        keys: int, swaps: int, seed: int) -> list[dict[str, Any]]:
    """Return actions, as many as a job can have, of such keys."""
    chance = random.Random(seed)
    made: list[dict[str, Any]] = []
    room = job_size.MOST_OF_ACTIONS
    while True:
        document: dict[str, Any] = {
            'action': 'backup', 'mode': 'cindernative',
            'cindernative_vol_id': f'{len(made):08}-0000-4000-8000-'
                                   '000000000000'}
        for name in itertools.islice(itertools.cycle(names), keys):
            key = make(name, chance, swaps)
            # One that is refused ends the reading.
            if (key not in cinder_keys.NAMES | agent_keys.KNOWN
                    and not key.lower().startswith('cindernative_')):
                document[key] = 1
        room -= len(json.dumps(document)) + _AROUND
        if room < 0 and made:
            return made
        made.append(document)


def read(documents: list[dict[str, Any]]) -> None:
    parsed_documents.Readings(
        'p' * 32, 1_800_000_000, parsed_documents.Known()).prepare({
            'job_actions': [{'freezer_action': one} for one in documents]})


def bare(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the same actions without keys that are not known."""
    return [{key: value for key, value in one.items()
             if key in cinder_keys.NAMES} for one in documents]


class TestCost(testtools.TestCase):

    @hypothesis.settings(deadline=None, max_examples=25)
    @hypothesis.given(
        make=st.sampled_from([anagram, edited, cased, joined]),
        names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=5),
        keys=st.sampled_from([1, 3, 10, 60, 250]),
        swaps=st.integers(2, 12), seed=st.integers(0, 2 ** 32))
    @hypothesis.example(make=anagram, names=[max(NAMES, key=len)], keys=60,
                        swaps=3, seed=1)
    def test_no_job_costs_much(
            self, make: Callable[[str, random.Random, int], str],
            names: list[str], keys: int, swaps: int, seed: int) -> None:
        documents = job(make, names, keys, swaps, seed)
        for one in documents:
            hypothesis.assume(budgets.allows(one))
        lines = lines_of(lambda: read(documents))
        hypothesis.target(float(lines))
        self.assertLess(lines, MOST_LINES)
        self.assertLess(lines - lines_of(lambda: read(bare(documents))),
                        MOST_COMPARED)

    def test_the_keys_of_all_actions_are_compared_together(self) -> None:
        documents = job(anagram, NAMES, 60, 4, 7)
        self.assertGreater(len(documents), 10)
        compared = []

        class Counting(near_keys.Names):
            def nearest(self, text: str) -> str | None:
                compared.append(text)
                return None

        every = Counting(NAMES, 0.8)
        one_job = near_keys.Comparisons(every)
        for document in documents:
            cinder_keys.check_names(document, one_job)
        self.assertEqual(near_keys.MOST, len(compared))
        self.assertEqual(len(compared), len(set(compared)))

    def test_a_key_of_many_actions_is_compared_once(self) -> None:
        """So that the last action of a common job is still looked at."""
        action = {'action': 'backup', 'mode': 'cindernative',
                  'cindernative_vol_id': '0' * 32,
                  **{f'my_own_{number}': 1 for number in range(30)}}
        compared = cinder_keys.comparisons()
        for _ in range(100):
            cinder_keys.check_names(action, compared)
        error = self.assertRaises(
            cinder_keys.Unusable, cinder_keys.check_names,
            {**action, 'fullbackup_rotaton': 3}, compared)
        self.assertIn('did you mean fullbackup_rotation?', str(error))

    def test_a_long_key_is_compared_with_none(self) -> None:
        names = near_keys.Names(NAMES, 0.8)
        self.assertLess(
            lines_of(lambda: names.nearest('cindernative_' * 1000)), 10)
        longest = max(NAMES, key=len)
        # As near as may be, and the first that is not.
        self.assertEqual(longest, names.nearest(
            longest + 'x' * (len(longest) // 2)))
        self.assertIsNone(names.nearest(
            longest + 'x' * (len(longest) // 2 + 1)))

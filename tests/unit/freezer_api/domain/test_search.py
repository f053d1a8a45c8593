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

"""Terms say which value a key has, and of which type it is."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any
import unittest

import hypothesis
from hypothesis import strategies as st

from freezer_api.domain import search
from tests.functional import plain_search

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False),
    st.text(max_size=3),
    st.sampled_from(('\ud800', '\0', -0.0, 0.0, 0, False, '', '0')))
VALUES = st.recursive(SCALARS, lambda below: st.one_of(
    st.lists(below, max_size=3),
    st.dictionaries(st.text(max_size=2), below, max_size=3)), max_leaves=6)


class TermsTests(unittest.TestCase):

    @hypothesis.given(key=st.text(max_size=3), stored=VALUES, asked=VALUES)
    def test_equal_values_and_no_others_have_one_term(
            self, key: str, stored: Any, asked: Any) -> None:
        terms = search.terms({key: stored})
        self.assertTrue(terms.isascii())
        self.assertEqual(stored is not None, search.term(key, None) in terms)
        if asked is not None:
            self.assertEqual(plain_search.same(stored, asked),
                             search.term(key, asked) in terms)

    def test_the_topmost_key_counts_and_the_last_beside_it(self) -> None:
        terms = search.terms({
            'list': [{'a': 1, 'b': {'c': 1}}, {'a': 2, 'c': 2}], 'd': None,
            'x': {'d': 3}})
        for key, value in (('a', 2), ('c', 2), ('b', {'c': 1}),
                           ('x', {'d': 3})):
            self.assertIn(search.term(key, value), terms)
        self.assertNotIn(search.term('a', 1), terms)
        self.assertNotIn(search.term('d', None), terms, 'null hides it')
        self.assertEqual('', search.terms({'a': 1}, ('a',)))

    def test_the_topmost_of_too_many_have_terms(self) -> None:
        terms = search.terms({
            'below': {str(n): n for n in range(20_000)}, 'z': 1})
        self.assertIn(search.term('z', 1), terms)
        self.assertIn(search.term('1', 1), terms)
        self.assertNotIn(search.term('19999', 19999), terms)
        self.assertLess(len(terms), 600_000)

    def test_long_keys_are_not_kept(self) -> None:
        """Whoever may read may search, and a key is as long as a request."""
        kept = tracemalloc.get_traced_memory
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        before, _ = kept()
        for number in range(100):
            search.term(f'{number}' + 'x' * 100_000, 1)
        after, _ = kept()
        self.assertLess(after - before, 1_000_000)

    def test_what_is_nested_without_end(self) -> None:
        deep: Any = 1
        for _ in range(100_000):
            deep = [deep]
        self.assertIn(search.term('a', None), search.terms({'a': deep}))
        self.assertRaises(
            search.SearchError, search.parse, {'match': [{'a': deep}]})

    def test_what_is_no_json_is_a_text(self) -> None:
        for text in ('[{"a": NaN}]', '[{"a": Infinity}]', '[', '{}'):
            self.assertEqual(
                text, search.parse({'match': [{'_all': text}]}).text)
        self.assertEqual((('a', 1.5),), search.parse({'match': [
            {'_all': json.dumps([{'a': 1.5}])}]}).match)

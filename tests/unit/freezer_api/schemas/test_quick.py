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

import copy
from typing import Any

import hypothesis
from hypothesis import strategies as st
import testtools

from freezer_api.schemas import common
from freezer_api.schemas import quick
from freezer_api.schemas import runs
from tests.unit.freezer_api.schemas import base
from tests.unit.freezer_api.schemas import test_runs

_GOOD = ((runs.CLAIM, test_runs.CLAIM), (runs.REPORT, test_runs.REPORT),
         (runs.REPORTS, {'scheduler_id': 's', 'reports': [
             {**test_runs.REPORT, 'run_id': 'r'}]}))
_ODD = base.json_values | st.sampled_from([
    True, False, 0, 1, -1, 1.0, 2 ** 31, 'running', 'a\n', 'x' * 256,
    'x' * 1025, '0123456789abcdef' * 2])


@st.composite
def _damaged(draw: st.DrawFn) -> tuple[common.Compiled, Any]:
    """A schema, and a document of it in which one place is another."""
    schema, good = draw(st.sampled_from(_GOOD))
    whole = copy.deepcopy({'': good})
    place: Any = whole
    key: Any = ''
    while isinstance(place[key], dict | list) and place[key] and draw(
            st.integers(0, 9)):
        place = place[key]
        key = draw(st.sampled_from(
            sorted(place) if isinstance(place, dict)
            else range(len(place))))
    if draw(st.booleans()) and not isinstance(place, list):
        del place[key]
    else:
        place[key] = draw(_ODD)
    return schema, whole.get('')


class TestQuick(testtools.TestCase):

    @hypothesis.given(_damaged() | st.tuples(
        st.sampled_from([schema for schema, _ in _GOOD]),
        base.documents_of(test_runs.KEYS)))
    def test_it_says_what_jsonschema_says(self, given: Any) -> None:
        schema, document = given
        check = quick.compiled(schema.schema)
        assert check is not None
        self.assertEqual(schema._validator.is_valid(document),
                         check(document))

    def test_good_documents(self) -> None:
        for schema, document in _GOOD:
            check = quick.compiled(schema.schema)
            assert check is not None
            self.assertTrue(check(document))

    def test_what_it_does_not_know(self) -> None:
        schemas: tuple[common.Schema, ...] = (
            {'oneOf': []}, {'type': 'number'}, {'enum': [1]},
            {'type': ['string', 'number']}, {'items': {'const': 1}},
            {'properties': {'a': {'not': {}}}})
        for schema in schemas:
            self.assertIsNone(quick.compiled(schema))

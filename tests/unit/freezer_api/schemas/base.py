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

"""Checks shared by the tests of all schemas."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
import testtools

from freezer_api import schemas

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from(['\0', '\ud800', '', 'backup', 'fs', 'n1']),
    lambda inner: (st.lists(inner, max_size=4)
                   | st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=8)


def documents_of(keys: list[str]) -> st.SearchStrategy[Any]:
    """Any JSON, and documents that come close to what is wanted."""
    near = st.recursive(
        json_values,
        lambda inner: (st.lists(inner, max_size=3) | st.dictionaries(
            st.sampled_from(keys), inner, max_size=5)),
        max_leaves=8)
    return json_values | st.dictionaries(
        st.sampled_from(keys) | st.text(), near, max_size=6)


class SchemaTestCase(testtools.TestCase):

    def refused(self, validate: Callable[[Any], None], document: Any,
                field: str, start: str = '') -> None:
        """Check that a document is refused, for this field."""
        error = self.assertRaises(
            schemas.InvalidDocument, validate, document)
        self.assertEqual(field, error.field)
        self.assertIn(field, error.message)
        self.assertEqual(error.message, str(error))
        self.assertTrue(error.message.startswith(start), error.message)

    def only_invalid_document(self, validate: Callable[[Any], None],
                              document: Any) -> None:
        try:
            validate(document)
        except schemas.InvalidDocument as error:
            self.assertIn(error.field[:500], error.message)

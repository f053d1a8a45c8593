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

from typing import Any

import hypothesis

from freezer_api import schemas
from freezer_api.schemas import common
from tests.unit.freezer_api.schemas import base

ANY = common.Compiled({'type': 'object'})


def nested(depth: int) -> Any:
    document: Any = 'x'
    for _ in range(depth):
        document = [document]
    return {'a': document}


class TestValues(base.SchemaTestCase):

    def test_only_objects(self) -> None:
        no_objects: list[Any] = [None, [], [{}], 'text', 1, True]
        for document in no_objects:
            self.refused(ANY, document, '', 'The request body')
        ANY({})

    def test_characters_that_cannot_be_stored(self) -> None:
        for text in ('\0', 'a\0b', '\ud800', 'a\udfffb'):
            self.refused(ANY, {'a': {'b': [1, text]}}, 'a.b.1', 'Text')
            self.refused(ANY, {'a': {text: 1}}, 'a', 'Text')
        ANY({'a': 'caf\u00e9 \U0001f4a9 \n\t'})

    def test_numbers_that_are_none(self) -> None:
        for number in (float('inf'), float('-inf'), float('nan')):
            self.refused(ANY, {'a': [number]}, 'a.0')
        ANY({'a': 1.5})

    def test_integers_of_more_than_64_bits(self) -> None:
        for number in (2 ** 63, -2 ** 63 - 1, 10 ** 4000):
            self.refused(ANY, {'a': number}, 'a', 'An integer')
        ANY({'a': 2 ** 63 - 1, 'b': -2 ** 63})

    def test_depth(self) -> None:
        ANY(nested(28))
        for depth in (32, 100, 100000):
            error = self.assertRaises(
                schemas.InvalidDocument, ANY, nested(depth))
            self.assertIn('nested too deeply', error.message)

    def test_size(self) -> None:
        ANY({'a': 'x' * 10 ** 6})
        for document in ({'a': 'x' * (2 ** 20 + 1)}, {'a': [1] * 50001},
                         {'a': ['x' * 2 ** 19] * 3}):
            error = self.assertRaises(
                schemas.InvalidDocument, ANY, document)
            self.assertIn('too large', error.message)
        self.refused(ANY, {'k' * 256: 1}, '', 'The name of a key')

    def test_stored_size_counts_escapes(self) -> None:
        schemas.check_stored_size('f', 'x' * 65533)
        self.refused(lambda value: schemas.check_stored_size('f', value),
                     'x' * 65534, 'f', 'f is too large')
        self.refused(lambda value: schemas.check_stored_size('f', value),
                     '\u00e9' * 11000, 'f', 'f is too large')

    def test_message_has_an_end(self) -> None:
        check = common.Compiled(
            {'type': 'object', 'properties': {'a': {'type': 'integer'}}})
        error = self.assertRaises(
            schemas.InvalidDocument, check, {'a': ['x' * 10000]})
        self.assertLess(len(error.message), 1100)
        self.assertIn('(a)', error.message)

    def test_an_integer_is_neither_a_float_nor_a_boolean(self) -> None:
        check = common.Compiled(
            {'type': 'object', 'properties': {'a': common.integer()}})
        for wrong in (1.0, True, '1', None, 2 ** 31, -2 ** 31 - 1):
            self.refused(check, {'a': wrong}, 'a')
        for right in (0, 2 ** 31 - 1, -2 ** 31):
            check({'a': right})

    def test_patterns_match_whole_ascii_texts(self) -> None:
        check = common.Compiled(
            {'type': 'object', 'properties': {'a': common.ID}})
        check({'a': 'Az09_-'})
        for wrong in ('a\n', '\na', 'a b', '', '\u00e9', '\u0663', 'x' * 37):
            self.refused(check, {'a': wrong}, 'a')

    @hypothesis.given(base.json_values)
    def test_any_json(self, document: Any) -> None:
        self.only_invalid_document(ANY, document)

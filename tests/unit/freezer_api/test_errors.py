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

import testtools

from freezer_api import errors


class TestErrors(testtools.TestCase):

    def test_a_status_without_a_code_counts_as_the_first_of_its_class(
            self) -> None:
        for status, code in ((404, 'not_found'), (415, 'bad_request'),
                             (502, 'internal_error')):
            self.assertEqual(code, errors.code_of_status(status))

    def test_the_code_of_a_status_has_that_status(self) -> None:
        for status in range(400, 600):
            kind = errors.KINDS[errors.code_of_status(status)]
            self.assertIn(kind.status, (status, status // 100 * 100))

    def test_a_code_that_is_not_registered_cannot_be_raised(self) -> None:
        self.assertRaises(KeyError, errors.ApiError, 'no_such_code', 'text')

    def test_document(self) -> None:
        self.assertEqual(
            {'title': 'Conflict', 'description': 'text',
             'code': 'client_in_use'},
            errors.document('client_in_use', 'text'))

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

"""The docstrings of handlers list the statuses of their answers."""

from __future__ import annotations

import inspect
import re

import testtools

from freezer_api.api.openapi import operations
from freezer_api import app


class TestStatuses(testtools.TestCase):

    def test_each_handler_lists_those_of_the_openapi_document(self) -> None:
        found = {}
        for path, resource in app.ROUTES:
            for name, handler in vars(resource).items():
                if name.startswith('on_'):
                    text = inspect.getdoc(handler) or ''
                    listed = re.search(r'^Statuses: ([\d, ]+)\.$', text,
                                       re.MULTILINE)
                    found[name.removeprefix('on_').upper(), path] = (
                        listed and [*map(int, listed[1].split(','))])
        self.assertEqual(
            {key: [operation.status, *sorted(operation.errors)]
             for key, operation in operations.OPERATIONS.items()}, found)

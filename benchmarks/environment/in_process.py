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

"""The API in this process, with the fixtures of the functional tests."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from typing import TypeVar

from tests.functional import base

_Api = TypeVar('_Api', bound=base.ApiTestCase)


@contextlib.contextmanager
def running(api: _Api) -> Iterator[_Api]:
    """Set a test case up, outside of a test.

    :param api: the only one of its class meanwhile
    """
    kind = type(api)
    kind.setUpClass()
    try:
        api.setUp()
        try:
            yield api
        finally:
            api.doCleanups()
    finally:
        kind.doClassCleanups()

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

"""The table of tokens, which tests/cloud tries, and the page made of it."""

from __future__ import annotations

import testtools

from tools import callers


class CallersTest(testtools.TestCase):

    def test_the_page_is_up_to_date(self) -> None:
        """``python -m tools.callers`` writes it."""
        self.assertEqual(callers.page(),
                         callers.PAGE.read_text(encoding='utf-8'))

    def test_whatever_is_refused_has_advice(self) -> None:
        for kind in callers.KINDS:
            self.assertEqual(set(callers.REQUESTS), set(kind.answers))
            refused = [answer for answer in kind.answers.values()
                       if answer.status >= 400]
            self.assertTrue(kind.advice or not refused, kind.name)
            self.assertTrue(all(answer.code for answer in refused))

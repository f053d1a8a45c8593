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

"""The page on the architecture names modules and names that exist."""

from __future__ import annotations

import pathlib
import re

import testtools

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / 'doc/source/contributor/architecture.rst'

# A module, and names in it.
_PLACE = re.compile(r'``([\w/-]+(?:\.\w+|/))``'
                    r'(?:\s+\(((?:``\w+``(?:,\s)?)+)\))?')


class TestWhereToChange(testtools.TestCase):

    def test_each_answer_exists(self) -> None:
        table = PAGE.read_text().partition(':name: where-to-change')[2]
        places = _PLACE.findall(table.partition('\n====')[0])
        self.assertGreater(len(places), 15)
        for path, names in places:
            self.assertTrue((ROOT / path).exists(), path)
            for name in re.findall(r'\w+', names):
                self.assertRegex(
                    (ROOT / path).read_text(),
                    rf'(?m)^ *(?:def |class )?{name}\b(?:\(|:| =)', path)

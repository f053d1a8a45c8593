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

"""What the report of an upgrade says of those who work beside it."""

from __future__ import annotations

import unittest

from benchmarks.stages import upgrade
from benchmarks.stages.upgrade import waits


def step(name: str, **seconds: float) -> upgrade.Step:
    return upgrade.Step(name, 1.0, (0.5, 0.5), 10, {
        table: {kind: waits.Wait(seconds[kind], int(kind == 'insert'))
                for kind in waits.KINDS} for table in waits.TABLES})


class ReportTests(unittest.TestCase):

    def test_who_waits_for_how_long(self) -> None:
        rows = [row for table in upgrade.tables([
            step('one', read=0.11, write=0.22, insert=0.33),
            step('two', read=0.44, write=0.55, insert=0.66)])
            for row in map(list, table.rows)]
        number = len(waits.TABLES)
        self.assertIn(['two', '1.0', '0.5', '0.5', '10', *['0.55'] * number],
                      rows)
        # Below them who adds rows, and who reads them.
        self.assertIn(['one', *['0.33'] * number, '0.11', str(number)],
                      rows)
        self.assertIn(['all', *['0.66'] * number, '0.44', str(2 * number)],
                      rows)

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

import collections

import testtools

from benchmarks.environment import deployment
from benchmarks.observation import due_runs
from benchmarks.observation import processes
from benchmarks import report

AT = 1_000


def reading(at):
    return deployment.Reading(
        at, processes.Usage(), processes.Usage(), 0, collections.Counter(),
        collections.Counter())


class DueRunsTests(testtools.TestCase):

    def found(self, rows, taken):
        return due_runs.observe(
            rows, [{'at': at, 'metadata': {'freezer_job_id': job_id}}
                   for job_id, at in taken], AT, len(rows),
            reading(9).since(reading(0)), (1, 2))

    def test_each_run_is_as_late_as_after_its_own_firing(self):
        found = self.found(
            [['p1', 'a', 'success', AT, AT + 1, AT + 9],
             ['p1', 'b', 'fail', AT + 30, AT + 32, AT + 40],
             ['p2', 'c', 'success', AT, AT + 2, AT + 9]],
            [('x', AT - 50), ('a', AT + 1.5), ('c', AT + 4), ('b', AT + 33)])
        self.assertEqual([1.5, 3, 4], found.late)
        self.assertEqual([1.5, 4, 33], found.submitted)
        self.assertEqual([1, 2, 32], found.claimed)
        self.assertEqual({'p1': 1.5, 'p2': 4}, found.first)
        self.assertEqual((3, 2), (found.wanted, found.succeeded))

    def test_percentiles(self):
        values = [float(number) for number in range(1, 101)]
        self.assertEqual(
            [51, 100, 100],
            [report.percentile(values, share) for share in (0.5, 0.99, 1)])
        self.assertEqual(7, report.percentile([7.0], 0.99))

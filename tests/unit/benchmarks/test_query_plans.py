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
"""What engines say of their plans, and which of them are bad."""

from __future__ import annotations

from typing import Any

import testtools

from benchmarks.stages.query_plans import plans

Step = plans.Step


class ReadingTests(testtools.TestCase):

    def test_sqlite(self) -> None:
        lines = [(0, 0, 0, 'CO-ROUTINE anon_1'),
                 (1, 0, 0, 'SCAN anon_1'),
                 (1, 0, 0, 'SEARCH jobs USING INDEX ix_jobs_due (client_id=?'
                           ' AND due_at<?)'),
                 (2, 0, 0, 'SCAN clients'), (2, 0, 0, 'SCAN CONSTANT ROW'),
                 (3, 0, 0, 'USE TEMP B-TREE FOR ORDER BY')]
        self.assertEqual(
            [Step('jobs', 'index', 'ix_jobs_due'), Step('clients', 'scan'),
             Step('', 'sort')], plans.of_sqlite(lines, True))

    def test_sqlite_ends_early_where_it_need_not_sort(self) -> None:
        lines = [(1, 0, 0, 'SCAN jobs USING INDEX ix_jobs_created_at')]
        for limited, how in ((True, 'index'), (False, 'scan')):
            self.assertEqual(
                [Step('jobs', how, 'ix_jobs_created_at')],
                plans.of_sqlite(lines, limited))
        self.assertEqual([Step('jobs', 'scan')], plans.of_sqlite(
            [(1, 0, 0, 'SCAN jobs')], True))

    def test_mariadb(self) -> None:
        lines: list[dict[str, Any]] = [
            {'table': 'jobs', 'type': 'range', 'key': 'ix_jobs_due',
             'rows': '12', 'Extra': 'Using where; Using filesort'},
            {'table': '<derived2>', 'type': 'ALL', 'key': None, 'rows': 99,
             'Extra': None},
            {'table': 'queues', 'type': 'ALL', 'key': None, 'rows': 1000,
             'Extra': ''}]
        self.assertEqual(
            [Step('jobs', 'index', 'ix_jobs_due', 12),
             Step('', 'sort', rows=12), Step('queues', 'scan', '', 1000)],
            plans.of_mariadb(lines))

    def test_mariadb_counts_what_it_has_done(self) -> None:
        line = {'table': 'jobs', 'type': 'ref', 'key': 'ix', 'rows': '9000',
                'r_rows': '10.00', 'Extra': ''}
        self.assertEqual([Step('jobs', 'index', 'ix', 10)],
                         plans.of_mariadb([line]))
        # What it never came to, it has not read.
        self.assertEqual([Step('jobs', 'index', 'ix', 0)],
                         plans.of_mariadb([{**line, 'r_rows': None}]))

    def test_postgresql(self) -> None:
        plan = {'Node Type': 'Limit', 'Plans': [
            {'Node Type': 'Sort', 'Actual Rows': 5, 'Plans': [
                {'Node Type': 'Index Scan', 'Relation Name': 'jobs',
                 'Index Name': 'ix_jobs_due', 'Index Cond': '(a = b)',
                 'Actual Rows': 5, 'Rows Removed by Filter': 40}]},
            {'Node Type': 'Seq Scan', 'Relation Name': 'queues',
             'Actual Rows': 1, 'Rows Removed by Filter': 999}]}
        self.assertEqual(
            [Step('', 'sort', rows=5),
             Step('jobs', 'index', 'ix_jobs_due', 45),
             Step('queues', 'scan', rows=1000)], plans.of_postgresql(plan))


class FaultTests(testtools.TestCase):

    def faults(self, step: Step) -> list[str]:
        return plans.faults([step], ('clients',), 100)

    def test_what_is_bad(self) -> None:
        for step in (Step('jobs', 'scan'), Step('jobs', 'scan', 'ix', 101),
                     Step('', 'sort', rows=101),
                     Step('jobs', 'index', 'ix', 101)):
            self.assertEqual(1, len(self.faults(step)), str(step))

    def test_what_is_not(self) -> None:
        for step in (Step('clients', 'scan'), Step('jobs', 'index', 'ix'),
                     Step('jobs', 'scan', 'ix', 100), Step('', 'sort'),
                     Step('', 'sort', rows=100)):
            self.assertEqual([], self.faults(step), str(step))

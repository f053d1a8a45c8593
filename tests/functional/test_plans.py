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
"""Claims, reports and renewals read what they need, and nothing else.

However many jobs there are: that is what indexes are for, and whether an
engine uses them it says itself. With the million rows that would make it want
to, a test would take too long, so those that can be are told not to read
whole tables where there is another way.
"""

from __future__ import annotations

import sqlalchemy as sa

from benchmarks.stages.query_plans import fixtures
from benchmarks.stages.query_plans import plans
from benchmarks.stages.query_plans import statements
from tests.functional import base

_HOT = ('claim without a limit of projects', 'claim with leases held',
        'claim that only renews', 'report of a success')

_LISTS = ('GET jobs of many', 'GET jobs of all', 'GET backups of many')
_OF_LISTS = {'ix_jobs_project_id', 'ix_jobs_created_at',
             'ix_backups_project_id'}

# A tenth of the jobs: to read more is to read what is of no use.
_MOST = 1100


class PlanTests(fixtures.FilledApi):
    """... of SQLite."""

    digits = 4

    def setUp(self) -> None:
        super().setUp()
        if self.database.engine.dialect.name == 'postgresql':
            sa.event.listen(self.database.engine, 'connect', _no_scans)
            self.database.engine.dispose()

    def test_claims_read_what_they_need(self) -> None:
        self.prepare()
        seen = statements.Watch(self.database.engine)
        for name, ask in self.calls():
            if name in _HOT:
                with seen.during(name):
                    ask()
        # It would be one that looks at nothing.
        indexes = {step.index for one in seen.statements.values()
                   for step in one.steps}
        self.assertIn('ix_jobs_due', indexes)
        self.assertIn('ix_jobs_project_due', indexes)
        bad = {one.short: found for one in seen.statements.values()
               if (found := plans.faults(one.steps, fixtures.SMALL, _MOST))}
        self.assertEqual({}, bad)

    def test_lists_begin_with_the_newest_of_an_index(self) -> None:
        """A page costs the same, however many items there are."""
        self.prepare()
        seen = statements.Watch(self.database.engine)
        for name, ask in self.calls():
            if name in _LISTS:
                with seen.during(name):
                    ask()
        # The actions of a page are found by the ids of its jobs. PostgreSQL
        # sometimes joins these jobs by an index of the lists, since it has no
        # more than some thousand of them here.
        pages = [one for one in seen.statements.values()
                 if {step.index for step in one.steps} & _OF_LISTS
                 and not one.short.startswith('SELECT FROM job_actions ')]
        # PostgreSQL reads the index of all projects for one that has many of
        # the jobs, too.
        self.assertLessEqual(_OF_LISTS - {'ix_jobs_project_id'}, {
            step.index for one in pages for step in one.steps} & _OF_LISTS)
        # That of all projects reads its index from the end, until it has
        # enough.
        self.assertEqual([], [one.short for one in pages if any(
            step.how == 'sort' or step.index not in _OF_LISTS
            for step in one.steps)])


def _no_scans(connection: object, record: object) -> None:
    with connection.cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute('SET enable_seqscan = off')
    connection.commit()  # type: ignore[attr-defined]


class PlanTestsOnMySQL(base.MySQL, PlanTests):
    """... of MariaDB."""


class PlanTestsOnPostgreSQL(base.PostgreSQL, PlanTests):
    """... of PostgreSQL."""

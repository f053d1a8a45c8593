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

from benchmarks.explain import plans
from benchmarks.explain import watch
from benchmarks.explain import world
from tests.functional import base

_HOT = ('claim without a limit of projects', 'claim with leases held',
        'claim that only renews', 'report of a success')

# A tenth of the jobs: to read more is to read what is of no use.
_MOST = 1100


class PlanTests(world.World):
    """... of SQLite."""

    digits = 4

    def setUp(self) -> None:
        super().setUp()
        if self.database.engine.dialect.name == 'postgresql':
            sa.event.listen(self.database.engine, 'connect', _no_scans)
            self.database.engine.dispose()

    def test_claims_read_what_they_need(self) -> None:
        self.prepare()
        seen = watch.Watch(self.database.engine)
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
               if (found := plans.faults(one.steps, world.SMALL, _MOST))}
        self.assertEqual({}, bad)


def _no_scans(connection: object, record: object) -> None:
    with connection.cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute('SET enable_seqscan = off')
    connection.commit()  # type: ignore[attr-defined]


class PlanTestsOnMySQL(base.MySQL, PlanTests):
    """... of MariaDB."""


class PlanTestsOnPostgreSQL(base.PostgreSQL, PlanTests):
    """... of PostgreSQL."""

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

"""Databases whose tables compare texts each in its own way."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from freezer_api.db.admin import collation_repair
from tests.functional import base
from tests.functional import test_adoption
from tests.functional import test_claims
from tests.functional import test_jobs
from tests.functional import test_run_retention
from tests.functional import test_samples
from tests.functional import test_trusts
from tests import mixed_collations


class Mixed(base.MySQL):
    """... MariaDB, each table with a collation of its own."""

    def make_tables(self) -> None:
        super().make_tables()
        if not type(self).__dict__.get('mixed'):
            mixed_collations.mix(self.database.engine)
            type(self).mixed = True
        with self.database.engine.connect() as connection:
            collation_repair.refresh(connection)

    mixed = False


class EachRoute(Mixed, test_samples.SampleTests):
    pass


class Jobs(Mixed, test_jobs.JobTests):
    pass


class Claims(Mixed, test_claims.ClaimTests):
    pass


class TakeOver(Mixed, test_adoption.TakeOverTests):
    pass


class Delegations(Mixed, test_trusts.DelegationTests):
    pass


class History(Mixed, test_run_retention.HistoryTests):
    pass


class OurFault(base.ApiTestCase):
    """What the database does not take of us is no fault of the caller."""

    # An API learns about its database when it starts.
    shares_engine = False
    terms_follow = False

    def refuse_a_job_too_large(self, shorten: str) -> None:
        """Check what is said when a column is too small for what we write.

        :param shorten: the statement that makes it too small
        """
        self.register_central()
        job_id = self.create_job()
        with self.database.engine.begin() as connection:
            connection.execute(sa.text('UPDATE jobs SET search_terms = NULL'))
            connection.execute(sa.text(shorten))
        for description in ('plain', '\U0001f600'):
            answer = self.call(
                base.MEMBER, 'PATCH', f'jobs/{job_id}',
                {'description': description, 'job_schedule': {
                    'schedule_interval': '2 days'}}, 500)
            self.assertEqual('storage_error', answer['code'])


class OurFaultOnMySQL(base.MySQL, OurFault):
    def make_tables(self) -> None:
        super().make_tables()
        # The server's own default, which operators change.
        with self.database.engine.begin() as connection:
            connection.execute(sa.text(
                'ALTER TABLE jobs MODIFY search_terms MEDIUMTEXT '
                'CHARACTER SET ascii COLLATE ascii_bin'))

    def test_a_column_that_holds_less(self) -> None:
        self.refuse_a_job_too_large(
            'ALTER TABLE jobs MODIFY search_terms VARCHAR(2)')

    def test_collations_that_changed_meanwhile(self) -> None:
        self.register_central()
        job_id = self.create_job()
        mixed_collations.mix(self.database.engine)
        for wanted in ('plain', '\U0001f600'):
            answer: Any = self.call(
                base.MEMBER, 'GET', 'jobs',
                {'match_not': [{'description': wanted}]}, 500)
            self.assertEqual('storage_error', answer['code'])
        with self.database.engine.connect() as connection:
            self.assertGreater(collation_repair.repair(connection), 3)
            self.assertEqual([], collation_repair.differences(connection))
            self.assertEqual(0, collation_repair.repair(connection))
        self.call(base.MEMBER, 'PATCH', f'jobs/{job_id}',
                  {'description': '\U0001f600'}, 200)


class OurFaultOnPostgreSQL(base.PostgreSQL, OurFault):
    def make_tables(self) -> None:
        super().make_tables()
        with self.database.engine.begin() as connection:
            connection.execute(sa.text(
                'ALTER TABLE jobs ALTER search_terms TYPE TEXT'))

    def test_a_column_that_holds_less(self) -> None:
        self.refuse_a_job_too_large(
            'ALTER TABLE jobs ALTER search_terms TYPE VARCHAR(2)')

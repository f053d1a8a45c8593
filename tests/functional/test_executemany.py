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

from typing import Any

import hypothesis
from hypothesis import strategies as st
import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db import bulk
from freezer_api.db import models
from tests.functional import base

_TEXTS = st.none() | st.text(
    st.characters(codec='utf-8', exclude_characters='\0'), max_size=9)
_VALUES = st.fixed_dictionaries({
    'description': _TEXTS,
    'schedule': st.none() | st.dictionaries(st.sampled_from('ab%\'\\'),
                                            st.integers() | _TEXTS),
    'due_at': st.none() | st.integers(-2 ** 62, 2 ** 62)})


class TestTogether(base.MySQL, base.ApiTestCase):
    """Rows that are changed in one transaction."""

    terms_follow = False

    def setUp(self) -> None:
        super().setUp()
        self.ids = [f'job-{number}' for number in range(9)]
        with self.database.engine.begin() as connection:
            connection.execute(sa.insert(models.Job), [
                {'id': one, 'user_id': 'u', 'client_id': 'c', 'run_id': 'r'}
                for one in self.ids])
        self.sent: list[str] = []
        cursors = self.database.engine.dialect.loaded_dbapi.cursors.Cursor
        query = cursors.execute

        def execute(cursor: Any, statement: str, *args: Any) -> Any:
            if statement.startswith('UPDATE'):
                self.sent.append(statement)
            return query(cursor, statement, *args)

        cursors.execute = execute
        self.addCleanup(setattr, cursors, 'execute', query)

    def change(self, rows: dict[str, dict[str, Any]]) -> None:

        def work(session: orm.Session) -> None:
            for job in session.scalars(sa.select(models.Job).where(
                    models.Job.id.in_(rows)).with_for_update()):
                for name, value in rows[job.id].items():
                    setattr(job, name, value)

        self.database.write(work)

    def found(self) -> dict[str, dict[str, Any]]:
        with self.database.read() as session:
            return {job.id: {'description': job.description,
                             'schedule': job.schedule, 'due_at': job.due_at}
                    for job in session.scalars(sa.select(models.Job))
                    if job.run_id == 'r'}

    @hypothesis.given(st.dictionaries(
        st.integers(0, 8), _VALUES, min_size=2))
    @hypothesis.settings(max_examples=30)
    def test_each_gets_its_own(self, given: dict[int, Any]) -> None:
        rows = {self.ids[number]: values for number, values in given.items()}
        wanted = self.found() | rows
        self.change(rows)
        self.assertEqual(wanted, self.found())

    def test_one_statement_does(self) -> None:
        self.change({one: {'due_at': number, 'description': 'same'}
                     for number, one in enumerate(self.ids)})
        [sent] = [one for one in self.sent if 'due_at' in one]
        # What is the same for all is said once.
        self.assertIn('description=%(description)s', sent)

    def test_a_row_that_is_gone_is_noticed(self) -> None:

        def work(session: orm.Session) -> None:
            jobs = session.scalars(sa.select(models.Job)).all()
            session.execute(sa.text("DELETE FROM jobs WHERE id = 'job-3'"))
            for number, job in enumerate(jobs):
                job.due_at = number

        with self.assertRaises(orm.exc.StaleDataError):
            self.database.write(work)

    def test_long_values_go_apart(self) -> None:
        self.change({one: {'description': None, 'schedule': {
            'a': f'{number}' * 60_000}}
            for number, one in enumerate(self.ids)})
        self.assertEqual(
            -(-9 * 60_000 // bulk.CHARACTERS),
            len([one for one in self.sent if 'schedule=' in one]))

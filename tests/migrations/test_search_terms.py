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

"""Rows of older releases get their search terms, whatever comes between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db.admin import repair
from freezer_api.db.admin import upgrade
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import search_index
from tests.migrations import base

BEFORE = 'ebaeedeb2197'
NOUNS = ('clients', 'actions', 'sessions', 'backups', 'jobs')


class Stop(Exception):
    """Stands in for the end of the process."""


class TestSearchTerms(base.EachEngine):

    def setUp(self) -> None:
        super().setUp()
        small = mock.patch.object(search_index, '_CHUNK', 2)
        small.start()
        self.addCleanup(small.stop)

    def populate(self) -> None:
        """Insert what the revision before knows, 5 rows of each noun."""
        common = {'project_id': 'p', 'user_id': 'u'}
        for n in range(5):
            self.insert('clients', {
                **common, 'id': f'c{n}', 'uuid': f'c{n}', 'client_id': 'c',
                'is_central': False, 'supports_claims': False,
                'supported_modes': self.cell(['fs'])})
            self.insert('actions', {
                **common, 'id': f'a{n}', 'action': 'backup',
                'backup_metadata': self.cell({'n': n, 'deep': [{'x': 1}]})})
            self.insert('sessions', {
                **common, 'id': f's{n}', 'schedule': self.cell({}),
                'job': self.cell({'j': {'result': 'fail', 'n': n}})})
            self.insert('backups', {
                **common, 'id': f'b{n}', 'status': 'available',
                'backup_metadata': self.cell({'n': n})})
            self.insert('jobs', {
                **common, 'id': f'j{n}', 'client_id': 'c',
                'schedule': self.cell({'schedule_interval': '1 days'})})
            self.insert('job_actions', {
                'id': f'l{n}', 'job_id': f'j{n}', 'action_id': f'a{n}',
                'position': 0})
        self.insert('backups', {
            **common, 'id': 'gone', 'status': 'available', 'deleted': True,
            'backup_metadata': self.cell({})})
        self.insert('backups', {
            **common, 'id': 'odd', 'status': 'available',
            'backup_metadata': 'no JSON'})

    def assert_filled(self) -> None:
        with orm.Session(self.engine) as session:
            for model in search_index.TABLES:
                found = session.scalars(
                    sa.select(model).where(rows.live(model))
                    .options(orm.undefer(model.search_terms))).all()
                self.assertGreaterEqual(len(found), 5)
                self.assertEqual(search_index.made(session, found),
                                 [row.search_terms for row in found])
        with self.engine.connect() as connection:
            self.assertFalse(search_index.missing(connection))

    def before_update(self, number: int, act: Callable[[], None]) -> None:
        """Have something done before the nth batch is written."""
        left = [number]

        def count(connection: sa.Connection, cursor: Any, statement: str,
                  *more: Any) -> None:
            if 'SET search_terms' in statement:
                left[0] -= 1
                if not left[0]:
                    act()

        sa.event.listen(sa.Engine, 'before_cursor_execute', count)
        self.addCleanup(
            sa.event.remove, sa.Engine, 'before_cursor_execute', count)

    def without(self) -> int:
        return sum(self.rows(
            f'SELECT COUNT(*) FROM {noun} WHERE search_terms IS NULL'
            )[0][0] for noun in NOUNS)

    def test_all_rows_get_them(self) -> None:
        self.begin_at(BEFORE)
        self.populate()
        before = self.rows('SELECT id, updated_at FROM jobs ORDER BY id')
        upgrade.sync(self.url)
        self.assert_filled()
        self.assertEqual(1, self.without(), 'the deleted one')
        self.assertEqual(before, self.rows(
            'SELECT id, updated_at FROM jobs ORDER BY id'))

    def test_killed_between_batches(self) -> None:
        self.begin_at(BEFORE)
        self.populate()

        def die() -> None:
            raise Stop

        self.before_update(8, die)
        self.assertRaises(Stop, upgrade.sync, self.url)
        if self.backend == 'sqlite':
            self.assertEqual(BEFORE, upgrade.current(self.url))
        else:
            # What was done lasts: seven batches of two, or the rest of a
            # table.
            self.assertEqual(upgrade.head(), upgrade.current(self.url))
            self.assertEqual(27 - 12, self.without())
            with self.engine.connect() as connection:
                self.assertTrue(search_index.missing(connection))
        upgrade.sync(self.url)
        self.assert_filled()

    def test_what_an_older_release_writes_later(self) -> None:
        self.begin_at(upgrade.head())
        self.populate()
        self.assertEqual(27, self.without())
        upgrade.sync(self.url)
        self.assert_filled()

    def test_what_an_older_release_changes_later(self) -> None:
        self.begin_at(BEFORE)
        self.populate()
        upgrade.sync(self.url)
        for statement in ("UPDATE backups SET backup_metadata = '{\"n\": 7}' "
                          "WHERE id = 'b1'",
                          "UPDATE actions SET backup_metadata = '{}' "
                          "WHERE id = 'a2'"):
            self.execute(statement)
        before = self.rows('SELECT id, updated_at FROM jobs ORDER BY id')
        # The action is in the terms of its job, too.
        self.assertEqual(3, repair.repair(self.url).terms)
        self.assert_filled()
        self.assertEqual(0, repair.repair(self.url).terms)
        self.assertEqual(before, self.rows(
            'SELECT id, updated_at FROM jobs ORDER BY id'))

    def test_whoever_writes_meanwhile_keeps_his_own(self) -> None:
        self.begin_at(upgrade.head())
        self.populate()

        def write() -> None:
            self.execute("UPDATE clients SET search_terms = 'newer' "
                         "WHERE id = 'c0'")

        if self.backend == 'sqlite':
            # What writes to SQLite excludes all other writers.
            write()
        else:
            self.before_update(1, write)
        upgrade.sync(self.url)
        self.assertEqual(
            [('newer',)],
            self.rows("SELECT search_terms FROM clients WHERE id = 'c0'"))
        self.assertEqual(1, self.without())

    def test_models_name_every_column(self) -> None:
        self.begin_at(upgrade.head())
        having = {table for table in self.tables() if 'search_terms' in {
            column['name']
            for column in sa.inspect(self.engine).get_columns(table)}}
        self.assertEqual(
            {model.__tablename__
             for model in search_index.TABLES}, having)
        self.assertEqual(having, {
            name for name, table in models.Base.metadata.tables.items()
            if 'search_terms' in table.columns})

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

"""How an upgrade changes many rows, and what others wait for meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import sqlalchemy as sa

from freezer_api.db.admin import upgrade
from freezer_api.db import bulk
from freezer_api.db.migrations import batches
from tests.migrations import base
from tests.migrations import documents


class TestBatches(base.EachEngine):

    scenarios = [engine for engine in base.ENGINES if engine[0] != 'sqlite']

    def at(self, statement: str, number: int, work: Callable[[], None],
           ) -> list[int]:
        """Have work done before a statement comes for the nth time."""
        seen = [0]

        def before(connection: sa.Connection, cursor: Any, text: str,
                   *more: Any) -> None:
            if text.startswith(statement):
                seen[0] += 1
                if seen[0] == number:
                    work()

        sa.event.listen(sa.Engine, 'before_cursor_execute', before)
        self.addCleanup(
            sa.event.remove, sa.Engine, 'before_cursor_execute', before)
        return seen

    def touch(self) -> None:
        """Write and read the first job, as an API would."""
        with self.engine.begin() as connection:
            connection.exec_driver_sql(
                "SET lock_timeout = '5s'" if self.backend == 'postgresql'
                else 'SET innodb_lock_wait_timeout = 5')
            connection.exec_driver_sql(
                "UPDATE jobs SET description = 'touched' WHERE id = 'job-1'")

    def test_nobody_waits_for_all_rows(self) -> None:
        self.begin_at('23c8ad2655a6')
        documents.fill(self)
        self.insert('jobs', documents.job(self, 'job-3', [documents.ENTRY]))
        seen = [self.at(statement, 2, self.touch) for statement in (
            'INSERT INTO job_actions', 'UPDATE jobs SET schedule',
            'UPDATE jobs SET search_terms')]
        with (mock.patch.object(batches, 'SIZE', 1),
              mock.patch('freezer_api.db.search_index._CHUNK', 1)):
            upgrade.sync(self.url)
        self.assertEqual([3, 3, 2], [count for count, in seen])


class TestTableLocks(base.DatabaseTest):
    """What a statement of PostgreSQL locks stays locked with what follows."""

    backend = 'postgresql'

    def locked(self) -> list[str]:
        """Return the tables that others cannot write, or not even read."""
        return [name for name, in self.rows(
            'SELECT DISTINCT relname FROM pg_locks '
            'JOIN pg_class ON pg_class.oid = relation '
            'JOIN pg_database ON pg_database.oid = database '
            'WHERE datname = current_database() AND granted AND mode IN '
            "('ShareLock', 'ShareRowExclusiveLock', 'AccessExclusiveLock')")
            if name in self.old]

    def test_no_work_while_a_table_is_locked(self) -> None:
        """No index, key or row is made by a revision that holds a table."""
        self.begin_at('7a3b9c1d2e4f')
        documents.fill(self)
        self.old = self.tables() - {upgrade.VERSION_TABLE}
        found: list[tuple[str, list[str]]] = []

        def before(connection: sa.Connection, cursor: Any, text: str,
                   *more: Any) -> None:
            if (text.startswith(('CREATE INDEX', 'INSERT', 'UPDATE',
                                 'DELETE'))
                    or 'ADD CONSTRAINT' in text) and (
                        upgrade.VERSION_TABLE not in text):
                found.append((text, self.locked()))

        sa.event.listen(sa.Engine, 'before_cursor_execute', before)
        self.addCleanup(
            sa.event.remove, sa.Engine, 'before_cursor_execute', before)
        upgrade.sync(self.url)
        self.assertGreater(len(found), 20)
        self.assertEqual([], [one for one in found if one[1]])


class TestBulk(base.EachEngine):

    def setUp(self) -> None:
        super().setUp()
        self.table = sa.Table(
            'things', sa.MetaData(),
            sa.Column('id', sa.String(36), primary_key=True),
            sa.Column('text', sa.Text), sa.Column('number', sa.BigInteger),
            sa.Column('version', sa.Integer))
        self.table.create(self.engine)
        self.insert('things', *(
            {'id': f'{n:03}', 'text': None, 'number': n, 'version': 1}
            for n in range(250)))

    def found(self) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.rows(
            'SELECT id, text, number, version FROM things ORDER BY id')]

    def test_each_gets_its_own(self) -> None:
        """Nulls among them, in a few statements, and no other row."""
        update = bulk.Update(self.table, ['text', 'number'], version=2)
        rows = [{'id': f'{n:03}', 'text': None if n % 2 else f'É{n}',
                 'number': None if n < 101 else 2 ** 40 + n}
                for n in range(240)]
        with self.engine.begin() as connection:
            update.run(connection, rows)
            update.run(connection, [])
        self.assertEqual(
            [(row['id'], row['text'], row['number'], 2) for row in rows]
            + [(f'{n:03}', None, n, 1) for n in range(240, 250)],
            self.found())

    def test_whoever_was_faster(self) -> None:
        self.execute("UPDATE things SET text = 'faster' WHERE id = '007'")
        update = bulk.Update(
            self.table, ['text'],
            only_if=sa.func.coalesce(self.table.c.text, ''))
        with self.engine.begin() as connection:
            update.run(connection, [
                {'id': f'{n:03}', 'text': 'new', 'old': ''}
                for n in range(10)])
        self.assertEqual(
            ['new'] * 7 + ['faster', 'new', 'new', None],
            [row[1] for row in self.found()[:11]])

    def test_long_values_go_apart(self) -> None:
        """A statement stays far below what a server takes at once."""
        sizes: list[int] = []

        def before(connection: sa.Connection, cursor: Any, text: str,
                   parameters: Any, *more: Any) -> None:
            if text.startswith('UPDATE'):
                values = (parameters.values()
                          if isinstance(parameters, dict) else parameters)
                sizes.append(sum(len(value) for value in values
                                 if isinstance(value, str)))

        sa.event.listen(self.engine, 'before_cursor_execute', before)
        with self.engine.begin() as connection:
            bulk.Update(self.table, ['text']).run(connection, [
                {'id': f'{n:03}', 'text': 'x' * 60_000} for n in range(20)])
        self.assertLess(max(sizes), 600_000)
        self.assertLess(len(sizes), 5)
        self.assertEqual(60_000, len(self.found()[19][1]))

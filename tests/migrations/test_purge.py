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

"""Purging removes what was deleted long ago, and nothing that is needed."""

from __future__ import annotations

from collections.abc import Iterator
import datetime
import threading
from typing import Any

import hypothesis
from hypothesis import strategies
import sqlalchemy as sa
from sqlalchemy import orm

from freezer_api.db.admin import purge
from freezer_api.db.admin import upgrade
from freezer_api.db import due_queue
from freezer_api.db import models
from tests.migrations import base
from tests.migrations import opened

NOW = datetime.datetime.fromisoformat('2026-06-01')
BEFORE = NOW - datetime.timedelta(days=30)
LIVE, FRESH, OLD, UNDATED = 'live', 'fresh', 'old', 'undated'
MARKS: dict[str, dict[str, Any]] = {
    LIVE: {'deleted': False},
    FRESH: {'deleted': True, 'deleted_at': BEFORE},
    OLD: {'deleted': True,
          'deleted_at': BEFORE - datetime.timedelta(seconds=1)},
    UNDATED: {'deleted': True},
}
NUMBER = 3
marks = strategies.sampled_from([LIVE, FRESH, OLD, OLD, UNDATED])
numbers = strategies.integers(0, NUMBER - 1)
some = strategies.one_of(strategies.none(), numbers)

# Table -> id -> column -> value.
Contents = dict[str, dict[str, dict[str, Any]]]


def is_old(row: dict[str, Any]) -> bool:
    return bool(row['deleted']) and (row['deleted_at'] or NOW) < BEFORE


def many(**fields: Any) -> strategies.SearchStrategy[list[dict[str, Any]]]:
    return strategies.lists(strategies.fixed_dictionaries(
        {'mark': marks, **fields}), min_size=NUMBER, max_size=NUMBER)


worlds = strategies.fixed_dictionaries({
    'clients': many(),
    'sessions': many(),
    'jobs': many(session=some, client=numbers, leased=strategies.booleans(),
                 ran=strategies.booleans()),
    'actions': many(),
    'job_actions': many(job=numbers, action=numbers),
    'delegations': many(),
    'user_credentials': many(job=numbers, delegation=some),
    'backups': many(job=some),
    'action_reports': many(),
})

# Table, column -> table and column that it names.
REFERENCES = (
    ('jobs', 'session_id', 'sessions', 'id'),
    ('jobs', 'client_id', 'clients', 'client_id'),
    ('job_actions', 'job_id', 'jobs', 'id'),
    ('job_actions', 'action_id', 'actions', 'id'),
    ('user_credentials', 'job_id', 'jobs', 'id'),
    ('user_credentials', 'delegation_id', 'delegations', 'id'),
    ('job_runs', 'job_id', 'jobs', 'id'),
    ('job_runs', 'document_id', 'run_documents', 'id'),
    ('run_documents', 'job_id', 'jobs', 'id'),
    ('backups', 'job_id', 'jobs', 'id'),
    ('action_reports', 'id', 'actions', 'id'),
)


def rows_of(world: dict[str, list[dict[str, Any]]]
            ) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield table and values, what is referred to first."""
    for table in ('clients', 'sessions', 'jobs', 'actions', 'job_actions',
                  'delegations', 'user_credentials', 'backups',
                  'action_reports'):
        for n, fields in enumerate(world[table]):
            # A report has the id of its action.
            letter = 'actions' if table == 'action_reports' else table
            row = {'id': f'{letter}{n}', 'user_id': 'u', 'project_id': 'p',
                   'uuid': 'u', 'trust_id': 't', 'trustor_user_id': 'u',
                   'roles': 'member', 'action': 'backup',
                   'supports_claims': False, 'is_central': False,
                   'status': 'available',
                   **MARKS[fields['mark']]}
            for field, target in (('job', 'jobs'), ('action', 'actions'),
                                  ('delegation', 'delegations'),
                                  ('session', 'sessions')):
                if fields.get(field) is not None:
                    row[f'{field}_id'] = f'{target}{fields[field]}'
            row['client_id'] = f'client{fields.get("client", n)}'
            yield table, row
    for n in range(NUMBER + 1):
        yield 'queues', {'id': f'queue{n}', 'client_id': f'client{n}',
                         'project_id': 'p', 'deleted': False}
    for n, fields in enumerate(world['jobs']):
        if fields['ran'] or fields['leased']:
            yield 'run_documents', {
                'id': f'document{n}', 'job_id': f'jobs{n}', 'content': '{}',
                'deleted': False}
            yield 'job_runs', {
                'id': f'run{n}', 'job_id': f'jobs{n}', 'client_id': 'c',
                'document_id': f'document{n}',
                'nominal_at': n, 'trigger': 'schedule', 'state': 'running',
                'fence': 1, 'deleted': False,
                'lease_expires_at': 1 if fields['leased'] else None}


class TestPurge(base.EachEngine):

    def setUp(self) -> None:
        super().setUp()
        self.begin_at(upgrade.head())
        self.database = opened.database(self)

    def contents(self) -> Contents:
        """Return the rows of each table by their ids."""
        with self.engine.connect() as connection:
            return {name: {row.id: dict(row._mapping) for row
                           in connection.execute(sa.select(table))}
                    for name, table in models.Base.metadata.tables.items()}

    def store(self, world: dict[str, list[dict[str, Any]]]) -> None:
        by_table: dict[str, list[dict[str, Any]]] = {}
        with self.engine.begin() as connection:
            for table in reversed(models.Base.metadata.sorted_tables):
                connection.execute(table.delete())
            for name, row in rows_of(world):
                table = models.Base.metadata.tables[name]
                by_table.setdefault(name, []).append({
                    column: row.get(column) for column in table.columns.keys()
                    if column != 'fence' or 'fence' in row})
            for table in models.Base.metadata.sorted_tables:
                if by_table.get(table.name):
                    connection.execute(table.insert(), by_table[table.name])

    def test_nothing_that_is_needed(self) -> None:
        """What stays refers to nothing that went; the rest has gone."""

        @hypothesis.settings(max_examples=10, deadline=None, database=None)
        @hypothesis.given(worlds)
        def check(world: dict[str, list[dict[str, Any]]]) -> None:
            self.store(world)
            before = self.contents()
            work = purge.Purge(self.database, BEFORE)
            expected = work.counts()
            self.assertEqual(before, self.contents(), 'a count changes it')
            done = work.run()
            after = self.contents()
            self.assertEqual(expected, done)
            self.assertEqual(0, sum(work.counts().values()))
            self.check_rows(before, after)

        check()

    def check_rows(self, before: Contents, after: Contents) -> None:
        gone = {name: before[name].keys() - after[name].keys()
                for name in before}
        self.assertEqual(
            {job['client_id'] for job in after['jobs'].values()},
            {queue['client_id'] for queue in after['queues'].values()})
        del gone['queues']
        for name, rows in after.items():
            self.assertEqual({row_id: before[name][row_id]
                              for row_id in rows}, rows, 'is as it was')
        for name, ids in gone.items():
            for row_id in ids:
                self.check_gone(name, before[name][row_id], gone)
        for table, column, target, key in REFERENCES:
            lost = {before[target][row_id][key] for row_id in gone[target]}
            foreign_key = table in ('job_actions', 'user_credentials',
                                    'job_runs', 'run_documents')
            for row in after[table].values():
                if foreign_key or not row['deleted']:
                    self.assertNotIn(row[column], lost, f'{table} {row}')
        for name in ('jobs', 'actions', 'sessions', 'clients', 'backups'):
            for row in after[name].values():
                if is_old(row):
                    self.assertTrue(self.is_held(name, row, after),
                                    f'{name} {row}')

    def check_gone(self, name: str, row: dict[str, Any],
                   gone: dict[str, set[str]]) -> None:
        """What is not old goes only with what it belongs to."""
        owners = {'job_actions': ('jobs', 'actions'), 'job_runs': ('jobs',),
                  'run_documents': ('jobs',), 'user_credentials': ('jobs',),
                  'action_reports': ('actions',)}.get(name, ())
        owned = any(row[column] in gone[target]
                    for table, column, target, _ in REFERENCES
                    if table == name and target in owners)
        self.assertTrue(is_old(row) or owned, f'{name} {row}')
        if name == 'user_credentials':
            self.assertTrue(row['deleted'], 'a trust in use')
        if name == 'job_runs':
            self.assertIsNone(row['lease_expires_at'])

    def is_held(self, name: str, row: dict[str, Any],
                after: Contents) -> bool:
        for table, column, target, key in REFERENCES:
            if target == name and any(
                    other[column] == row[key] for other
                    in after[table].values() if not other['deleted']):
                return True
        if name == 'jobs':
            session = after['sessions'].get(row['session_id'] or '')
            return session is not None and not session['deleted']
        return name == 'backups' and any(
            run['job_id'] == row['job_id'] and run['lease_expires_at']
            for run in after['job_runs'].values())

    def test_many(self) -> None:
        """More rows than a batch has, and more than one of each."""
        count = purge.BATCH + 1
        old = {**MARKS[OLD], 'project_id': 'p', 'user_id': 'u'}
        with self.engine.begin() as connection:
            for model, row in (
                    (models.Job, {'client_id': 'c'}),
                    (models.Action, {'action': 'backup'})):
                connection.execute(sa.insert(model), [
                    {'id': f'{n:05}', **old, **row} for n in range(count)])
            connection.execute(sa.insert(models.JobAction), [
                {'id': f'{n:05}', 'job_id': f'{n:05}', 'deleted': False,
                 'action_id': f'{count - 1 - n:05}'} for n in range(count)])
        done = purge.Purge(self.database, BEFORE).run()
        self.assertEqual((count, count), (done['jobs'], done['actions']))
        self.assertEqual({}, self.contents()['job_actions'])

    def test_a_job_that_is_made_meanwhile(self) -> None:
        """It has its queue, whoever of the two is first."""
        if self.backend == 'sqlite':
            return  # There is one writer at a time.
        with self.engine.begin() as connection:
            connection.execute(sa.insert(models.Queue), {
                'id': 'queue', 'client_id': 'c', 'project_id': 'p'})
        waiting, done = threading.Event(), threading.Event()

        def before(connection: Any, cursor: Any, statement: str,
                   *more: Any) -> None:
            if 'FOR UPDATE' in statement:
                waiting.set()

        def make_job(session: orm.Session) -> None:
            due_queue.ensure(session, 'c', 'p')
            thread.start()
            self.assertTrue(waiting.wait(60))
            session.add(models.Job(id='job', client_id='c', project_id='p',
                                   user_id='u'))

        def run() -> None:
            purge.Purge(self.database, BEFORE).run()
            done.set()

        sa.event.listen(
            self.database.engine, 'before_cursor_execute', before)
        thread = threading.Thread(target=run)
        self.database.write(make_job)
        self.assertTrue(done.wait(60))
        thread.join()
        self.assertEqual(['c'], [
            row['client_id'] for row in self.contents()['queues'].values()])

    def test_what_an_upgrade_kept(self) -> None:
        """It goes with its row, and trusts of no job by themselves."""
        fresh = self.new_database_with_side_tables()
        done = purge.Purge(fresh, BEFORE).run()
        self.assertEqual((1, 1), (done['backups'],
                                  done['orphaned_user_credentials']))
        self.assertEqual(
            [('backup-live',)],
            self.rows('SELECT row_id FROM kept_values'))
        self.assertEqual([('live',)], self.rows(
            'SELECT id FROM orphaned_user_credentials'))

    def new_database_with_side_tables(self) -> Any:
        self.url = self.new_url()
        self.engine = sa.create_engine(self.url, poolclass=sa.pool.NullPool)
        self.begin_at('29a2fd19eb86')
        for name, mark in (('old', OLD), ('live', LIVE)):
            self.insert('backups', {
                'id': f'backup-{name}', 'user_id': 'u', 'user_name': 'Ann',
                'project_id': 'p', **MARKS[mark]})
            self.insert('user_credentials', {
                'id': name, 'trust_id': 't', 'trustor_user_id': 'u',
                'job_id': 'gone', **MARKS[mark]})
        upgrade.sync(self.url)
        return opened.database(self)

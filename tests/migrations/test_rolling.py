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

"""APIs of two revisions on one database: revisions only add.

While a service is upgraded node by node, an API of the revision before goes on
with a schema that is newer than itself. It works if each of the project's own
revisions only adds: tables, columns that a row need not name, indexes.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from freezer_api.db.admin import upgrade
from tests.migrations import base
from tests.migrations import documents
from tests.migrations import test_schema

# Before the first of them, the database is one of freezer-api, whose API is
# to be stopped for the upgrade; so the first may tie old tables together.
FIRST = '19efaf5fa3ab'


def own_revisions() -> list[str]:
    revisions = upgrade.revisions()
    return revisions[revisions.index(FIRST):]


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return what keeps users of one schema from using a later one."""
    found = []
    for table, was in before.items():
        now = after.get(table)
        if now is None:
            found.append(f'{table} is gone')
            continue
        for column, (kind, nullable, default) in was['columns'].items():
            if column not in now['columns']:
                found.append(f'{table}.{column} is gone')
            elif now['columns'][column] != (kind, nullable, default):
                found.append(f'{table}.{column} is another')
        for column in now['columns'].keys() - was['columns'].keys():
            _, nullable, default = now['columns'][column]
            if not nullable and default is None:
                found.append(f'{table}.{column} has to be named')
        for what in ('primary key', 'foreign keys', 'unique'):
            if was[what] != now[what]:
                found.append(f'{table}: {what}')
        found += [f'{table}: index {index[0]}' for index in was['indexes']
                  if index not in now['indexes']]
        found += [f'{table}: unique index {index[0]}'
                  for index in now['indexes']
                  if index not in was['indexes'] and index[2]]
    return found


class TestRolling(base.EachEngine):

    def test_revisions_only_add(self) -> None:
        """And what an API of each knows, it can write and read at the head."""
        self.begin_at('7a3b9c1d2e4f')
        documents.fill(self)
        known: list[tuple[str, dict[str, sa.Table]]] = []
        before = None
        for revision in own_revisions():
            upgrade.sync(self.url, revision)
            after = test_schema.snapshot(self.engine)
            if before is not None:
                self.assertEqual([], differences(before, after), revision)
            before = after
            metadata = sa.MetaData()
            metadata.reflect(self.engine)
            known.append((revision, dict(metadata.tables)))
        for revision, tables in known:
            self.write_and_read(revision, tables)

    def write_and_read(self, revision: str,
                       tables: dict[str, sa.Table]) -> None:
        """Name each column that a revision knows, and no other."""
        with self.engine.begin() as connection:
            for name in ('clients', 'actions', 'sessions', 'jobs', 'backups',
                         'job_actions', 'delegations', 'user_credentials',
                         'run_documents', 'job_runs'):
                table = tables.get(name)
                if table is None:
                    continue
                row = {column.name: self.value(column, revision)
                       for column in table.columns}
                connection.execute(table.insert(), row)
                key = table.c.id == row['id']
                connection.execute(table.update().where(key).values(
                    {'updated_at': None}))
                self.assertEqual(
                    row['id'], connection.execute(
                        sa.select(table).where(key)).one().id)

    def value(self, column: sa.Column[Any], revision: str) -> Any:
        """A value of a column; ids are those of the rows before."""
        if column.name in ('id', 'job_id', 'action_id', 'delegation_id',
                           'active_key'):
            return revision
        if column.nullable or column.server_default is not None:
            return None if column.nullable else False if isinstance(
                column.type, sa.Boolean) or 'TINYINT' in str(
                    column.type) else 'available'
        if isinstance(column.type, sa.Integer):
            return 1
        return 'x'


class TestDifferences(base.DatabaseTest):

    def test_each_is_seen(self) -> None:
        """What a revision must not do would be found."""
        self.begin_at(upgrade.head())
        before = test_schema.snapshot(self.engine)
        for statement, text in (
                ('ALTER TABLE jobs ADD COLUMN x INTEGER', None),
                ('CREATE INDEX ix_x ON jobs (description)', None),
                ('CREATE TABLE x (id INTEGER)', None),
                ('ALTER TABLE jobs ADD COLUMN y INTEGER NOT NULL DEFAULT 1',
                 None),
                ('CREATE UNIQUE INDEX ux ON jobs (description)',
                 'jobs: unique index ux'),
                ('DROP INDEX ux', None),
                ('DROP INDEX ix_jobs_suspension_reason',
                 'jobs: index ix_jobs_suspension_reason'),
                ('ALTER TABLE actions RENAME COLUMN log_file TO logs',
                 'actions.log_file is gone'),
                ('DROP TABLE action_reports', 'action_reports is gone')):
            self.execute(statement)
            found = differences(before, test_schema.snapshot(self.engine))
            if text is None:
                self.assertEqual([], found)
            else:
                self.assertIn(text, found)
        copied = {**before, 'jobs': {**before['jobs'], 'columns': {
            **before['jobs']['columns'], 'must': ('INTEGER', False, None)}}}
        self.assertEqual(['jobs.must has to be named'],
                         differences(before, copied))

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

"""Migrations end in what the models say, and pass through what was published.
"""

from __future__ import annotations

from typing import Any

from alembic import autogenerate
from alembic.runtime import migration as alembic_migration
import sqlalchemy as sa
import testtools

from freezer_api.db.admin import upgrade
from freezer_api.db import models
from tests.migrations import base

COMMON = {'created_at', 'updated_at', 'deleted_at', 'deleted'}


def plain_default(value: str | None) -> str | None:
    """A server default without the dialect's way to write it."""
    if value is None:
        return None
    value = value.partition('::')[0].strip("'").lower()
    return {'0': 'false'}.get(value, value)


def snapshot(engine: sa.Engine) -> dict[str, Any]:
    """What a database says about itself, but for generated names."""
    with engine.connect() as connection:
        return _snapshot(connection)


def _snapshot(connection: sa.Connection) -> dict[str, Any]:
    inspector = sa.inspect(connection)
    found: dict[str, Any] = {}
    for table in inspector.get_table_names():
        if table == upgrade.VERSION_TABLE:
            continue
        found[table] = {
            'columns': {
                column['name']: (
                    column['type'].compile(connection.dialect),
                    column['nullable'], plain_default(column['default']))
                for column in inspector.get_columns(table)},
            'primary key': inspector.get_pk_constraint(table)[
                'constrained_columns'],
            'foreign keys': sorted(
                (key['constrained_columns'], key['referred_table'],
                 key['referred_columns'], key['options'],
                 key['name'] if str(key['name']).startswith('fk_') else '')
                for key in inspector.get_foreign_keys(table)),
            'unique': sorted(
                (key['name'], key['column_names'])
                for key in inspector.get_unique_constraints(table)),
            'indexes': sorted(
                (key['name'], key['column_names'], key['unique'])
                for key in inspector.get_indexes(table)),
        }
        if connection.dialect.name == 'mysql':
            found[table]['engine'] = inspector.get_table_options(table)[
                'mysql_engine']
    return found


class TestSchema(base.EachEngine):

    def test_models_and_migrations_agree_for_alembic(self) -> None:
        self.begin_at(upgrade.head())

        def differ(context: Any, inspected: Any, column: Any,
                   inspected_default: Any, column_default: Any,
                   rendered: str | None) -> bool:
            return plain_default(inspected_default) != plain_default(rendered)

        with self.engine.connect() as connection:
            context = alembic_migration.MigrationContext.configure(
                connection, opts={'compare_type': True,
                                  'compare_server_default': differ})
            self.assertEqual([], autogenerate.compare_metadata(
                context, models.Base.metadata))

    def test_models_and_migrations_agree_by_inspection(self) -> None:
        upgrade.sync(self.url)
        other = sa.create_engine(self.new_url(), poolclass=sa.pool.NullPool)
        models.Base.metadata.create_all(other)
        self.maxDiff = None
        self.assertEqual(snapshot(other), snapshot(self.engine))

    def test_no_index_begins_another(self) -> None:
        """The longer one serves for both."""
        self.begin_at(upgrade.head())
        for table, found in snapshot(self.engine).items():
            others = [('primary key', found['primary key']),
                      *found['unique'],
                      *(index[:2] for index in found['indexes'])]
            self.assertEqual([], [
                (table, name, other)
                for name, columns, unique in found['indexes'] if not unique
                for other, others_columns in others if name != other
                and others_columns[:len(columns)] == columns])

    def test_again_changes_nothing(self) -> None:
        self.begin_at(upgrade.head())
        before = snapshot(self.engine)
        upgrade.sync(self.url)
        self.assertEqual(before, snapshot(self.engine))
        self.assertEqual(upgrade.head(), upgrade.current(self.url))

    def test_a_fresh_database_has_no_side_tables(self) -> None:
        self.begin_at(upgrade.head())
        self.assertEqual(
            {*models.Base.metadata.tables, upgrade.VERSION_TABLE},
            self.tables())

    def test_schema_of_16_to_18(self) -> None:
        self.begin_at('23c8ad2655a6')
        self.assertEqual({
            'action_reports': COMMON | {
                'id', 'project_id', 'user_id', 'result', 'time_elapsed',
                'report_date', 'log'},
            'actions': COMMON | {
                'id', 'action', 'project_id', 'user_id', 'actionmode',
                'path_to_backup', 'backup_name', 'container', 'timeout',
                'priority', 'max_retries_interval', 'max_retries',
                'mandatory', 'log_file', 'backup_metadata'},
            'alembic_version': {'version_num'},
            'backups': COMMON | {
                'id', 'job_id', 'project_id', 'user_id', 'user_name',
                'backup_metadata'},
            'clients': COMMON | {
                'id', 'project_id', 'user_id', 'client_id', 'hostname',
                'description', 'uuid', 'supported_actions',
                'supported_modes', 'supported_storages',
                'supported_engines'},
            'jobs': COMMON | {
                'id', 'project_id', 'user_id', 'schedule', 'client_id',
                'session_id', 'session_tag', 'description', 'job_actions'},
            'sessions': COMMON | {
                'id', 'session_tag', 'description', 'hold_off', 'schedule',
                'job', 'project_id', 'user_id', 'time_start', 'time_end',
                'time_started', 'time_ended', 'status', 'result'},
        }, self._columns())
        self.assertEqual(36, self._length('jobs', 'user_id'))
        self.assertEqual(36, self._length('sessions', 'user_id'))
        self.assertEqual(64, self._length('clients', 'user_id'))

    def test_schema_of_19(self) -> None:
        self.begin_at('23c8ad2655a6')
        expected = self._columns()
        upgrade.sync(self.url, '7a3b9c1d2e4f')
        expected['backups'] -= {'user_name'}
        expected['backups'] |= {'status'}
        expected['clients'] |= {'is_central'}
        expected['jobs'] -= {'job_actions'}
        expected['job_actions'] = COMMON | {
            'id', 'job_id', 'action_id', 'position'}
        expected['user_credentials'] = COMMON | {
            'id', 'trust_id', 'trustor_user_id', 'job_id'}
        self.assertEqual(expected, self._columns())
        self.assertEqual(64, self._length('jobs', 'user_id'))
        self.assertEqual(64, self._length('sessions', 'user_id'))
        found = snapshot(self.engine)
        self.assertEqual(
            [(['action_id'], 'actions', ['id'], {}, ''),
             (['job_id'], 'jobs', ['id'], {}, '')],
            found['job_actions']['foreign keys'])
        self.assertEqual([], found['user_credentials']['foreign keys'])
        self.assertEqual(
            ['ix_job_actions_action_id', 'ix_job_actions_job_id'],
            [name for name, _, _ in found['job_actions']['indexes']])
        self.assertEqual(
            (False, 'available'), found['backups']['columns']['status'][1:])
        self.assertEqual(
            (False, 'false'), found['clients']['columns']['is_central'][1:])

    def _columns(self) -> dict[str, set[str]]:
        with self.engine.connect() as connection:
            inspector = sa.inspect(connection)
            return {table: {column['name']
                            for column in inspector.get_columns(table)}
                    for table in inspector.get_table_names()}

    def _length(self, table: str, name: str) -> int:
        (column,) = (column for column
                     in sa.inspect(self.engine).get_columns(table)
                     if column['name'] == name)
        length: int = column['type'].length  # type: ignore[attr-defined]
        return length


class TestChain(testtools.TestCase):

    def test_the_published_revisions_come_first(self) -> None:
        # Facts of deployed databases: not one of them may ever change.
        self.assertEqual(base.PUBLISHED, upgrade.revisions()[:9])

    def test_there_is_one_head(self) -> None:
        self.assertEqual(upgrade.revisions()[-1], upgrade.head())

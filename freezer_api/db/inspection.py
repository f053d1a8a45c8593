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

"""What a database is, and what an upgrade of it would do. Nothing is changed.

The conversions are those of the upgrade itself, run without writing, so what
is said to be kept aside is just what will be.
"""

from __future__ import annotations

import collections
import dataclasses

import sqlalchemy as sa

from freezer_api.db import migration
from freezer_api.db import migration_rights
from freezer_api.db.migrations import job_actions
from freezer_api.db.migrations import job_runtime
from freezer_api.db.migrations import unreadable
from freezer_api.db import terms

# The revision of each release, and what came with each revision: a column or
# a table that tells a database without a version what it is.
RELEASES = {
    '23c8ad2655a6': 'freezer-api 16.0.0, 17.0.0 or 18.0.0',
    '7a3b9c1d2e4f': 'freezer-api 19.0.0',
}
_MARKS = (
    ('1333cef214d9', 'actions', 'src_file'),
    ('e74c32f034c5', 'actions', 'path_to_backup'),
    ('23c8ad2655a6', 'clients', 'supported_modes'),
    ('29a2fd19eb86', 'user_credentials', 'trust_id'),
    ('30a3fd20ec97', 'clients', 'is_central'),
    ('a1b2c3d4e5f6', 'job_actions', 'job_id'),
    ('5c9d21e87f34', 'backups', 'status'),
    ('b6f2d0c4a917', 'delegations', 'trust_id'),
    ('c81e57a3f2d6', 'jobs', 'next_run_at'),
    ('d94a06be7c35', 'job_runs', 'fence'),
    ('e37b12c9d8f0', 'clients', 'claims'),
    ('a8e61f7b20c3', 'jobs', 'suspended'),
    ('f05d3a92b6e4', 'jobs', 'search_terms'),
    ('3b9d5e40c7f2', 'clients', 'take_over_after'),
    ('0c7b5e92d4a1', 'jobs', 'due_at'),
    ('5a8e1c60d3b7', 'clients', 'claimed_at'),
    ('9c3f7a1e5d28', 'project_usage', 'stored_bytes'),
)

# The revision that keeps cells which are no JSON.
_UNREADABLE = 'c4a17be9d053'

# Seconds of a processor, of the upgrade and the server together, measured as
# doc/source/admin/upgrade.rst says.
SECONDS_PER_ROW = {
    'jobs': 140e-5, 'actions': 25e-5, 'backups': 25e-5, 'clients': 25e-5,
    'sessions': 25e-5}


_STAMP = ('CREATE TABLE alembic_version '
          '(version_num VARCHAR(32) NOT NULL PRIMARY KEY); '
          "INSERT INTO alembic_version VALUES ('{}');")


@dataclasses.dataclass
class Finding:
    """What is known of a database.

    :ivar origin: whose it is, in words
    :ivar revision: as it says, None without a version
    :ivar steps: the revisions that an upgrade would run, with what they do
    :ivar rows: how many rows each table has
    :ivar kept: what would be kept aside: what -> how many
    :ivar unfilled: whether an upgrade would give rows their search terms
    :ivar obstacles: what stands in the way
    :ivar notes: what an operator ought to know
    """

    origin: str = ''
    revision: str | None = None
    steps: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    rows: dict[str, int] = dataclasses.field(default_factory=dict)
    kept: dict[str, int] = dataclasses.field(default_factory=dict)
    unfilled: bool = False
    obstacles: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def to_do(self) -> bool:
        """Whether an upgrade has anything to do."""
        return bool(self.steps) or self.unfilled

    @property
    def seconds(self) -> float:
        """About how long an upgrade takes."""
        if not self.to_do:
            return 0.0
        return sum(SECONDS_PER_ROW.get(name, 0.0) * count
                   for name, count in self.rows.items())


def inspect(url: str) -> Finding:
    """Look at a database.

    :raises freezer_api.db.migration.MigrationError: when its URL cannot be
        used
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    found = Finding()
    with migration.reading(url) as connection:
        columns = _columns(connection)
        try:
            found.revision = migration.current_of(connection)
            migration.refuse_the_unknown(connection)
        except migration.MigrationError as error:
            found.obstacles.append(str(error))
        found.origin = _origin(found.revision, columns)
        if (found.revision is None and found.obstacles
                and migration.VERSION_TABLE in columns):
            found.origin = 'unknown: it has several versions'
        _advise(found, columns)
        _count_rows(found, connection, columns)
        if not found.obstacles:
            found.steps = migration.steps_from(found.revision)
            _look_into_rows(found, connection, columns)
            _look_at_charsets(found, connection)
            if found.revision == migration.head():
                found.unfilled = terms.missing(connection)
        found.obstacles += migration_rights.missing(
            connection, bool(found.to_do))
    return found


Columns = dict[str, dict[str, sa.types.TypeEngine[object]]]


def _columns(connection: sa.Connection) -> Columns:
    inspector = sa.inspect(connection)
    return {name: {column['name']: column['type']
                   for column in inspector.get_columns(name)}
            for name in inspector.get_table_names()}


def _origin(revision: str | None, columns: Columns) -> str:
    revisions = migration.revisions()
    if revision is None:
        if migration.LEGACY_VERSION_TABLE in columns:
            return 'freezer-api 15.0.0 or earlier (sqlalchemy-migrate)'
        if 'jobs' in columns or 'clients' in columns:
            return 'tables without a version'
        return 'none: it has no tables of Freezer'
    if revision not in revisions:
        return 'a release newer than this one'
    if revision == migration.head():
        return 'this release'
    if revision in RELEASES:
        return RELEASES[revision]
    if revisions.index(revision) > revisions.index('7a3b9c1d2e4f'):
        return 'an earlier revision of this service'
    return 'freezer-api between two releases, or an upgrade that was cut off'


def likely_revision(columns: Columns) -> str | None:
    """Return the revision that tables without a version look like."""
    likely = None
    for revision, table, column in _MARKS:
        if column in columns.get(table, {}):
            likely = revision
        elif revision not in ('1333cef214d9',):
            break
    if likely == '5c9d21e87f34' and getattr(
            columns['jobs']['user_id'], 'length', 0) == 64:
        likely = '7a3b9c1d2e4f'
    return likely


def _advise(found: Finding, columns: Columns) -> None:
    """Say what can be done about tables without a version, and oddities."""
    if (found.revision is None and found.obstacles
            and migration.VERSION_TABLE not in columns):
        likely = likely_revision(columns)
        if likely is not None:
            found.notes.append(
                f'the tables look like those of revision {likely}'
                + (f' ({RELEASES[likely]})' if likely in RELEASES else '')
                + '. If you know them to be, say so to the database: '
                + _STAMP.format(likely))
    likely = likely_revision(columns)
    revisions = migration.revisions()
    if (likely is not None and found.revision in revisions
            and revisions.index(likely) > revisions.index(found.revision)):
        found.notes.append(
            'the database was taken back, an upgrade was cut off, or the '
            f'version is wrong: there are columns of revision {likely} '
            'already. An upgrade goes by the columns that it finds')


def _count_rows(found: Finding, connection: sa.Connection,
                columns: Columns) -> None:
    for name in ('actions', 'action_reports', 'backups', 'clients', 'jobs',
                 'job_actions', 'job_runs', 'sessions', 'user_credentials',
                 'delegations'):
        if name in columns:
            found.rows[name] = connection.scalar(
                sa.select(sa.func.count()).select_from(sa.table(name))) or 0


def _look_at_charsets(found: Finding, connection: sa.Connection) -> None:
    if not found.steps or connection.dialect.name not in (
            'mysql', 'mariadb'):
        return
    others = connection.scalars(sa.text(
        'SELECT DISTINCT table_name FROM information_schema.columns '
        'WHERE table_schema = DATABASE() AND character_set_name = :old '
        "AND table_name IN ('jobs', 'actions', 'backups', 'clients', "
        "'sessions') ORDER BY 1"), {'old': 'utf8mb3'}).all()
    if others:
        found.notes.append(
            f'of character set utf8mb3: {", ".join(others)}. They are '
            'upgraded as they are; text with an emoji does not fit them')


def _look_into_rows(found: Finding, connection: sa.Connection,
                    columns: Columns) -> None:
    """Count what would be kept aside."""
    kept: collections.Counter[str] = collections.Counter()
    if 'user_name' in columns.get('backups', {}):
        name: sa.ColumnClause[str] = sa.column('user_name')
        kept['backups.user_name: a column that is no more'] = (
            connection.scalar(sa.select(sa.func.count()).select_from(
                sa.table('backups', name)).where(
                    name.is_not(None), name != '')) or 0)
    if 'job_actions' in columns.get('jobs', {}):
        if job_actions.ACTIONS.c.keys() - columns['actions'].keys():
            found.notes.append(
                'tables this old are not looked into: what of '
                'jobs.job_actions is kept aside, db report tells afterwards')
        else:
            kept.update(f'jobs.job_actions: {reason}'
                        for reason in job_actions.reasons(connection))
    if 'jobs' in columns and 'next_run_at' not in columns['jobs']:
        kept.update(f'jobs.schedule: {reason}'
                    for reason in job_runtime.reasons(connection))
    if _UNREADABLE in (revision for revision, _ in found.steps):
        kept.update(f'{table}.{column}: {reason}' for table, column, reason
                    in unreadable.reasons(connection, columns))
    if ('user_credentials' in columns
            and 'delegation_id' not in columns['user_credentials']):
        credentials = sa.table('user_credentials', sa.column('job_id'))
        jobs = sa.table('jobs', sa.column('id'))
        kept['user_credentials: their job does not exist'] = (
            connection.scalar(sa.select(sa.func.count()).select_from(
                credentials).where(~sa.exists().where(
                    jobs.c.id == credentials.c.job_id))) or 0)
    found.kept = dict(+kept)

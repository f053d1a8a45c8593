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

"""Examine a database and the effects of its upgrade, without any change.

The conversions are those of the upgrade itself, run without writing. So the
report lists exactly the values that the upgrade keeps aside.
"""

from __future__ import annotations

import collections
import dataclasses

import sqlalchemy as sa

from freezer_api.db.admin import collation_repair
from freezer_api.db.admin import operator_objects
from freezer_api.db.admin import privileges
from freezer_api.db.admin import upgrade
from freezer_api.db.admin import upgrade_lock
from freezer_api.db.admin import zero_dates
from freezer_api.db import collation
from freezer_api.db.migrations import ddl
from freezer_api.db.migrations import job_actions
from freezer_api.db.migrations import job_runtime
from freezer_api.db import search_index

# The releases by their last revision. _MARKS has a column that each revision
# adds, to recognise a database without a version. For the project's own
# revisions it is the column that is added last, so that an interrupted
# revision does not count.
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
    ('19efaf5fa3ab', 'user_credentials', 'delegation_id'),
    ('4f8917efba5b', 'jobs', 'due_at'),
    ('ebaeedeb2197', 'clients', 'last_claim_at'),
    ('dea869461b57', 'sessions', 'search_terms'),
    ('c166c40f79d2', 'actions', 'owned_by_job'),
)

# The revision of 19.0.0, and the one that keeps aside cells that are not JSON.
_LAST_PUBLISHED = '7a3b9c1d2e4f'
_UNREADABLE = '4f8917efba5b'

# CPU seconds of upgrade and server together; doc/source/admin/upgrade.rst
# describes the measurement.
SECONDS_PER_ROW = {
    'jobs': 140e-5, 'actions': 25e-5, 'backups': 25e-5, 'clients': 25e-5,
    'sessions': 25e-5}

_STAMP = ('CREATE TABLE alembic_version '
          '(version_num VARCHAR(32) NOT NULL PRIMARY KEY); '
          "INSERT INTO alembic_version VALUES ('{}');")

# Tables before views and triggers.
_DEFINITIONS = sa.text(
    "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name "
    "NOT LIKE 'sqlite@_%' ESCAPE '@' ORDER BY CASE type WHEN 'table' THEN 1 "
    "WHEN 'view' THEN 2 ELSE 3 END")

Columns = dict[str, dict[str, sa.types.TypeEngine[object]]]


@dataclasses.dataclass
class Finding:
    """The result of an examination.

    :ivar origin: the release or program that created the database, in words
    :ivar revision: its stored revision, None without a version
    :ivar steps: the revisions that an upgrade would run, with a description
    :ivar rows: number of rows, by table
    :ivar kept: number of values that would be kept aside, by kind
    :ivar unfilled: whether an upgrade would add search terms to rows
    :ivar obstacles: reasons why an upgrade is not possible
    :ivar notes: further information for the operator
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
        """Estimated duration of an upgrade."""
        if not self.to_do:
            return 0.0
        return sum(SECONDS_PER_ROW.get(name, 0.0) * count
                   for name, count in self.rows.items())


def inspect(url: str) -> Finding:
    """Examine a database.

    :raises freezer_api.db.admin.upgrade.MigrationError: if its URL cannot be
        used
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    found = Finding()
    with upgrade.reading(url) as connection:
        # During an upgrade tables change, and may be locked.
        found.obstacles += ([upgrade_lock.BUSY]
                            if upgrade_lock.is_held(connection)
                            else privileges.unreadable(connection))
        if found.obstacles:
            found.origin = 'not examined'
            return found
        _look(found, connection)
        if found.to_do:
            _look_ahead(found, connection)
        if upgrade_lock.is_held(connection):
            found.obstacles.append(upgrade_lock.BUSY)
    return found


def _look(found: Finding, connection: sa.Connection) -> None:
    """Find the origin, the rows and the obstacles of a database."""
    inspector = sa.inspect(connection)
    columns: Columns = {
        name: {column['name']: column['type']
               for column in inspector.get_columns(name)}
        for name in inspector.get_table_names()}
    try:
        found.revision = upgrade.current_of(connection)
        upgrade.refuse_the_unknown(connection)
    except upgrade.MigrationError as error:
        found.obstacles.append(str(error))
    found.origin = _origin(found, columns)
    _advise(found, columns)
    found.rows = {
        name: _count(connection, sa.table(name)) for name in (
            'actions', 'action_reports', 'backups', 'clients', 'jobs',
            'job_actions', 'job_runs', 'run_documents', 'sessions',
            'user_credentials', 'delegations') if name in columns}
    if found.obstacles:
        return
    found.steps = upgrade.steps_from(found.revision)
    _look_at_values(found, connection, columns)
    _look_at_collations(found, connection)
    if found.steps:
        _look_at_containers(found, connection, columns)
    else:
        found.unfilled = search_index.missing(connection)


def _count(connection: sa.Connection, table: sa.TableClause,
           *where: sa.ColumnElement[bool]) -> int:
    return connection.scalar(sa.select(sa.func.count()).select_from(
        table).where(*where)) or 0


def _look_ahead(found: Finding, connection: sa.Connection) -> None:
    """Find the reasons why an upgrade would fail."""
    revisions = [revision for revision, _ in found.steps]
    if not found.obstacles:
        found.obstacles += operator_objects.in_the_way(connection, revisions)
    if (not found.obstacles and connection.dialect.name == 'sqlite'
            and (failure := _rehearse(connection)) is not None):
        found.obstacles.append(failure)
    found.obstacles += privileges.missing(connection, revisions)
    if not privileges.sees_triggers(connection):
        found.notes.append(
            'the account has no right TRIGGER, so triggers are not checked. '
            'A trigger on a table of Freezer can make the upgrade fail')


def _rehearse(connection: sa.Connection) -> str | None:
    """Return why the upgrade of a SQLite database would fail, or None.

    When a column is dropped or renamed, SQLite checks all views and triggers,
    including those that were broken before. So the upgrade is tried in memory
    with the definitions alone, without rows.
    """
    engine = sa.create_engine('sqlite://', poolclass=sa.pool.StaticPool)
    definitions = connection.execute(_DEFINITIONS).all()
    try:
        with engine.begin() as memory:
            for _, _, sql in definitions:
                memory.exec_driver_sql(sql)
            revision = upgrade.current_of(connection)
            if revision is not None:
                memory.execute(sa.insert(upgrade.VERSION).values(
                    version_num=revision))
    except sa.exc.SQLAlchemyError:
        return None  # It contains objects that only its programs can create.
    try:
        upgrade.sync(engine)
    except sa.exc.DBAPIError as error:
        return f'the upgrade would fail: {error.orig}'
    except upgrade.MigrationError as error:
        return str(error)
    with engine.connect() as memory:
        after = {row[:2] for row in memory.execute(_DEFINITIONS)}
    lost = sorted(f'{kind} {name}' for kind, name, _ in definitions
                  if (kind, name) not in after)
    return f'the upgrade would remove {", ".join(lost)}' if lost else None


def _origin(found: Finding, columns: Columns) -> str:
    revisions = upgrade.revisions()
    revision = found.revision
    if revision is None:
        if found.obstacles and upgrade.VERSION.name in columns:
            return 'unknown: it has several versions'
        if upgrade.LEGACY_VERSION_TABLE in columns:
            return 'freezer-api 15.0.0 or earlier (sqlalchemy-migrate)'
        if 'jobs' in columns or 'clients' in columns:
            return 'tables without a version'
        return 'none: it has no tables of Freezer'
    if revision not in revisions:
        return 'a release newer than this one'
    if revision == upgrade.head():
        return 'this release'
    if revision in RELEASES:
        return RELEASES[revision]
    if revisions.index(revision) > revisions.index(_LAST_PUBLISHED):
        return 'an earlier revision of this service'
    return 'freezer-api between two releases, or an interrupted upgrade'


def likely_revision(columns: Columns) -> str | None:
    """Return the revision that matches the columns of the tables."""
    likely = None
    for number, (revision, table, column) in enumerate(_MARKS):
        if column in columns.get(table, {}):
            likely = revision
        elif number:
            # Only the column of the first revision was renamed later.
            break
    if likely == '5c9d21e87f34' and getattr(
            columns['jobs']['user_id'], 'length', 0) == 64:
        likely = _LAST_PUBLISHED
    return likely


def _advise(found: Finding, columns: Columns) -> None:
    """Add notes about a missing or wrong version."""
    likely = likely_revision(columns)
    revisions = upgrade.revisions()
    if likely is None:
        return
    if (found.revision is None and found.obstacles
            and upgrade.VERSION.name not in columns):
        found.notes.append(
            f'the tables have the columns of revision {likely}'
            + (f' ({RELEASES[likely]})' if likely in RELEASES else '')
            + '. If you are sure that this is correct, run: '
            + _STAMP.format(likely))
    if (found.revision in revisions
            and revisions.index(likely) > revisions.index(found.revision)):
        found.notes.append(
            'the database was downgraded, an upgrade was interrupted, or the '
            f'version is wrong: columns of revision {likely} exist already. '
            'An upgrade takes existing columns into account')


def _look_at_collations(found: Finding, connection: sa.Connection) -> None:
    if found.steps and ddl.is_mysql(connection):
        others = connection.scalars(sa.text(
            'SELECT DISTINCT table_name FROM information_schema.columns '
            'WHERE table_schema = DATABASE() AND character_set_name = :old '
            "AND table_name IN ('jobs', 'actions', 'backups', 'clients', "
            "'sessions') ORDER BY 1"), {'old': 'utf8mb3'}).all()
        if others:
            found.notes.append(
                f'of character set utf8mb3: {", ".join(others)}. The upgrade '
                'keeps it; such tables cannot store emoji')
    if differences := collation_repair.differences(connection):
        found.notes.append(
            'text columns have several collations: '
            + '; '.join(differences) + '. This makes comparisons slower. '
            'freezer-manage db repair, after an upgrade if one is due, gives '
            'them the same collation')


def _look_at_containers(found: Finding, connection: sa.Connection,
                        columns: Columns) -> None:
    if not {'actionmode', 'container'} <= columns.get('actions', {}).keys():
        return
    actions = sa.table('actions', sa.column('actionmode', sa.String),
                       sa.column('container', sa.String))
    number = _count(connection, actions,
                    actions.c.actionmode == 'cindernative',
                    actions.c.container != '')
    if number:
        found.notes.append(
            f'{number} cinder-native actions have a container. Agents up to '
            '19.0.0 do not pass it to Cinder, this release does: make sure '
            'that the backup driver has such a container, or remove it from '
            'the action. After the upgrade, db report lists the actions')


def _look_at_values(found: Finding, connection: sa.Connection,
                    columns: Columns) -> None:
    """Count the values that would be kept aside."""
    kept: collections.Counter[str] = collections.Counter()
    if 'user_name' in columns.get('backups', {}):
        backups = sa.table('backups', sa.column('user_name', sa.String))
        name = backups.c.user_name
        kept['backups.user_name: a dropped column'] = _count(
            connection, backups, name.is_not(None), name != '')
    if 'job_actions' in columns.get('jobs', {}):
        if job_actions.ACTIONS.c.keys() - columns['actions'].keys():
            found.notes.append(
                'tables of so old a release are not examined: db report '
                'lists the values of jobs.job_actions that the upgrade kept '
                'aside')
        else:
            kept.update(f'jobs.job_actions: {reason}'
                        for reason in job_actions.reasons(connection))
    if 'jobs' in columns and 'due_at' not in columns['jobs']:
        kept.update(f'jobs.schedule: {reason}'
                    for reason in job_runtime.reasons(connection))
    if _UNREADABLE in (revision for revision, _ in found.steps):
        kept.update(
            f'{value.table_name}.{value.column_name}: {value.reason}'
            for value in job_runtime.unreadable(connection, columns))
    if ('user_credentials' in columns
            and 'delegation_id' not in columns['user_credentials']):
        credentials = sa.table('user_credentials', sa.column('job_id'))
        jobs = sa.table('jobs', sa.column('id'))
        kept['user_credentials: their job does not exist'] = _count(
            connection, credentials, ~sa.exists().where(collation.same(
                jobs.c.id, credentials.c.job_id)))
    for column, number in zero_dates.counts(connection).items():
        if found.steps:
            kept[f'{column}: {zero_dates.REASON}'] = number
        else:
            found.notes.append(
                f'{number} values of {column} are not dates: freezer-manage '
                'db repair removes them')
    found.kept = dict(+kept)

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

"""Upgrade a database to the schema of this release.

Upgrades of one database exclude each other, from any node, and each can be run
again, also after it was killed. On SQLite an upgrade is one transaction.
Otherwise rows are changed in batches, to keep locks short, and each revision
looks for its own unfinished work. At the end, rows without search terms get
them.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import functools
import sqlite3
from typing import Any

from alembic import command
from alembic import config as alembic_config
from alembic import script
from alembic import util
import sqlalchemy as sa
from sqlalchemy.engine import interfaces

from freezer_api.db.admin import collation_repair
from freezer_api.db.admin import galera_lock
from freezer_api.db.admin import operator_objects
from freezer_api.db.admin import upgrade_lock
from freezer_api.db.admin import zero_dates
from freezer_api.db import schema_version
from freezer_api.db import search_index

VERSION_TABLE = schema_version.VERSION_TABLE
VERSION = sa.table(VERSION_TABLE, sa.column('version_num'))
# The table of sqlalchemy-migrate, which releases up to 15.0.0 use.
LEGACY_VERSION_TABLE = 'migrate_version'
_FIRST_TABLES = frozenset(('action_reports', 'actions', 'backups', 'clients',
                           'jobs', 'sessions'))


class MigrationError(Exception):
    """The database cannot be used or changed; the text gives the reason."""


def _config() -> alembic_config.Config:
    config = alembic_config.Config()
    config.set_main_option('script_location', 'freezer_api.db:migrations')
    config.set_main_option('path_separator', 'os')
    return config


def _scripts() -> script.ScriptDirectory:
    return script.ScriptDirectory.from_config(_config())


def head() -> str:
    """Return the last revision of this release."""
    (revision,) = _scripts().get_heads()
    return revision


def revisions() -> list[str]:
    """Return all revisions of this release, oldest first."""
    return [revision for revision, _ in steps_from(None)]


def current(bind: sa.Engine | sa.URL | str) -> str | None:
    """Return the stored revision of a database.

    :returns: None for a database without a version
    :raises MigrationError: if several revisions are stored, or the URL or
        engine cannot be used
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    with (_engine(bind) as engine, engine.connect() as connection):
        return current_of(connection)


def steps_from(revision: str | None) -> list[tuple[str, str]]:
    """Return the later revisions, each with a one-line description."""
    found: list[tuple[str, str]] = []
    for step in _scripts().walk_revisions('base', 'heads'):
        if step.revision == revision:
            break
        found.insert(0, (step.revision, step.doc.splitlines()[0].replace(
            '``', '').rstrip('.')))
    return found


def current_of(connection: sa.Connection) -> str | None:
    """Return the stored revision, as :func:`current` does."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    rows = connection.scalars(sa.select(VERSION.c.version_num)).all()
    if len(rows) > 1:
        raise MigrationError(
            f'table {VERSION_TABLE} has {len(rows)} rows instead of one')
    return rows[0] if rows else None


def sync(bind: sa.Engine | sa.URL | str, revision: str = 'head',
         lock_timeout: int = 600) -> None:
    """Upgrade a database to ``revision``; do nothing if it has it already.

    :param bind: the database; only the URL of an engine is used, unless it is
        a SQLite database in memory
    :param lock_timeout: seconds to wait for an upgrade by another process
    :raises MigrationError: if the database cannot be upgraded
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    with exclusive(bind, lock_timeout) as connection:
        refuse_the_unknown(connection)
        found = current_of(connection)
        if revision == 'head' and found != head():
            obstacles = operator_objects.in_the_way(
                connection, [step for step, _ in steps_from(found)])
            if obstacles:
                raise MigrationError('. '.join(obstacles))
        if found != head():
            zero_dates.clear(connection)
        _close_transaction(connection)
        config = _config()
        config.attributes['connection'] = connection
        try:
            command.upgrade(config, revision)
        except util.CommandError as error:
            raise MigrationError(str(error)) from error
        if current_of(connection) == head():
            _close_transaction(connection)
            collation_repair.refresh(connection)
            _close_transaction(connection)
            search_index.fill(connection)


@contextlib.contextmanager
def reading(bind: sa.Engine | sa.URL | str) -> Iterator[sa.Connection]:
    """Yield a connection that does not lock out upgrades.

    :raises MigrationError: if the URL or engine cannot be used
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    with _engine(bind) as engine, engine.connect() as connection:
        collation_repair.refresh(connection)
        yield connection


@contextlib.contextmanager
def exclusive(bind: sa.Engine | sa.URL | str,
              lock_timeout: int = 600) -> Iterator[sa.Connection]:
    """Yield a connection while no other process upgrades the database.

    The connection is in a transaction on SQLite only.

    :param lock_timeout: seconds to wait for another process
    :raises MigrationError: if another process upgrades the database, or the
        URL cannot be used
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    with _engine(bind, lock_timeout) as engine:
        try:
            with upgrade_lock.held(engine, lock_timeout) as connection:
                collation_repair.refresh(connection)
                _close_transaction(connection)
                yield connection
        except (upgrade_lock.Busy, galera_lock.Lost) as error:
            raise MigrationError(str(error)) from None


@contextlib.contextmanager
def _engine(bind: sa.Engine | sa.URL | str,
            lock_timeout: int | None = None) -> Iterator[sa.Engine]:
    """Yield an engine whose connections are closed after use.

    :param lock_timeout: seconds for a writer to wait; None for readers
    """
    if isinstance(bind, sa.Engine):
        if bind.url.get_backend_name() == 'sqlite' and bind.url.database in (
                None, '', ':memory:'):
            yield bind
            return
        bind = bind.url
    try:
        url = sa.make_url(bind)
    except (sa.exc.ArgumentError, ValueError):
        # Neither text may be shown: both can contain parts of the password.
        raise MigrationError('the database URL cannot be parsed') from None
    backend = url.get_backend_name()
    if backend not in ('sqlite', 'mysql', 'mariadb', 'postgresql'):
        raise MigrationError(f'database {backend!r} is not supported')
    options: dict[str, Any] = {
        'poolclass': sa.pool.NullPool, 'hide_parameters': True}
    if backend == 'sqlite' and lock_timeout is not None:
        options['connect_args'] = {'timeout': lock_timeout}
    try:
        engine = sa.create_engine(url, **options)
    except ImportError as error:
        raise MigrationError(
            f'driver {error.name!r} of {url.drivername} is not installed'
        ) from None
    if backend == 'sqlite' and lock_timeout is not None:
        _own_transactions(engine)
    elif backend in ('mysql', 'mariadb'):
        _strict(engine)
        collation_repair.listen(engine)
    yield engine


def _own_transactions(engine: sa.Engine) -> None:
    """Include DDL in SQLite's transactions, and exclude other writers.

    Foreign keys stay unchecked, because tables are rebuilt.
    """

    @sa.event.listens_for(engine, 'connect')
    def connect(connection: sqlite3.Connection,
                record: sa.pool.ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        # A cell can contain any bytes, which must not stop an upgrade.
        connection.text_factory = functools.partial(str, errors='replace')

    @sa.event.listens_for(engine, 'begin')
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql('BEGIN IMMEDIATE')


def _strict(engine: sa.Engine) -> None:
    """Make MySQL refuse a value that does not fit, instead of truncating it.
    """

    @sa.event.listens_for(engine, 'connect')
    def connect(connection: interfaces.DBAPIConnection,
                record: sa.pool.ConnectionPoolEntry) -> None:
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute("SET SESSION sql_mode = 'TRADITIONAL'")


def _close_transaction(connection: sa.Connection) -> None:
    """End the transaction, except on SQLite, so that alembic begins one."""
    if connection.dialect.name != 'sqlite':
        connection.rollback()


def refuse_the_unknown(connection: sa.Connection) -> None:
    """Refuse a database that this release cannot upgrade.

    :raises MigrationError: for a database of a newer release, for tables
        without a version, and for a version without its tables
    """
    version = current_of(connection)
    tables = set(sa.inspect(connection).get_table_names())
    if version is not None:
        if version not in revisions():
            raise MigrationError(
                f'the database is at revision {version}, which is unknown to '
                'this release: a newer release has upgraded it')
        lost = sorted(_FIRST_TABLES - tables)
        if lost:
            raise MigrationError(
                f'the database has the version of revision {version}, but no '
                f'table {", ".join(lost)}: restore the missing tables from a '
                f'backup, or drop table {VERSION_TABLE} if the database is '
                'new')
        return
    if (tables & _FIRST_TABLES
            and not tables & {VERSION_TABLE, LEGACY_VERSION_TABLE}):
        # An interrupted first upgrade leaves an empty version table, which
        # is accepted.
        raise MigrationError(
            'the database has tables but no version: restore table '
            f'{VERSION_TABLE} from the backup of the other tables')

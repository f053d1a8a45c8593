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

"""Bring a database to the schema of this release.

Upgrades of one database exclude each other, from whatever node they come, and
each is safe to run again, also after it was killed. On SQLite an upgrade is
one transaction. Elsewhere rows are changed a batch at a time, so that nobody
waits for all of them, and a revision looks for its own half-done work. At the
end rows without search terms get them.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import dataclasses
from typing import Any

from alembic import command
from alembic import config as alembic_config
from alembic import script
from alembic import util
import sqlalchemy as sa

from freezer_api.db import cluster_lock
from freezer_api.db import migration_lock
from freezer_api.db import queues
from freezer_api.db import terms
from freezer_api.db import usage_recount

VERSION_TABLE = 'alembic_version'
# The table of sqlalchemy-migrate, which 15.0.0 and older used.
LEGACY_VERSION_TABLE = 'migrate_version'
_FIRST_TABLES = frozenset(('action_reports', 'actions', 'backups', 'clients',
                           'jobs', 'sessions'))
# Advisory locks are numbers of a database; any that nobody else uses.


class MigrationError(Exception):
    """The database cannot be upgraded as it is; the text says why."""


def _config() -> alembic_config.Config:
    config = alembic_config.Config()
    config.set_main_option('script_location', 'freezer_api.db:migrations')
    config.set_main_option('path_separator', 'os')
    return config


def _scripts() -> script.ScriptDirectory:
    return script.ScriptDirectory.from_config(_config())


def head() -> str:
    """Return the last revision that this release knows."""
    (revision,) = _scripts().get_heads()
    return revision


def revisions() -> list[str]:
    """Return each revision that this release knows, oldest first."""
    return [step.revision
            for step in _scripts().walk_revisions('base', 'heads')][::-1]


def current(bind: sa.Engine | sa.URL | str) -> str | None:
    """Return the revision that the database says it is at.

    :returns: None for a database without a version
    :raises MigrationError: when it says more than one thing, or its URL or
        engine cannot be used
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    with (_engine(bind) as engine, engine.connect() as connection):
        return current_of(connection)


def unfilled(bind: sa.Engine | sa.URL | str) -> bool:
    """Return whether rows of an upgraded database still lack search terms.

    :raises MigrationError: when the URL or engine cannot be used
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    with (_engine(bind) as engine, engine.connect() as connection):
        return terms.missing(connection)


def steps_from(revision: str | None) -> list[tuple[str, str]]:
    """Return each later revision and what it does, in a line."""
    scripts = list(_scripts().walk_revisions('base', 'heads'))[::-1]
    names = [script.revision for script in scripts]
    first = 0 if revision is None else names.index(revision) + 1
    return [(script.revision,
             script.doc.splitlines()[0].replace('``', '').rstrip('.'))
            for script in scripts[first:]]


def tables(bind: sa.Engine | sa.URL | str) -> list[str]:
    """Return the names of the tables, sorted.

    :raises MigrationError: when the URL or engine cannot be used
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    with (_engine(bind) as engine, engine.connect() as connection):
        return sorted(sa.inspect(connection).get_table_names())


def current_of(connection: sa.Connection) -> str | None:
    """Return what :func:`current` returns, by a connection."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    version = sa.table(VERSION_TABLE, sa.column('version_num'))
    found = connection.execute(sa.select(version.c.version_num)).scalars()
    rows = found.all()
    if len(rows) > 1:
        raise MigrationError(
            f'table {VERSION_TABLE} has {len(rows)} rows instead of one')
    return rows[0] if rows else None


def sync(bind: sa.Engine | sa.URL | str, revision: str = 'head',
         lock_timeout: int = 600) -> None:
    """Upgrade a database to ``revision``; do nothing if it is there already.

    :param bind: where the database is; of an engine only the URL is used,
        unless it is a SQLite database in memory
    :param lock_timeout: seconds to wait for an upgrade by somebody else
    :raises MigrationError: when the database cannot be upgraded as it is
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    with exclusive(bind, lock_timeout) as connection:
        refuse_the_unknown(connection)
        _close_transaction(connection)
        config = _config()
        config.attributes['connection'] = connection
        try:
            command.upgrade(config, revision)
        except util.CommandError as error:
            raise MigrationError(str(error)) from error
        if current_of(connection) == head():
            _close_transaction(connection)
            terms.fill(connection)


@dataclasses.dataclass(frozen=True)
class Refreshed:
    """How much was not as this release would have it.

    :ivar terms: rows with other search terms
    :ivar jobs: jobs that no claim would have found
    :ivar projects: projects whose usage was another
    """

    terms: int
    jobs: int
    projects: int


def refresh(bind: sa.Engine | sa.URL | str,
            lock_timeout: int = 600) -> Refreshed:
    """Mend what an API of an earlier release has left behind.

    :raises MigrationError: when somebody upgrades it meanwhile
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    with exclusive(bind, lock_timeout) as connection:
        jobs = queues.mend(connection)
        return Refreshed(terms.refresh(connection), jobs,
                         usage_recount.mend(connection))


@contextlib.contextmanager
def reading(bind: sa.Engine | sa.URL | str) -> Iterator[sa.Connection]:
    """A connection of somebody who changes nothing.

    :raises MigrationError: when the URL or engine cannot be used
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    with _engine(bind) as engine, engine.connect() as connection:
        yield connection


@contextlib.contextmanager
def exclusive(bind: sa.Engine | sa.URL | str,
              lock_timeout: int = 600) -> Iterator[sa.Connection]:
    """A connection while which nobody else upgrades the database.

    On SQLite it is in a transaction, elsewhere in none.

    :raises MigrationError: when somebody does, or the URL cannot be used
    :raises sqlalchemy.exc.SQLAlchemyError: from a failing database
    """
    with (_engine(bind, lock_timeout) as engine,
          _locked(engine, lock_timeout) as connection):
        yield connection


@contextlib.contextmanager
def _locked(engine: sa.Engine, lock_timeout: int) -> Iterator[sa.Connection]:
    try:
        with migration_lock.held(engine, lock_timeout) as connection:
            yield connection
    except (migration_lock.Busy, cluster_lock.Lost) as error:
        raise MigrationError(str(error)) from None


@contextlib.contextmanager
def _engine(bind: sa.Engine | sa.URL | str,
            lock_timeout: int | None = None) -> Iterator[sa.Engine]:
    """An engine of our own, whose connections end with their use.

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
        # Neither text may be shown: both can hold parts of the password.
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
    yield engine


def _own_transactions(engine: sa.Engine) -> None:
    """Make SQLite's transactions hold DDL, and exclude other writers.

    Foreign keys stay unchecked, since tables are rebuilt.
    """

    @sa.event.listens_for(engine, 'connect')
    def connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        # A cell may hold any bytes; one must not stop an upgrade.
        connection.text_factory = _text

    @sa.event.listens_for(engine, 'begin')
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql('BEGIN IMMEDIATE')


def _text(cell: bytes) -> str:
    return cell.decode(errors='replace')


def _strict(engine: sa.Engine) -> None:
    """Let MySQL refuse a value that does not fit instead of cutting it."""

    @sa.event.listens_for(engine, 'connect')
    def connect(connection: Any, record: Any) -> None:
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute("SET SESSION sql_mode = 'TRADITIONAL'")


def _close_transaction(connection: sa.Connection) -> None:
    """Let alembic begin its own, except on SQLite."""
    if connection.dialect.name != 'sqlite':
        connection.rollback()


def refuse_the_unknown(connection: sa.Connection) -> None:
    """
    :raises MigrationError: for a database of a release that is newer than
        this one, for tables of which nobody says what they are, and for a
        version without its tables
    """
    version = current_of(connection)
    tables = set(sa.inspect(connection).get_table_names())
    if version is not None:
        if version not in revisions():
            raise MigrationError(
                f'the database is at revision {version}, which this release '
                'does not know; it was upgraded by a newer one')
        lost = sorted(_FIRST_TABLES - tables)
        if lost:
            raise MigrationError(
                f'the database says that it is at revision {version}, but '
                f'has no table {", ".join(lost)}: restore what is missing '
                f'from a backup, or drop table {VERSION_TABLE} of a database '
                'that is to be new')
        return
    if (tables & _FIRST_TABLES
            and not tables & {VERSION_TABLE, LEGACY_VERSION_TABLE}):
        # An empty version table, on the other hand, is left by a first
        # upgrade that was killed.
        raise MigrationError(
            'the database has tables but no version: restore table '
            f'{VERSION_TABLE} from the backup that the others came from')

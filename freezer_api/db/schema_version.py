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

"""Which schema a database has, compared with the one of this release.

The API asks when it starts, so nothing of alembic is loaded here.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import importlib.resources
from typing import Any

import sqlalchemy as sa

VERSION_TABLE = 'alembic_version'

# Seconds to wait for a connection, and for each answer.
_TIMEOUT = 5

# What servers say about a login that no waiting cures: numbers of MySQL and
# MariaDB, and words of PostgreSQL, whose driver has no code for it.
_REFUSED_NUMBERS = frozenset((1044, 1045, 1049, 1130, 1698, 2059))
_REFUSED_WORDS = ('authentication failed', 'does not exist',
                  'no pg_hba.conf entry', 'not permitted to log in',
                  'no password supplied', 'unable to open database file')


class State(enum.Enum):
    """How the schema of a database compares with that of this release."""

    CURRENT = enum.auto()
    MISSING = enum.auto()
    OLDER = enum.auto()
    NEWER = enum.auto()


@dataclasses.dataclass(frozen=True)
class Found:
    """What a database has.

    :ivar text: what is wrong and what cures it, empty if nothing is
    """

    state: State
    text: str = ''


class NotAsked(Exception):
    """The database does not answer, which may pass; the text says why."""


class LoginRefused(Exception):
    """The database refuses the login, or the schema's name.

    :param text: the database's own words, on one line
    """

    def __init__(self, text: str) -> None:
        super().__init__(
            f'[database] connection: the database refuses it: {text}. Correct '
            'user, password and name of the database, or grant the user its '
            'rights')


@functools.cache
def revisions() -> tuple[str, ...]:
    """Return each revision that this release knows, oldest first."""
    folder = importlib.resources.files('freezer_api.db.migrations.versions')
    names = sorted(path.name for path in folder.iterdir()
                   if path.name.startswith('r') and path.name.endswith('.py'))
    return tuple(name.split('_')[1] for name in names)


def read(url: str) -> Found:
    """Return what the schema of a database is.

    :raises LoginRefused: when an option is to blame
    :raises NotAsked: when the database does not answer now
    """
    made = sa.create_engine(
        url, poolclass=sa.pool.NullPool, hide_parameters=True,
        connect_args=_arguments(sa.make_url(url)))
    try:
        with made.connect() as connection:
            return of(connection)
    except sa.exc.DBAPIError as error:
        text = _described(error)
        if is_refusal(error):
            raise LoginRefused(text) from None
        raise NotAsked(text) from None
    except (sa.exc.SQLAlchemyError, OSError) as error:
        raise NotAsked(type(error).__name__) from None
    finally:
        made.dispose()


def of(connection: sa.Connection) -> Found:
    """Return what the schema is, by a connection."""
    known = revisions()
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return _missing()
    version = sa.table(VERSION_TABLE, sa.column('version_num'))
    rows = connection.execute(sa.select(version.c.version_num)).scalars().all()
    if not rows:
        return _missing()
    if set(rows) - set(known):
        return Found(State.NEWER, (
            'the database that [database] connection names has a newer '
            f'schema ({rows[0]}) than this release knows: start the release '
            'that upgraded it, or restore the backup from before'))
    if len(rows) > 1 or rows[0] != known[-1]:
        return Found(State.OLDER, (
            'the database that [database] connection names has an older '
            f'schema ({rows[0]}) than this release needs ({known[-1]}): run '
            'freezer-manage db sync'))
    return Found(State.CURRENT)


def _missing() -> Found:
    return Found(State.MISSING, (
        'the database that [database] connection names has no tables of this '
        'service: run freezer-manage db sync'))


def _arguments(url: sa.URL) -> dict[str, Any]:
    if url.get_backend_name() == 'sqlite':
        return {}
    names = ['connect_timeout']
    if url.get_driver_name() == 'pymysql':
        # A server may accept a connection and then say nothing.
        names += ['read_timeout', 'write_timeout']
    return {name: _TIMEOUT for name in names if name not in url.query}


def _described(error: sa.exc.DBAPIError) -> str:
    """Return one line, which no driver puts a password into."""
    given = error.orig.args[-1] if error.orig and error.orig.args else ''
    return ' '.join(str(given).split()) or type(error).__name__


def is_refusal(error: sa.exc.DBAPIError) -> bool:
    """Return whether the login or the name of the schema is to blame."""
    if not isinstance(error, sa.exc.OperationalError):
        return False
    given = error.orig.args if error.orig is not None else ()
    return (bool(given) and given[0] in _REFUSED_NUMBERS) or any(
        words in _described(error) for words in _REFUSED_WORDS)

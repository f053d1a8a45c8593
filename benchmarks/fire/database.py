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

"""The database under fire: MariaDB or PostgreSQL, with a memory of leases.

Triggers write down each change of a run, so that nobody has to look at the
right moment. They are part of the transaction that changes the run, and so
what was rolled back did not happen here either.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
from typing import Any
import uuid

import sqlalchemy as sa
from sqlalchemy import pool

_COLUMNS = ('run_id', 'fence', 'scheduler_id', 'state', 'lease')
_VALUES = ('NEW.id, NEW.fence, NEW.scheduler_id, NEW.state, '
           'NEW.lease_expires_at')
_INSERT = (f'INSERT INTO fire_history (at, {", ".join(_COLUMNS)}, reported) '
           f'VALUES ({{now}}, {_VALUES}, {{reported}})')
_SAME = '''NEW.actions {is_} OLD.actions AND NEW.state {is_} OLD.state
AND NEW.reason {is_} OLD.reason AND NEW.time_ended {is_} OLD.time_ended'''
_TABLE = '''CREATE TABLE fire_history (
    number {serial} PRIMARY KEY, at DOUBLE PRECISION, run_id VARCHAR(36),
    fence INTEGER, scheduler_id VARCHAR(255), state VARCHAR(16),
    lease BIGINT, reported INTEGER)'''


class Database:
    """One database of a server, by its own name.

    :ivar engine: ``mariadb`` or ``postgresql``
    :ivar url: of the database
    """

    def __init__(self, engine: str, server: str) -> None:
        self.engine = engine
        self._server = sa.create_engine(
            server, isolation_level='AUTOCOMMIT', poolclass=pool.NullPool)
        self._name = f'freezer_fire_{uuid.uuid4().hex[:12]}'
        made = sa.make_url(server).set(database=self._name)
        self.url = made.render_as_string(hide_password=False)
        self._engine = sa.create_engine(made, poolclass=pool.NullPool)

    def create(self) -> None:
        """Make it, empty."""
        charset = (' CHARACTER SET utf8mb4' if self.engine == 'mariadb'
                   else '')
        self._on_server(f'CREATE DATABASE {self._name}{charset}')

    def drop(self) -> None:
        force = ' WITH (FORCE)' if self.engine == 'postgresql' else ''
        self._on_server(f'DROP DATABASE IF EXISTS {self._name}{force}')

    def remember(self) -> None:
        """Write down each change of a run from now on."""
        statements = (_mariadb() if self.engine == 'mariadb'
                      else _postgresql())
        with self._engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def cut(self) -> int:
        """End all connections to it; return how many there were."""
        if self.engine == 'postgresql':
            return len(self._on_server(
                'SELECT pg_terminate_backend(pid) FROM pg_stat_activity '
                f"WHERE datname = '{self._name}'"))
        ids = [row[0] for row in self._on_server(
            'SELECT id FROM information_schema.processlist '
            f"WHERE db = '{self._name}'")]
        for number in ids:
            # It may have ended by itself.
            with contextlib.suppress(sa.exc.OperationalError):
                self._on_server(f'KILL {number}')
        return len(ids)

    def rows(self, query: str) -> Sequence[Any]:
        with self._engine.connect() as connection:
            return connection.execute(sa.text(query)).all()

    def _on_server(self, statement: str) -> Sequence[Any]:
        with self._server.connect() as connection:
            result = connection.exec_driver_sql(statement)
            return result.all() if result.returns_rows else ()


@contextlib.contextmanager
def made(engine: str, server: str,
         create: Callable[[str], None]) -> Iterator[Database]:
    """A database for a while.

    :param create: makes the tables, given the URL
    """
    database = Database(engine, server)
    database.create()
    try:
        create(database.url)
        database.remember()
        yield database
    finally:
        database.drop()


def _mariadb() -> list[str]:
    now = 'UNIX_TIMESTAMP(SYSDATE(6))'
    same = _SAME.format(is_='<=>')
    return [
        _TABLE.format(serial='INTEGER AUTO_INCREMENT'),
        'CREATE TRIGGER fire_insert AFTER INSERT ON job_runs FOR EACH ROW '
        + _INSERT.format(now=now, reported=0),
        'CREATE TRIGGER fire_update AFTER UPDATE ON job_runs FOR EACH ROW '
        + _INSERT.format(now=now, reported=f'NOT ({same})')]


def _postgresql() -> list[str]:
    now = 'extract(epoch FROM clock_timestamp())'
    same = _SAME.format(is_='IS NOT DISTINCT FROM')
    function = '''CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN {insert}; RETURN NEW; END $$'''
    return [
        _TABLE.format(serial='SERIAL'),
        function.format(name='fire_insert',
                        insert=_INSERT.format(now=now, reported=0)),
        function.format(name='fire_update', insert=_INSERT.format(
            now=now, reported=f'(NOT ({same}))::integer')),
        'CREATE TRIGGER fire_insert AFTER INSERT ON job_runs FOR EACH ROW '
        'EXECUTE FUNCTION fire_insert()',
        'CREATE TRIGGER fire_update AFTER UPDATE ON job_runs FOR EACH ROW '
        'EXECUTE FUNCTION fire_update()']

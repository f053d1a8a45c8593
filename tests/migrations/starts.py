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

"""Databases to start a test from: at a revision, and without rows.

The first one of an engine and a revision is made by an upgrade. The others of
this process are copies of it, which take a fraction of the time.
"""

from __future__ import annotations

import atexit
import dataclasses
import pathlib
from typing import Any
from typing import Protocol

import sqlalchemy as sa

from freezer_api.db.admin import upgrade
from tests import services


class Start(Protocol):
    """What is kept of a database."""

    def copy_to(self, url: sa.URL) -> None:
        """Make an empty database one like it."""


# By engine and revision.
_KEPT: dict[tuple[str, str], Start] = {}


def bring(url: str, revision: str) -> None:
    """Bring an empty database, with the defaults of its server, to a revision.

    :param url: where it is; nobody may be connected
    """
    parsed = sa.make_url(url)
    key = parsed.get_backend_name(), revision
    if key in _KEPT:
        _KEPT[key].copy_to(parsed)
    else:
        upgrade.sync(url, revision)
        _KEPT[key] = _KINDS[key[0]](parsed)


class _SQLite:

    def __init__(self, url: sa.URL) -> None:
        self._bytes = pathlib.Path(str(url.database)).read_bytes()

    def copy_to(self, url: sa.URL) -> None:
        pathlib.Path(str(url.database)).write_bytes(self._bytes)


@dataclasses.dataclass
class _Table:
    definition: str
    rows: list[tuple[Any, ...]]


class _MySQL:

    def __init__(self, url: sa.URL) -> None:
        self._tables: dict[str, _Table] = {}
        with _connected(url) as connection:
            for name in sa.inspect(connection).get_table_names():
                [shown] = connection.exec_driver_sql(
                    f'SHOW CREATE TABLE `{name}`')
                self._tables[name] = _Table(shown[1], [
                    tuple(row) for row in connection.exec_driver_sql(
                        f'SELECT * FROM `{name}`')])

    def copy_to(self, url: sa.URL) -> None:
        with _connected(url) as connection:
            connection.exec_driver_sql('SET foreign_key_checks = 0')
            for name, table in self._tables.items():
                connection.exec_driver_sql(table.definition)
                for row in table.rows:
                    values = ', '.join(['%s'] * len(row))
                    connection.exec_driver_sql(
                        f'INSERT INTO `{name}` VALUES ({values})', row)


class _PostgreSQL:

    def __init__(self, url: sa.URL) -> None:
        self._name = services.new_name()
        services.on_postgresql(
            f'CREATE DATABASE {self._name} TEMPLATE {url.database}')
        atexit.register(services.on_postgresql,
                        f'DROP DATABASE {self._name} WITH (FORCE)')

    def copy_to(self, url: sa.URL) -> None:
        services.on_postgresql(
            f'DROP DATABASE {url.database} WITH (FORCE)',
            f'CREATE DATABASE {url.database} TEMPLATE {self._name}')


_KINDS: dict[str, type[_SQLite | _MySQL | _PostgreSQL]] = {
    'sqlite': _SQLite, 'mysql': _MySQL, 'postgresql': _PostgreSQL}


def _connected(url: sa.URL) -> sa.Connection:
    engine = sa.create_engine(
        url, isolation_level='AUTOCOMMIT', poolclass=sa.pool.NullPool)
    return engine.connect()

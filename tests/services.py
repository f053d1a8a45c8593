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

"""Database servers for tests.

A test, or a class of tests, asks for a database and gets the URL of an empty
one of its own, which is dropped when it ends::

    def setUp(self):
        super().setUp()
        self.url = services.mysql_url(self)

A server that is not there fails the test where CI is set in the environment.
Elsewhere the test is skipped with the reason, and ``tools/test`` lists it as
not run: work on the project needs no database server.
"""

from __future__ import annotations

import os
import unittest
import uuid

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy import pool

# What it takes to set up TLS is most of a connection.
MYSQL = ('mysql+pymysql://root@127.0.0.1:3306/'
         '?connect_timeout=5&ssl_disabled=true')
POSTGRESQL = (
    'postgresql+psycopg://postgres@127.0.0.1:5432/postgres?connect_timeout=5')

Test = unittest.TestCase | type[unittest.TestCase]


def mysql_url(test: Test) -> str:
    """Return the URL of an empty MariaDB or MySQL database.

    FREEZER_TEST_MYSQL_URL names another server and account.
    """
    return _database(
        test, os.environ.get('FREEZER_TEST_MYSQL_URL', MYSQL),
        'CREATE DATABASE {} CHARACTER SET utf8mb4',
        drop='DROP DATABASE {}')


def postgresql_url(test: Test) -> str:
    """Return the URL of an empty PostgreSQL database.

    FREEZER_TEST_POSTGRESQL_URL names another server, account and database
    to connect to first.
    """
    return _database(
        test, os.environ.get('FREEZER_TEST_POSTGRESQL_URL', POSTGRESQL),
        'CREATE DATABASE {}',
        # No test lets the server lose its power.
        'ALTER DATABASE {} SET synchronous_commit = off',
        drop='DROP DATABASE {} WITH (FORCE)')


def new_name() -> str:
    """Return a name that no database has."""
    return f'freezer_test_{uuid.uuid4().hex}'


def on_postgresql(*statements: str) -> None:
    """Have PostgreSQL execute statements that are in no transaction."""
    engine = sa.create_engine(
        os.environ.get('FREEZER_TEST_POSTGRESQL_URL', POSTGRESQL),
        isolation_level='AUTOCOMMIT', poolclass=pool.NullPool)
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def _database(
        test: Test, server: str, *create: str, drop: str) -> str:
    url = sa.make_url(server)
    engine = sa.create_engine(
        url, isolation_level='AUTOCOMMIT', poolclass=pool.NullPool)
    name = new_name()

    def execute(statement: str) -> None:
        with engine.connect() as connection:
            connection.execute(sa.text(statement.format(name)))

    try:
        for statement in create:
            execute(statement)
    except exc.OperationalError as error:
        answer = str(error.orig).splitlines()[0]
        reason = f'no {url.get_backend_name()} at {url.host}: {answer}'
        if os.environ.get('CI'):
            raise AssertionError(reason) from None
        raise unittest.SkipTest(reason) from None
    if isinstance(test, type):
        test.addClassCleanup(execute, drop)
    else:
        test.addCleanup(execute, drop)
    return url.set(database=name).render_as_string(hide_password=False)

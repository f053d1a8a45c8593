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

"""Connections that the database server ends while they wait in the pool."""

from __future__ import annotations

import time

import sqlalchemy as sa
from sqlalchemy import pool

from tests.functional import base

_PATIENCE = 30


class LostConnections(base.ApiTestCase):
    """No request notices, be it one that reads or one that writes."""

    #: The connections to the database but for the one that asks, and what
    #: ends one of them.
    others: str
    end: str

    def end_connections(self) -> None:
        """End what waits in the pool, and wait until that has happened."""
        server = sa.create_engine(
            self.url(), isolation_level='AUTOCOMMIT', poolclass=pool.NullPool)
        with server.connect() as connection:
            others = connection.scalars(sa.text(self.others)).all()
            self.assertTrue(others)
            for other in others:
                connection.execute(sa.text(self.end), {'id': other})
            end = time.monotonic() + _PATIENCE
            while connection.scalars(sa.text(self.others)).all():
                self.assertLess(time.monotonic(), end)
                time.sleep(0.01)

    def check_survives(self) -> None:
        self.register_central()
        job_id = self.create_job()
        path = f'jobs/{job_id}'
        for method, what, body, status in (
                ('GET', path, None, 200),
                ('PATCH', path, {'description': 'changed'}, 200),
                ('GET', 'jobs', None, 200),
                ('POST', f'{path}/event', {'start': None}, 202),
                ('DELETE', path, None, 204)):
            with self.subTest(f'{method} {what}'):
                self.end_connections()
                self.call(base.MEMBER, method, what, body, status)


class LostConnectionsOfMySQL(base.MySQL, LostConnections):

    others = ('SELECT id FROM information_schema.processlist '
              'WHERE db = DATABASE() AND id <> CONNECTION_ID()')
    end = 'KILL :id'

    def test_requests_survive(self) -> None:
        self.check_survives()


class LostConnectionsOfPostgreSQL(base.PostgreSQL, LostConnections):

    others = ('SELECT pid FROM pg_stat_activity WHERE '
              'datname = current_database() AND pid <> pg_backend_pid()')
    end = 'SELECT pg_terminate_backend(:id)'

    def test_requests_survive(self) -> None:
        self.check_survives()

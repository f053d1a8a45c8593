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

"""The lock of a cluster, which works on a single server as well."""

from __future__ import annotations

import contextlib
import time
from typing import Any
from unittest import mock

import sqlalchemy as sa

from freezer_api.db.admin import galera_lock
from freezer_api.db.admin import upgrade
from tests.migrations import base

BEAT = 0.05


class TestGaleraLock(base.DatabaseTest):

    backend = 'mysql'

    def lock(self, node: str) -> galera_lock.GaleraLock:
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        return stack.enter_context(galera_lock.GaleraLock(
            self.engine.url, node, BEAT))

    def take(self, lock: galera_lock.GaleraLock, seconds: float) -> bool:
        return lock.take(time.monotonic() + seconds)

    def kill(self, lock: galera_lock.GaleraLock) -> None:
        """Let its holder write no more, and give nothing back."""
        lock._end.set()
        lock._thread.join()

    def test_one_at_a_time(self) -> None:
        """However long a holder takes, as long as it is there."""
        first, second = self.lock('one'), self.lock('two')
        self.assertTrue(self.take(first, 1))
        with mock.patch.object(galera_lock, 'MISSED', 5):
            self.assertFalse(self.take(second, 20 * BEAT))
        first.check()
        first.__exit__()
        self.assertTrue(self.take(second, 1))

    def test_a_holder_on_another_node_was_killed(self) -> None:
        first, second = self.lock('one'), self.lock('two')
        self.take(first, 1)
        self.kill(first)
        with mock.patch.object(galera_lock, 'MISSED', 5):
            self.assertTrue(self.take(second, 60))

    def test_a_holder_on_this_node_was_killed(self) -> None:
        """Nobody waits: the lock of the server is proof of it."""
        first, second = self.lock('one'), self.lock('one')
        self.take(first, 1)
        self.kill(first)
        self.assertTrue(self.take(second, 0))

    def test_a_holder_that_slept(self) -> None:
        first, second = self.lock('one'), self.lock('two')
        self.take(first, 1)
        self.kill(first)
        with mock.patch.object(galera_lock, 'MISSED', 5):
            self.take(second, 60)
        first._last -= 10  # what it would find when it wakes
        self.assertRaises(galera_lock.Lost, first.check)
        first.__exit__()
        second.check()

    def test_a_holder_without_a_server(self) -> None:
        first = self.lock('one')
        number = first._connection.scalar(sa.text('SELECT CONNECTION_ID()'))
        self.take(first, 1)
        self.execute(f'KILL {number}')
        first._thread.join()
        self.assertRaises(galera_lock.Lost, first.check)

    def test_what_others_see(self) -> None:
        with self.engine.connect() as connection:
            def seen(node: str) -> bool:
                return galera_lock.is_held(
                    connection, node, lambda seconds: time.sleep(10 * BEAT))

            self.assertFalse(seen('two'))
            first = self.lock('one')
            self.take(first, 1)
            self.assertTrue(seen('two'))
            self.kill(first)
            self.assertFalse(seen('two'))

    def on_a_node(self) -> contextlib.AbstractContextManager[Any]:
        return mock.patch.object(galera_lock, 'node_of', autospec=True,
                                 return_value='one')

    def test_an_upgrade(self) -> None:
        """Where the server says that it is one of a cluster."""
        with self.on_a_node():
            upgrade.sync(self.url)
            with upgrade.exclusive(self.url):
                rows = self.rows(
                    'SELECT node FROM upgrade_locks WHERE holder IS NOT NULL')
            self.assertEqual([('one',)], rows)
        self.assertEqual([(None,), (None,)], self.rows(
            'SELECT holder FROM upgrade_locks'))

    def test_an_upgrade_that_loses_the_lock(self) -> None:
        with self.on_a_node():
            error = self.assertRaises(upgrade.MigrationError, self.lose)
        self.assertIn('run it again', str(error))

    def lose(self) -> None:
        with upgrade.exclusive(self.url) as connection:
            self.execute("UPDATE upgrade_locks SET holder = 'another', "
                         "beats = beats + 1 WHERE holder IS NOT NULL")
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                connection.execute(sa.text('SELECT 1'))

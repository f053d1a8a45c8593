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

"""Asking a process how it stands, in the face of what else may be there."""

from __future__ import annotations

import errno
import os
import pathlib
import socket
import stat
import threading
from unittest import mock

import fixtures
import testtools

from freezer_scheduler.telemetry import status_socket


class TestStatusSocket(testtools.TestCase):

    def setUp(self):
        super().setUp()
        # Longer than the address of a socket may be.
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path,
                              'x' * 100)
        folder.mkdir()
        self.path = status_socket.path_of(folder / 'scheduler.pid')
        self.told: dict[str, object] = {
            'runs': [{'run_id': str(number)} for number in range(20_000)]}
        self.listener = status_socket.Listener(self.path, lambda: self.told)

    def test_the_answer_is_current(self):
        self.listener.open()
        self.assertEqual(self.told, status_socket.ask(self.path, os.getpid()))
        self.told = {'runs': []}
        self.assertEqual(self.told, status_socket.ask(self.path, os.getpid()))

    def test_other_users_get_no_answer(self):
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        self.listener.open()
        self.assertEqual(0o600, stat.S_IMODE(self.path.stat().st_mode))
        self.assertEqual(0, os.umask(0))

    def test_the_socket_of_a_killed_scheduler_is_replaced(self):
        with socket.socket(socket.AF_UNIX) as left:
            folder = os.open(self.path.parent, os.O_PATH)
            left.bind(f'/proc/self/fd/{folder}/{self.path.name}')
            os.close(folder)
        self.assertRaises(status_socket.NoAnswer, status_socket.ask,
                          self.path, os.getpid())
        self.listener.open()
        status_socket.ask(self.path, os.getpid())
        self.listener.close()
        self.assertFalse(self.path.exists())

    def test_the_answer_of_another_process_is_refused(self):
        self.listener.open()
        with testtools.ExpectedException(status_socket.NoAnswer,
                                         '.*is not that of process 1'):
            status_socket.ask(self.path, 1)

    def test_a_question_to_a_process_that_hangs_ends(self):
        self.useFixture(fixtures.MonkeyPatch(
            'freezer_scheduler.telemetry.status_socket._PATIENCE', 0.2))
        awake = threading.Event()
        self.addCleanup(awake.set)

        def hang():
            awake.wait()
            return {}

        status_socket.Listener(self.path, hang).open()
        with testtools.ExpectedException(status_socket.NoAnswer,
                                         'no answer within .*'):
            status_socket.ask(self.path, os.getpid())

    def test_a_client_that_reads_nothing_delays_others_shortly(self):
        self.useFixture(fixtures.MonkeyPatch(
            'freezer_scheduler.telemetry.status_socket._PATIENCE', 5))
        self.told = {'much': 'x' * (4 << 20)}
        self.listener.open()
        with socket.socket(socket.AF_UNIX) as idle:
            folder = os.open(self.path.parent, os.O_PATH)
            idle.connect(f'/proc/self/fd/{folder}/{self.path.name}')
            os.close(folder)
        self.assertEqual(self.told, status_socket.ask(self.path, os.getpid()))

    def test_it_waits_while_too_many_files_are_open(self):
        waits: list[float] = []

        def wait(seconds):
            waits.append(seconds)
            if len(waits) == 3:
                raise SystemExit

        self.useFixture(fixtures.MonkeyPatch('time.sleep', wait))
        with mock.patch.object(self.listener, '_socket',
                               autospec=True) as listening:
            listening.accept.side_effect = OSError(
                errno.EMFILE, 'Too many open files')
            self.assertRaises(SystemExit, self.listener._serve)
        self.assertTrue(all(waits), waits)

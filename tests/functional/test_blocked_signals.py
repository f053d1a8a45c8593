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

"""Commands whose parent has blocked the signals that end them.

A process inherits the mask of its parent, over exec too.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

from tests.functional import test_exposure
from tools.cloud import ports

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM,
           signal.SIGCHLD, signal.SIGUSR2)

# Becomes the command, with all signals blocked. A shell has its background
# jobs ignore SIGINT, which is another matter.
_BLOCKING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.execv(sys.argv[1], sys.argv[1:])
"""

# Has the lock of a scheduler, and does not end.
_HOLDER = """
import pathlib, signal, sys
from freezer_scheduler.process import pidfile
signal.signal(signal.SIGTERM, lambda *_: print('told', flush=True))
file = pidfile.PidFile(pathlib.Path(sys.argv[1]))
file.acquire()
file.write()
print('ready', flush=True)
while True:
    signal.pause()
"""


def command(name: str) -> list[str]:
    return [sys.executable, '-c', _BLOCKING,
            str(pathlib.Path(sys.executable).with_name(name))]


def blocked(pid: int) -> list[signal.Signals]:
    """Return those of the signals that the main thread of a process blocks."""
    status = pathlib.Path(f'/proc/{pid}/status').read_text()
    [mask] = [int(line.split()[1], 16) for line in status.splitlines()
              if line.startswith('SigBlk:')]
    return [one for one in SIGNALS if mask >> (one - 1) & 1]


class ApiTests(test_exposure.ServiceCase):

    @classmethod
    def run_program(cls, argv: list[str], output: str,
                    ) -> subprocess.Popen[bytes]:
        return super().run_program(
            [*command(pathlib.Path(argv[0]).name), *argv[1:]], output)

    def workers(self) -> set[int]:
        found = subprocess.run(
            ['ps', '-o', 'pid=', '--ppid', str(self.process.pid)],
            check=False, capture_output=True, text=True)
        return {int(pid) for pid in found.stdout.split()}

    def started_anew(self, before: set[int]) -> None:
        self.wait_for(lambda: len(self.workers() - before) == 2
                      and not self.workers() & before)
        self.wait_for(
            lambda: self.get('/healthcheck', self.address)[0] == 200)

    def test_each_signal_does_what_it_should(self) -> None:
        self.wait_for(lambda: len(self.workers()) == 2)
        before = self.workers()
        for pid in (self.process.pid, *before):
            self.assertEqual([signal.SIGUSR2], blocked(pid))
        self.process.send_signal(signal.SIGHUP)
        self.started_anew(before)
        before = self.workers()
        for pid in before:
            os.kill(pid, signal.SIGTERM)
        self.started_anew(before)
        before = self.workers()
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(0, self.process.wait(test_exposure.PATIENCE))
        self.assertEqual([], [pid for pid in before
                              if pathlib.Path(f'/proc/{pid}').exists()])


class InterruptedApiTests(ApiTests):

    def test_each_signal_does_what_it_should(self) -> None:
        self.wait_for(lambda: len(self.workers()) == 2)
        self.process.send_signal(signal.SIGINT)
        self.assertNotEqual(0, self.process.wait(test_exposure.PATIENCE))


class ManageTests(unittest.TestCase):

    def test_a_command_that_waits_can_be_ended(self) -> None:
        folder = pathlib.Path(self.enterContext(
            tempfile.TemporaryDirectory()))
        config = folder / 'freezer-api.conf'
        config.write_text(
            f'[database]\nconnection = sqlite:///{folder}/freezer.db\n')
        with contextlib.closing(sqlite3.connect(
                folder / 'freezer.db', isolation_level=None)) as connection:
            connection.execute('BEGIN IMMEDIATE')
            process = subprocess.Popen([
                *command('freezer-manage'), '--config-file', str(config),
                'db', 'sync'])
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            deadline = time.monotonic() + test_exposure.PATIENCE
            while not self.has_open(process.pid, folder / 'freezer.db'):
                self.assertIsNone(process.poll())
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(-signal.SIGTERM,
                             process.wait(test_exposure.PATIENCE))

    def has_open(self, pid: int, path: pathlib.Path) -> bool:
        """Return whether a process has opened a file."""
        for number in pathlib.Path(f'/proc/{pid}/fd').iterdir():
            with contextlib.suppress(FileNotFoundError):
                if number.samefile(path):
                    return True
        return False


class SchedulerTests(unittest.TestCase):

    def setUp(self) -> None:
        super().setUp()
        self.folder = pathlib.Path(self.enterContext(
            tempfile.TemporaryDirectory()))

    def scheduler(self, *argv: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*command('freezer-scheduler'), '--config-file', os.devnull,
             '--scheduler-pid-file', str(self.folder / 'pid'), *argv],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
            env={**os.environ, 'HOME': str(self.folder)})
        self.addCleanup(process.__exit__, None, None, None)
        self.addCleanup(process.kill)
        return process

    def read_until(self, process: subprocess.Popen[str], text: str) -> None:
        assert process.stdout is not None
        read = []
        for line in process.stdout:
            read.append(line)
            if text in line:
                return
        self.fail(''.join(read))

    def start(self) -> subprocess.Popen[str]:
        [port] = ports.find_free(1)
        process = self.scheduler(
            '--service-mode', '--os-auth-url', f'http://127.0.0.1:{port}',
            '--os-username', 'freezer', '--os-password', 'secret',
            '--os-project-name', 'service', '--os-user-domain-id', 'default',
            '--os-project-domain-id', 'default', '--no-daemon', 'start')
        self.read_until(process, 'Cannot register yet')
        return process

    def test_what_ends_and_reloads_it(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number.name):
                process = self.start()
                process.send_signal(signal.SIGHUP)
                self.read_until(process, 'Cannot register yet')
                process.send_signal(number)
                self.assertEqual(0, process.wait(test_exposure.PATIENCE))

    def test_what_interrupts_a_command_that_waits(self) -> None:
        holder = subprocess.Popen(
            [sys.executable, '-c', _HOLDER, str(self.folder / 'pid')],
            stdout=subprocess.PIPE, text=True)
        self.addCleanup(holder.__exit__, None, None, None)
        self.addCleanup(holder.kill)
        self.read_until(holder, 'ready')
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number.name):
                process = self.scheduler('stop')
                self.read_until(holder, 'told')
                self.assertIsNone(process.poll())
                process.send_signal(number)
                self.assertEqual(
                    -number, process.wait(test_exposure.PATIENCE))

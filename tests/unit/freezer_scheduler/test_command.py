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

"""The command: actions, exit statuses, and what it prints."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib

import fixtures
import testtools

from freezer_scheduler.cmd import scheduler
from freezer_scheduler.process import pidfile
from tests.unit.freezer_scheduler import fakes


class TestCommand(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.home = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.useFixture(fixtures.EnvironmentVariable('HOME', str(self.home)))
        for name in list(os.environ):
            if name.startswith('OS_'):
                self.useFixture(fixtures.EnvironmentVariable(name))
        self.pid_file = self.home / 's.pid'

    def run_command(self, *argv):
        """Return the exit status and all that was printed."""
        text = io.StringIO()
        with (contextlib.redirect_stdout(text),
              contextlib.redirect_stderr(text)):
            status: object
            try:
                status = scheduler.main([
                    '--config-file', os.devnull, '--scheduler-pid-file',
                    str(self.pid_file), *argv])
            except SystemExit as left:
                status = left.code
        return status, text.getvalue()

    def test_nothing_runs(self):
        for action, said in (('status', 'Not Running\n'),
                             ('stop', 'Not Running\n'),
                             ('reload', 'Not Running\n')):
            self.assertEqual((0, said), self.run_command(action))

    def test_something_runs(self):
        file = pidfile.PidFile(self.pid_file)
        file.acquire()
        file.write()
        self.addCleanup(file.release)
        status, said = self.run_command('status')
        self.assertEqual((0, f'Running with pid: {os.getpid()}'),
                         (status, said.splitlines()[0]))
        self.assertIn('status is not available', said)
        status, said = self.run_command(
            '--service-mode', *fakes.ACCOUNT, 'start')
        self.assertEqual(0, status)
        self.assertIn('already running', said)
        status, said = self.run_command(
            '--service-mode', *fakes.ACCOUNT, '--no-daemon', 'start')
        self.assertEqual(1, status)

    def test_wrong_usage(self):
        self.assertEqual(2, self.run_command()[0])
        self.assertEqual(2, self.run_command('--nonsense', 'start')[0])
        status, said = self.run_command('dance')
        self.assertEqual(1, status)
        self.assertIn('dance', said)

    def test_classic_mode_needs_an_account(self):
        status, said = self.run_command('start')
        self.assertEqual(1, status)
        self.assertIn('[service_auth] os_username: missing', said)

    def test_mistakes_are_named(self):
        status, said = self.run_command(
            '--service-mode', *fakes.ACCOUNT, '--scheduler-lease-seconds',
            '10', '--capabilities-supported-modes', 'nonsense', 'start')
        self.assertEqual(1, status)
        self.assertIn('[scheduler] lease_seconds', said)
        self.assertIn('[capabilities] supported_modes', said)
        self.assertNotIn('secret', said)

    def test_a_password_with_a_dollar_is_not_shown(self):
        status, said = self.run_command(
            '--service-mode', '--os-password', 'pa$sword', 'start')
        self.assertEqual(1, status)
        self.assertNotIn('sword', said)
        self.assertIn('$$', said)

    def test_an_unsafe_pid_file(self):
        self.pid_file.write_text('1\n')
        self.pid_file.chmod(0o666)
        status, said = self.run_command('status')
        self.assertEqual(1, status)
        self.assertIn(str(self.pid_file), said)

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

"""Waiting for signals, as the process does."""

from __future__ import annotations

import configparser
import os
import pathlib
import signal
import subprocess
import sys
import time

import testtools

_WAITER = '''
from freezer_scheduler.process import signals
found = signals.ProcessSignals()
print('ready', flush=True)
print(found.wait(2), flush=True)
'''

# What the command does when a signal comes as soon as it does anything.
_STARTER = '''
import importlib
import os
import signal
import sys

class Sender:
    def find_spec(self, name, path, target=None):
        if name.startswith('oslo_'):
            os.kill(os.getpid(), getattr(signal, number))
            sys.meta_path.remove(self)

number, target, *sys.argv[1:] = sys.argv[1:]
module, function = target.split(':')
sys.meta_path.insert(0, Sender())
getattr(importlib.import_module(module), function)()
'''


class TestStart(testtools.TestCase):

    def test_an_early_signal_does_not_end_the_process(self):
        setup = configparser.ConfigParser()
        setup.read(pathlib.Path(__file__).parents[4] / 'setup.cfg')
        scripts = dict(
            line.split(' = ') for line in setup['entry_points'][
                'console_scripts'].split('\n') if line)
        for name in ('SIGUSR2', 'SIGHUP'):
            done = subprocess.run(
                [sys.executable, '-c', _STARTER, name,
                 scripts['freezer-scheduler'], '--version'],
                check=False, capture_output=True, text=True)
            self.assertEqual(0, done.returncode, done.stderr)
            self.assertRegex(done.stdout, '^[0-9]')


class TestTimedWait(testtools.TestCase):

    def waiter(self):
        """Start a process that waits for two seconds."""
        process = subprocess.Popen([sys.executable, '-c', _WAITER], text=True,
                                   stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        assert process.stdout is not None
        self.addCleanup(process.wait)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        self.assertEqual('ready\n', process.stdout.readline())
        return process

    def stop_for_longer(self, process):
        """Stop it while it waits, until its time is over."""
        status = pathlib.Path('/proc', str(process.pid), 'stat')
        began = time.monotonic()
        while status.read_text().rpartition(')')[2].split()[0] != 'S':
            self.assertLess(time.monotonic(), began + 30)
            time.sleep(0.01)
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        time.sleep(2)
        process.send_signal(signal.SIGCONT)

    def test_a_stop_that_is_longer_than_the_wait_is_no_signal(self):
        process = self.waiter()
        self.stop_for_longer(process)
        self.assertEqual('None\n', process.stdout.read())
        self.assertEqual(0, process.wait())

    def test_a_signal_ends_the_wait_at_once(self):
        for number, received in ((signal.SIGTERM, 'STOP'),
                                 (signal.SIGINT, 'STOP'),
                                 (signal.SIGHUP, 'RELOAD')):
            process = self.waiter()
            process.send_signal(number)
            self.assertEqual(f'Signal.{received}\n', process.stdout.read())

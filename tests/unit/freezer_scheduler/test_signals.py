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

import os
import signal
import subprocess
import sys
import time

import testtools

_WAITER = '''
from freezer_scheduler import signals
found = signals.ProcessSignals()
print('ready', flush=True)
print(found.wait(0.5), flush=True)
'''


class TestTimedWait(testtools.TestCase):

    def waiter(self):
        """Start a process that waits for half a second."""
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
        time.sleep(0.2)
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        time.sleep(0.8)
        process.send_signal(signal.SIGCONT)

    def test_stopped_for_longer_than_it_waits(self):
        process = self.waiter()
        self.stop_for_longer(process)
        self.assertEqual('None\n', process.stdout.read())
        self.assertEqual(0, process.wait())

    def test_a_signal_is_told_at_once(self):
        process = self.waiter()
        process.send_signal(signal.SIGTERM)
        self.assertEqual('Wish.STOP\n', process.stdout.read())

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

"""The PID file: a lock that ends with its process, in a safe folder."""

from __future__ import annotations

import os
import pathlib
import stat
import subprocess
import threading

import fixtures
import testtools

from freezer_scheduler.process import pidfile


class TestPidFile(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.path = self.folder / 'sub' / 's.pid'

    def acquired(self):
        file = pidfile.PidFile(self.path)
        file.acquire()
        file.write()
        self.addCleanup(file.release)
        return file

    def test_the_file_names_the_running_process(self):
        self.assertIsNone(pidfile.PidFile(self.path).running())
        file = self.acquired()
        self.assertEqual(os.getpid(), pidfile.PidFile(self.path).running())
        file.release()
        self.assertIsNone(pidfile.PidFile(self.path).running())

    def test_only_one_process_has_the_lock(self):
        file = self.acquired()
        taken = self.assertRaises(pidfile.Taken,
                                  pidfile.PidFile(self.path).acquire)
        self.assertEqual(os.getpid(), taken.pid)
        file.release()
        self.acquired()

    def test_only_its_owner_can_read_it(self):
        self.acquired()
        self.assertEqual(0o600, stat.S_IMODE(self.path.stat().st_mode))
        self.assertEqual(0o700,
                         stat.S_IMODE(self.path.parent.stat().st_mode))

    def test_the_id_of_an_ended_process_is_not_used(self):
        self.path.parent.mkdir()
        self.path.write_text('1234\n')
        self.path.chmod(0o600)
        self.assertIsNone(pidfile.PidFile(self.path).running())
        self.acquired()

    def test_the_id_of_a_process_without_the_file_is_not_used(self):
        """It was left there, and belongs to another process by now."""
        other = subprocess.Popen(['sleep', '600'])
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        file = pidfile.PidFile(self.path)
        file.acquire()
        self.addCleanup(file.release)
        self.path.write_text(f'{other.pid}\n')
        self.assertIsNone(pidfile.PidFile(self.path).running())
        taken = self.assertRaises(pidfile.Taken,
                                  pidfile.PidFile(self.path).acquire)
        self.assertIsNone(taken.pid)

    def test_acquiring_it_removes_the_old_id(self):
        self.path.parent.mkdir()
        self.path.write_text('1234\n')
        self.path.chmod(0o600)
        file = pidfile.PidFile(self.path)
        file.acquire()
        self.addCleanup(file.release)
        self.assertEqual('', self.path.read_text())

    def test_a_question_does_not_prevent_a_start(self):
        done = threading.Event()

        def ask():
            while not done.is_set():
                pidfile.PidFile(self.path).running()

        askers = [threading.Thread(target=ask) for _ in range(2)]
        for asker in askers:
            asker.start()
        try:
            for _ in range(200):
                file = pidfile.PidFile(self.path)
                file.acquire()
                file.release()
        finally:
            done.set()
            for asker in askers:
                asker.join()

    def test_a_file_that_others_can_write_is_refused(self):
        self.path.parent.mkdir()
        self.path.write_text('1234\n')
        self.path.chmod(0o666)
        for verb in (pidfile.PidFile(self.path).running,
                     pidfile.PidFile(self.path).acquire):
            self.assertRaises(pidfile.Unsafe, verb)

    def test_links_are_not_followed(self):
        self.path.parent.mkdir()
        target = self.folder / 'target'
        target.write_text('precious')
        self.path.symlink_to(target)
        self.assertRaises(pidfile.Unsafe, pidfile.PidFile(self.path).acquire)
        self.assertEqual('precious', target.read_text())

    def test_a_folder_is_no_file(self):
        self.path.mkdir(parents=True)
        self.assertRaises(pidfile.Unsafe, pidfile.PidFile(self.path).acquire)

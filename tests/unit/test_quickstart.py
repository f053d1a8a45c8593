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

"""tools/quickstart: its options, what a failure leaves, what it prints."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

from tools.cloud import cloud
from tools.cloud import daemons
from tools.cloud import demonstration
from tools.cloud import errors
from tools.cloud import layout
from tools.cloud import main
from tools.cloud import progress
from tools.cloud import secrets

WIDTH = 80


class QuickstartTest(unittest.TestCase):

    def setUp(self) -> None:
        super().setUp()
        self.folder = pathlib.Path(self.enterContext(
            tempfile.TemporaryDirectory(prefix='freezer cloud ')))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.addCleanup(signal.signal, number, signal.getsignal(number))

    def run_it(self, *argv: str) -> tuple[int, str]:
        said = io.StringIO()
        tell = progress.Progress(said)
        with mock.patch.object(progress, 'Progress', autospec=True,
                               return_value=tell), \
                contextlib.redirect_stderr(said), contextlib.redirect_stdout(
                said), mock.patch.object(sys, 'argv', [
                    'tools/quickstart', '--home', str(self.folder), *argv]):
            return main.main(), said.getvalue()


class OptionTests(QuickstartTest):

    def test_the_demonstration_takes_the_options_of_a_cloud(self) -> None:
        with mock.patch.object(demonstration, 'main', autospec=True,
                               return_value=0) as shown:
            self.run_it('--projects', '5', '--volumes', '1', '--api-port',
                        '19999', '--mib-per-gb', '2', '--token-seconds', '60')
            self.run_it()
        first, second = (call.args[2] for call in shown.call_args_list)
        self.assertEqual(
            cloud.Options(projects=5, volumes=1, api_port=19999,
                          mib_per_gb=2, token_seconds=60), first)
        self.assertEqual(cloud.Options(), second)

    def test_they_stand_before_a_command_or_behind_it(self) -> None:
        with mock.patch.object(cloud.Cloud, 'up', autospec=True,
                               side_effect=errors.QuickstartError('x')) as up:
            self.run_it('--projects', '5', 'up', '--volumes', '1')
        self.assertEqual(cloud.Options(projects=5, volumes=1),
                         up.call_args.args[1])

    def test_the_demonstration_needs_two_projects_and_a_volume(self) -> None:
        for option, value in (('--projects', '1'), ('--volumes', '0')):
            code, said = self.run_it(option, value)
            self.assertEqual(1, code)
            self.assertIn(option, said)


class FailedUpTests(QuickstartTest):

    def half_up(self, made: cloud.Cloud, *args: object) -> None:
        """Stands for an up that has made files and a process by then."""
        made.layout.make()
        made._choose(cloud.Options())
        log = made.layout.log / 'keystone.log'
        log.write_text('the reason\n')
        daemon = daemons.Daemon('keystone', made.layout.state,
                                ['sleep', '600'], dict(os.environ))
        daemon.start()
        self.addCleanup(daemon.kill)
        raise errors.QuickstartError('keystone does not answer', log)

    def test_a_failed_up_leaves_nothing(self) -> None:
        with mock.patch.object(cloud.Cloud, 'up', autospec=True,
                               side_effect=self.half_up):
            code, said = self.run_it('up', '--state', str(self.folder / 'it'))
        self.assertEqual(1, code)
        self.assertIn('the reason', said)
        self.assertEqual([], os.listdir(self.folder))
        # What is to be read is elsewhere.
        log = pathlib.Path(said.splitlines()[-1].partition('--- see ')[2])
        self.addCleanup(log.unlink)
        self.assertEqual('the reason\n', log.read_text())

    def test_a_cloud_that_was_there_stays(self) -> None:
        made = cloud.Cloud(self.folder / 'it')
        made.layout.make()
        made._choose(cloud.Options())
        with mock.patch.object(cloud.Cloud, 'up', autospec=True,
                               side_effect=self.half_up):
            code, _ = self.run_it('up', '--state', str(self.folder / 'it'))
        self.assertEqual(1, code)
        self.assertTrue(made.layout.settings.exists())

    def test_other_files_stay(self) -> None:
        self.folder.joinpath('it').mkdir()
        self.folder.joinpath('it', 'mine').touch()
        code, _ = self.run_it('up', '--state', str(self.folder / 'it'))
        self.assertEqual(1, code)
        self.assertEqual(['mine'], os.listdir(self.folder / 'it'))


class DaemonTests(QuickstartTest):

    def daemon(self) -> daemons.Daemon:
        for name in ('run', 'log', 'freezer'):
            (self.folder / name).mkdir(exist_ok=True)
        return daemons.Daemon(
            'freezer-scheduler', self.folder, ['sleep', '600'],
            dict(os.environ),
            own_pid_file=self.folder / 'freezer/scheduler.pid')

    def by_hand(self, *words: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, '-c', 'import time; time.sleep(600)', *words])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        (self.folder / 'freezer').mkdir(exist_ok=True)
        self.folder.joinpath('freezer/scheduler.pid').write_text(
            f'{process.pid}\n')
        return process

    def test_one_that_was_restarted_by_hand_is_stopped(self) -> None:
        process = self.by_hand('--config-file',
                               str(self.folder / 'etc/scheduler.conf'))
        daemon = self.daemon()
        deadline = time.monotonic() + 60
        while daemon.pid is None and time.monotonic() < deadline:
            time.sleep(0.01)  # until it has executed its program
        self.assertEqual(process.pid, daemon.pid)
        self.assertTrue(daemon.stop())
        self.assertEqual(-signal.SIGTERM, process.wait(60))

    def test_a_foreign_process_is_left_alone(self) -> None:
        process = self.by_hand('--config-file', '/elsewhere/scheduler.conf')
        daemon = self.daemon()
        self.assertIsNone(daemon.pid)
        self.assertFalse(daemon.stop())
        self.assertIsNone(process.poll())


class SecretsTests(QuickstartTest):

    def test_one_more_is_made_for_a_cloud_that_was_there(self) -> None:
        where = layout.Layout.of(self.folder / 'cloud')
        where.make()
        made = secrets.load(where)
        self.assertEqual(made, secrets.load(where))
        path = secrets.path(where)
        known = json.loads(path.read_text())
        del known['swift']
        path.write_text(json.dumps(known))
        later = secrets.load(where)
        self.assertTrue(later.swift)
        self.assertEqual(later, dataclasses.replace(made, swift=later.swift))
        self.assertEqual(later, secrets.load(where))


class ProgressTests(unittest.TestCase):

    def said(self, text: str) -> list[str]:
        stream = io.StringIO()
        progress.Progress(stream).say(text)
        return stream.getvalue().splitlines()

    def test_lines_are_short(self) -> None:
        for text in ('keystone is up', 'x ' * 200,
                     'project-1: job ' + 'a' * 32 + ' for volume ' + 'b' * 36,
                     'the cloud lives in /home/me/src/freezer/.quickstart/'
                     'demonstrations/20260101T000000-1 now'):
            lines = self.said(text)
            for line in lines:
                self.assertLessEqual(len(line), WIDTH)
            self.assertEqual(
                text.split(), ' '.join(lines).partition('] ')[2].split())

    def test_a_path_is_not_torn(self) -> None:
        path = '/a-b/' + 'c-d/' * 30
        self.assertIn(path, '\n'.join(self.said(f'logs are in {path}')))

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

"""tools/quickstart as a newcomer meets it: a real Keystone, a real Cinder.

The clouds live in paths with a blank. The environments are those of the
checkout and are made by the first test that needs them.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from typing import Any
import unittest
from unittest import mock

from tools.cloud import cloud
from tools.cloud import daemons
from tools.cloud import environments
from tools.cloud import errors
from tools.cloud import identity
from tools.cloud import ports
from tools.cloud import startup

QUICKSTART = environments.CHECKOUT / 'tools/quickstart'
PROCESSES = ['keystone', 'cinder', 'freezer-api', 'freezer-scheduler']
UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'

# A cold start installs three environments first.
PATIENCE = 600


def quickstart(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, QUICKSTART, *arguments], capture_output=True,
        text=True, timeout=PATIENCE, check=False)


def said(text: str) -> str:
    """What was said, each time in one line."""
    return text.replace('\n' + ' ' * 10, ' ')


def processes_of(state: pathlib.Path) -> list[str]:
    """Command lines of whatever runs with a cloud's directory in it."""
    found = []
    for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
        try:
            words = path.read_bytes().split(b'\0')
        except OSError:
            continue  # it has just ended
        if any(os.fsencode(state) in word for word in words):
            found.append(b' '.join(words).decode())
    return found


class KeptCloudTest(unittest.TestCase):
    """``up``, ``status`` and ``down``. Each test leaves the cloud up."""

    made: cloud.Cloud
    state: pathlib.Path
    ports: list[int]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        folder = pathlib.Path(tempfile.mkdtemp(prefix='freezer cloud '))
        cls.addClassCleanup(shutil.rmtree, folder)
        cls.made = cloud.Cloud(folder / 'state')
        cls.state = cls.made.layout.state
        cls.ports = ports.find_free(3)
        done = quickstart(
            'up', '--state', str(cls.state), '--projects', '2',
            *cls.port_options(cls.ports))
        cls.addClassCleanup(quickstart, 'down', '--state', str(cls.state))
        if done.returncode:
            raise AssertionError(done.stderr)

    @staticmethod
    def port_options(numbers: list[int]) -> list[str]:
        options = ('--keystone-port', '--cinder-port', '--api-port')
        return [word for option, number in zip(options, numbers, strict=True)
                for word in (option, str(number))]

    def up(self, *arguments: str) -> str:
        done = quickstart('up', '--state', str(self.state), *arguments)
        self.assertEqual(0, done.returncode, done.stderr)
        return said(done.stderr)

    def status(self, expected: int) -> list[str]:
        done = quickstart('status', '--state', str(self.state))
        self.assertEqual(expected, done.returncode, done.stderr)
        return done.stdout.splitlines()

    def command(self, name: str, *arguments: str,
                as_cloud: str = 'project-1') -> str:
        """Output of a command in bin/, run in a shell with an openrc."""
        env = {key: value for key, value in os.environ.items()
               if not key.startswith('OS_')}
        done = subprocess.run(
            ['/bin/sh', '-c', '. "$1/openrc-$2"; cd "$1/bin"; shift 2; '
             'name=$1; shift; exec "./$name" "$@"', 'sh',
             str(self.state), as_cloud, name, *arguments],
            capture_output=True, text=True, timeout=120, check=False,
            env=env)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def test_status_has_a_line_for_each_process(self) -> None:
        lines = self.status(0)
        self.assertEqual(PROCESSES, [line.split()[0] for line in lines])
        for line in lines:
            name, state, _, pid = line.split()[:4]
            self.assertEqual('up', state)
            pid_file = self.state / 'run' / f'{name}.pid'
            self.assertEqual(pid, pid_file.read_text().strip())

    def test_users_find_their_cloud(self) -> None:
        volumes = json.loads(self.command(
            'openstack', 'volume', 'list', '-f', 'json'))
        self.assertEqual({'volume-1', 'volume-2'},
                         {volume['Name'] for volume in volumes})
        self.assertEqual({'available'},
                         {volume['Status'] for volume in volumes})
        clients = json.loads(self.command(
            'freezer', 'client-list', '-f', 'json', as_cloud='project-2'))
        self.assertEqual(['central'],
                         [client['Client ID'] for client in clients])

    def test_clouds_yaml_serves_each_account(self) -> None:
        env = {key: value for key, value in os.environ.items()
               if not key.startswith('OS_')}
        for name, project in (('admin', 'admin'), ('service', 'service'),
                              ('project-1', 'project-1'),
                              ('project-2', 'project-2')):
            done = subprocess.run(
                [self.made.environments.cli.script('openstack'),
                 '--os-cloud', name, 'token', 'issue', '-f', 'value',
                 '-c', 'project_id'],
                capture_output=True, text=True, check=False, timeout=120,
                env=env | {'OS_CLIENT_CONFIG_FILE': str(
                    self.made.layout.clouds_yaml)})
            self.assertEqual(0, done.returncode, done.stderr)
            self.assertEqual(self.made.session(name).project_id,
                             done.stdout.strip(), project)

    def test_service_account_has_the_service_role_alone(self) -> None:
        admin = self.made.session('admin')
        keystone = self.made.settings.auth_url
        user = admin.call('GET', f'{keystone}/users?name=freezer')
        found = admin.call(
            'GET', f'{keystone}/role_assignments?include_names&user.id='
                   + user['users'][0]['id'])['role_assignments']
        self.assertEqual(
            [('service', 'service')],
            [(row['role']['name'], row['scope']['project']['name'])
             for row in found])

    def test_operators_find_their_commands(self) -> None:
        self.assertIn('Success', self.command('freezer-status', 'upgrade',
                                              'check', as_cloud='admin'))
        self.command('freezer-manage', 'db', 'sync')
        self.assertIn(
            (self.state / 'run/freezer-scheduler.pid').read_text().strip(),
            self.command('freezer-scheduler', 'status'))

    def test_secrets_are_seen_by_their_owner_alone(self) -> None:
        settings = json.loads(
            self.made.layout.etc.joinpath('secrets.json').read_text())
        self.assertEqual(5, len(settings))
        for path in (self.state, *self.state.rglob('*')):
            others = stat.S_IMODE(path.lstat().st_mode) & 0o077
            self.assertEqual(0, others, path)
        commands = '\n'.join(processes_of(self.state))
        for name, secret in settings.items():
            self.assertNotIn(secret, commands, name)
        for path in self.state.joinpath('log').iterdir():
            text = path.read_text(errors='replace')
            for name, secret in settings.items():
                self.assertNotIn(secret, text, f'{name} in {path}')

    def test_killed_process_comes_back_to_its_data(self) -> None:
        volume_id = self.made.volumes('project-1')[0]['id']
        document = self.state.with_name('job.json')
        document.write_text(json.dumps({
            'description': 'kept', 'job_actions': [{'freezer_action': {
                'action': 'backup', 'mode': 'cindernative',
                'cindernative_vol_id': volume_id,
                'backup_name': 'kept'}}],
            'job_schedule': {'schedule_interval': '1 days'}}))
        job_id = json.loads(self.command(
            'freezer', 'job-create', '-C', 'central', '--file',
            str(document), '-f', 'json'))['Job ID']
        self.addCleanup(self.made.freezer, 'project-1', 'job-delete', job_id)
        self.made.kill('freezer-api')
        before = {name: process.pid
                  for name, process in self.made.processes.items()}
        lines = self.status(1)
        self.assertEqual(['freezer-api DOWN'], [
            ' '.join(line.split()) for line in lines if 'DOWN' in line])
        self.up()
        self.status(0)
        after = {name: process.pid
                 for name, process in self.made.processes.items()}
        self.assertIsNotNone(after.pop('freezer-api'))
        del before['freezer-api']
        self.assertEqual(before, after)
        self.assertIn(job_id, self.command('freezer', 'job-list'))

    def test_down_keeps_the_data_for_the_next_up(self) -> None:
        volumes = self.made.volumes('project-2')
        done = quickstart('down', '--state', str(self.state))
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual([], processes_of(self.state))
        self.assertEqual(4, sum('DOWN' in line for line in self.status(1)))
        self.up()
        self.status(0)
        self.assertEqual(volumes, self.made.volumes('project-2'))

    def test_more_projects_and_volumes_are_added(self) -> None:
        ids = {volume['id'] for volume in self.made.volumes('project-1')}
        try:
            self.up('--projects', '3', '--volumes', '3')
            self.assertEqual(3, len(self.made.volumes('project-3')))
            self.assertIn('project-3:',
                          self.made.layout.clouds_yaml.read_text())
            grown = {volume['id']
                     for volume in self.made.volumes('project-1')}
            self.assertEqual(3, len(grown))
            self.assertLess(ids, grown)
        finally:
            self.made.up(cloud.Options(volumes=2))
            for number in (1, 2, 3):
                self._delete_third_volume(f'project-{number}')

    def _delete_third_volume(self, name: str) -> None:
        session = self.made.session(name)
        base = f'{self.made.settings.cinder_url}/v3/{session.project_id}'
        for volume in self.made.volumes(name):
            if volume['name'] == 'volume-3':
                session.call('DELETE', f'{base}/volumes/{volume["id"]}')

    def test_edited_configuration_is_left_alone(self) -> None:
        path = self.made.layout.etc / 'scheduler.conf'
        before = path.read_text()
        self.addCleanup(path.write_text, before)
        path.write_text(before + '# mine\n')
        self.assertIn(f'{path} was edited and is kept', self.up())
        self.assertEqual(before + '# mine\n', path.read_text())

    def test_taken_port_is_refused_by_its_option(self) -> None:
        other = self.state.with_name('other')
        free = ports.find_free(3)
        for index, option in enumerate(
                ('--keystone-port', '--cinder-port', '--api-port')):
            numbers = list(free)
            numbers[index] = self.ports[index]
            done = quickstart('up', '--state', str(other),
                              *self.port_options(numbers))
            self.assertEqual(1, done.returncode)
            self.assertIn(f'port {self.ports[index]} is in use',
                          said(done.stderr))
            self.assertIn(option, done.stderr)
            self.assertEqual([], processes_of(other))

    def test_foreign_process_is_not_taken_for_ours(self) -> None:
        made = cloud.Cloud(self.state.with_name('foreign'))
        made.layout.make()
        self.made.settings.save(made.layout)
        with subprocess.Popen(['sleep', '600']) as child:
            try:
                for process in made.processes.values():
                    process.pid_file.write_text(f'{child.pid}\n')
                    self.assertIsNone(process.pid)
                made.down()
                self.assertIsNone(child.poll())
            finally:
                child.kill()

    def test_directory_of_other_things_is_refused(self) -> None:
        folder = self.state.with_name('full')
        folder.mkdir()
        folder.joinpath('etc').mkdir()
        for arguments in (['up'], ['down', '--purge'], ['status']):
            done = quickstart(*arguments, '--state', str(folder))
            self.assertEqual(1, done.returncode, done.stderr)
            self.assertIn(str(folder), said(done.stderr))
        self.assertEqual(['etc'], os.listdir(folder))


class RestartedTest(unittest.TestCase):

    def test_down_stops_a_scheduler_that_was_restarted_by_hand(self) -> None:
        folder = pathlib.Path(tempfile.mkdtemp(prefix='freezer cloud '))
        self.addCleanup(shutil.rmtree, folder)
        made = cloud.Cloud(folder / 'state')
        self.addCleanup(made.down)
        made.up(cloud.Options.on_free_ports(projects=1, volumes=0))
        before = made.processes['freezer-scheduler'].pid
        done = subprocess.run(
            [made.layout.bin / 'freezer-scheduler', 'restart'],
            capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(0, done.returncode, done.stderr)
        after = made.processes['freezer-scheduler'].pid
        self.assertIsNotNone(after)
        self.assertNotEqual(before, after)
        made.down()
        self.assertIsNone(made.processes['freezer-scheduler'].pid)
        self.assertEqual([], processes_of(made.layout.state))


class DemonstrationTest(unittest.TestCase):
    """``tools/quickstart`` without a command."""

    def assert_nothing_runs(self, state: pathlib.Path) -> None:
        self.assertEqual([], processes_of(state))

    def test_backs_up_three_projects_and_tidies_up(self) -> None:
        done = quickstart()
        self.assertEqual(0, done.returncode, done.stderr)
        rows = re.findall(
            rf'^(project-\d)  ([0-9a-f]{{32}})  ({UUID})  ({UUID})  '
            r'(\w+) +(\d+\.\d)$', done.stdout, re.MULTILINE)
        self.assertEqual(['project-1', 'project-2', 'project-3'],
                         [row[0] for row in rows], done.stdout)
        self.assertEqual({'available'}, {row[4] for row in rows})
        for column in (1, 2, 3):
            self.assertEqual(3, len({row[column] for row in rows}))
        self.assertIn(f'job-show {rows[1][1]}: not found', done.stdout)
        self.assertIn(f'Cinder backup {rows[1][3]}: 404', done.stdout)
        told = re.search(r'logs are in (.*)/log$', said(done.stderr),
                         re.MULTILINE)
        # One word, such as a path, may be longer.
        for line in done.stderr.splitlines():
            self.assertTrue(len(line) <= 80 or ' ' not in line.strip(), line)
        assert told is not None, done.stderr
        state = pathlib.Path(told.group(1))
        self.assert_nothing_runs(state)
        self.assertEqual(['log'], os.listdir(state))
        self.assertTrue((state / 'log/freezer-scheduler.log').exists())

    def test_signal_stops_everything(self) -> None:
        with subprocess.Popen(
                [sys.executable, QUICKSTART], stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, text=True) as child:
            assert child.stderr is not None
            lines = []
            for line in child.stderr:
                lines.append(line)
                if 'keystone is up' in line:
                    child.send_signal(signal.SIGTERM)
            status = child.wait(PATIENCE)
        text = said(''.join(lines))
        self.assertEqual(128 + signal.SIGTERM, status, text)
        self.assertIn('ended by SIGTERM', text)
        told = re.search(r'logs and data remain in (.*)$', text, re.MULTILINE)
        assert told is not None, text
        self.assert_nothing_runs(pathlib.Path(told.group(1)))


class DaemonTest(unittest.TestCase):

    def test_a_signal_leaves_no_process_unknown(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        state = pathlib.Path(holder.name)
        for name in ('run', 'log'):
            (state / name).mkdir()
        daemon = daemons.Daemon('sleeper', state, ['sleep', '60'],
                                dict(os.environ))
        self.addCleanup(daemon.kill)
        real = subprocess.Popen

        def disturbed(*args: Any, **kwargs: Any) -> Any:
            child = real(*args, **kwargs)
            signal.raise_signal(signal.SIGTERM)
            return child

        def interrupt(signum: int, frame: object) -> None:
            raise InterruptedError(signum)

        before = signal.signal(signal.SIGTERM, interrupt)
        self.addCleanup(signal.signal, signal.SIGTERM, before)
        with mock.patch.object(subprocess, 'Popen', disturbed):
            self.assertRaises(InterruptedError, daemon.start)
        self.assertTrue(daemon.running)


class FailureTest(unittest.TestCase):
    """What is said when something does not work."""

    def setUp(self) -> None:
        super().setUp()
        folder = pathlib.Path(tempfile.mkdtemp(prefix='freezer cloud '))
        self.addCleanup(shutil.rmtree, folder)
        self.made = cloud.Cloud(folder / 'state')
        self.addCleanup(self.made.down)

    def test_scheduler_that_cannot_start_names_its_log(self) -> None:
        self.made.up(cloud.Options.on_free_ports(projects=1, volumes=0))
        self.made.down()
        path = self.made.layout.etc / 'scheduler.conf'
        path.write_text(path.read_text()
                        + '[capabilities]\nsupported_modes = tape\n')
        began = time.monotonic()
        with self.assertRaises(errors.QuickstartError) as raised:
            self.made.up()
        self.assertLess(time.monotonic() - began, startup.PATIENCE)
        log = raised.exception.log
        assert log is not None
        self.assertIn('tape', errors.last_lines(log))
        self.assertEqual([], processes_of(self.made.layout.state))

    def test_the_api_starts_when_keystone_knows_its_account(self) -> None:
        """Refused by Keystone, it would end."""
        services = identity.Identity.services
        early = []

        def late(made: identity.Identity) -> None:
            time.sleep(2)
            early.append(self.made.processes['freezer-api'].running)
            services(made)

        with mock.patch.object(identity.Identity, 'services', late):
            self.made.up(cloud.Options.on_free_ports(projects=0, volumes=0),
                         ('keystone', 'freezer-api'))
        self.assertEqual([False], early)
        self.assertTrue(self.made.processes['freezer-api'].running)

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

"""What deployment tools are known to write starts the programs.

See tests.unit.deployed_files for what they write.
"""

from __future__ import annotations

from collections.abc import Callable
import configparser
import contextlib
import importlib.metadata
import io
import logging
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
import unittest
from unittest import mock
import urllib.error
import urllib.request

from cryptography import fernet
from oslo_policy import generator

from freezer_api.cmd import api
from freezer_api.cmd import manage
from freezer_api.cmd import status
from freezer_scheduler.cmd import scheduler
from freezer_scheduler.process import service
from freezer_scheduler.process import signals
from tests import fake_keystone
from tests.unit import deployed_files

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECRET = 'S3CRETword'


class _Journal(logging.Handler):
    """Stands for the journal of systemd, which a host of tests lacks."""

    def __init__(self, facility: int | None = None) -> None:
        super().__init__()

    def emit(self, record: logging.LogRecord) -> None:
        pass


class DeploymentTest(unittest.TestCase):

    def setUp(self) -> None:
        super().setUp()
        self.folder = pathlib.Path(
            self.enterContext(tempfile.TemporaryDirectory()))
        self.keystone = fake_keystone.FakeKeystone()
        self.addCleanup(self.keystone.close)
        self.port = self.free_port()
        self.enterContext(mock.patch.dict(os.environ))
        for name in [one for one in os.environ if one.startswith('OS_')]:
            del os.environ[name]
        root = logging.getLogger()
        before, level = list(root.handlers), root.level
        self.addCleanup(root.setLevel, level)
        self.addCleanup(root.handlers.extend, before)
        self.addCleanup(root.handlers.clear)

    def free_port(self) -> int:
        with socket.create_server(('127.0.0.1', 0)) as free:
            return int(free.getsockname()[1])

    def written(self, text: str, name: str = 'it.conf') -> str:
        """Write what a tool writes; return the path."""
        for word, value in (
                ('database', f'sqlite:///{self.folder}/freezer.db'),
                ('secret', SECRET), ('folder', str(self.folder)),
                ('keystone', self.keystone.url), ('port', str(self.port))):
            text = text.replace(f'<{word}>', value)
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def started(self, program: Callable[[list[str]], int], words: str,
                path: str) -> tuple[int, str]:
        """Run a program; return its status and all that it said."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(
                said):
            code = program([word.replace('<file>', path)
                            for word in words.split()])
        text = said.getvalue() + ''.join(
            log.read_text() for log in self.folder.glob('*.log'))
        self.assertNotIn(SECRET, text)
        self.assertNotIn('Traceback', text)
        return code, ' '.join(text.split())


class InProcessTests(DeploymentTest):

    def setUp(self) -> None:
        super().setUp()
        # What the tools install beside the service.
        journal = types.ModuleType('systemd.journal')
        self.enterContext(mock.patch.dict('sys.modules', {
            'systemd': types.ModuleType('systemd'),
            'systemd.journal': journal}))
        self.enterContext(mock.patch(
            'oslo_log.handlers.OSJournalHandler', _Journal))
        self.server = self.enterContext(mock.patch(
            'cotyledon.ServiceManager', autospec=True)).return_value
        # They would block the signals of the tests.
        self.enterContext(mock.patch.object(signals, 'ProcessSignals',
                                            autospec=True))
        self.enterContext(mock.patch.object(
            service.Service, 'run', autospec=True, return_value=0))

    def served(self, text: str, sync: str) -> str:
        """Upgrade the database and start the API; return what it says."""
        path = self.written(text)
        code, said = self.started(manage.main, sync, path)
        self.assertEqual(0, code, said)
        code, said = self.started(
            api.main, f'--config-file <file> --port {self.port}', path)
        self.assertEqual(0, code, said)
        self.server.run.assert_called_once_with()
        return said

    def test_openstack_ansible(self) -> None:
        self.written(deployed_files.ANSIBLE_POLICY, 'policy.yaml')
        for text in (deployed_files.ANSIBLE_API,
                     deployed_files.ANSIBLE_API_ALONE):
            self.server.run.reset_mock()
            self.port = self.free_port()
            self.served(text, '--config-file <file> db sync')

    def test_the_scheduler_of_openstack_ansible(self) -> None:
        code, said = self.started(
            scheduler.main, deployed_files.ANSIBLE_START,
            self.written(deployed_files.ANSIBLE_SCHEDULER))
        self.assertEqual(0, code, said)

    def test_what_openstack_ansible_sets_in_vain_is_named(self) -> None:
        self.written(deployed_files.ANSIBLE_POLICY, 'policy.yaml')
        said = self.served(
            deployed_files.ANSIBLE_API.replace('use_journal', 'use_stderr'),
            '--config-file <file> db sync')
        for words in ('[paste_deploy] has no effect',
                      '[storage] has no effect',
                      '[centralized_scheduler] service_user has no effect',
                      '[user_credentials] keys is not set'):
            self.assertIn(words, said)

    def test_kolla_ansible(self) -> None:
        self.served(deployed_files.KOLLA_API, deployed_files.KOLLA_SYNC)

    def test_puppet(self) -> None:
        self.served(deployed_files.KOLLA_API, deployed_files.PUPPET_SYNC)

    def test_the_scheduler_of_kolla_ansible(self) -> None:
        code, said = self.started(
            scheduler.main, deployed_files.ANSIBLE_START,
            self.written(deployed_files.KOLLA_SCHEDULER))
        self.assertEqual(0, code, said)

    def test_the_status_command_has_both_names(self) -> None:
        names = {point.name: point.value
                 for point in importlib.metadata.entry_points(
                     group='console_scripts')}
        self.assertEqual(names['freezer-status'],
                         names['freezer-manager-status'])
        path = self.written(deployed_files.KOLLA_API)
        self.started(manage.main, deployed_files.KOLLA_SYNC, path)
        code, said = self.started(
            status.main, '--config-file <file> upgrade check', path)
        self.assertIn('Check: Database schema', said.replace('|', ''))
        self.assertEqual(2, code)  # It has no keys.


class ProcessTests(DeploymentTest):

    def test_openstack_helm(self) -> None:
        """The commands of its containers, and its probes, for real."""
        self.written(deployed_files.HELM_POLICY, 'policy.yaml')
        self.written(deployed_files.HELM_LOGGING, 'logging.conf')
        path = self.written(deployed_files.HELM_API, 'freezer.conf')
        done = self.run_program('manage', deployed_files.HELM_SYNC, path)
        self.assertEqual(0, done.wait(300))
        server = self.run_program('api', deployed_files.HELM_START, path)
        self.assertEqual(200, self.probe(server, '/healthcheck'))
        self.assertEqual(401, self.probe(server, '/v2/p/jobs'))
        server.send_signal(signal.SIGTERM)
        self.assertEqual(0, server.wait(120))

    def run_program(self, name: str, words: str,
                    path: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, '-c',
             f'import sys; from freezer_api.cmd import {name}; '
             f'sys.exit({name}.main())',
             *words.replace('<file>', path).split()], cwd=ROOT,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait, 60)
        self.addCleanup(process.kill)
        return process

    def probe(self, server: subprocess.Popen[bytes], path: str) -> int:
        deadline = time.monotonic() + 180
        while server.poll() is None and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(
                        f'http://127.0.0.1:{self.port}{path}',
                        timeout=60) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                return error.code
            except OSError:
                time.sleep(0.1)
        raise AssertionError(f'no answer; exit status {server.poll()}')


class FileTests(unittest.TestCase):
    """etc/freezer is installed, and is what the documentation shows."""

    def test_the_samples_are_those_of_the_readme(self) -> None:
        readme = ROOT.joinpath('README.rst').read_text()
        for name in ('freezer-api.conf', 'scheduler.conf'):
            shown = readme.partition(f'``/etc/freezer/{name}``::\n\n')[2]
            lines = []
            for line in shown.splitlines():
                if line and not line.startswith('    '):
                    break
                lines.append(line[4:])
            self.assertEqual(
                '\n'.join(lines).strip(), ROOT.joinpath(
                    f'etc/freezer/{name}.sample').read_text().strip())

    def test_the_paste_file_does_no_harm(self) -> None:
        parser = configparser.ConfigParser()
        parser.read(ROOT / 'etc/freezer/freezer-paste.ini')
        self.assertEqual([], parser.sections())

    def test_the_sample_policy_is_up_to_date(self) -> None:
        """tox -e genpolicy writes it."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            generator.generate_sample(['--namespace', 'freezer-api'])
        self.assertEqual(
            said.getvalue(),
            ROOT.joinpath('etc/freezer/policy.yaml.sample').read_text())

    def test_they_are_installed(self) -> None:
        """Each by its name: a pattern would fail the build."""
        config = configparser.ConfigParser()
        config.read(ROOT / 'setup.cfg')
        listed = config['files']['data_files'].split()
        self.assertEqual(
            sorted(str(path.relative_to(ROOT))
                   for path in ROOT.glob('etc/freezer/*')),
            [name for name in listed if name.startswith('etc/freezer/')])
        self.assertIn('etc/freezer', listed)

    def test_generated_samples_have_our_defaults_of_libraries(self) -> None:
        # In a process of its own: they hold for the whole process.
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c',
             'import sys; from oslo_config import generator; '
             'generator.main(sys.argv[1:])', '--namespace', 'freezer-api',
             '--namespace', 'oslo.middleware.healthcheck'],
            capture_output=True, text=True, check=True)
        self.assertIn('#backends = disable_by_file,freezer_schema\n',
                      done.stdout)
        self.assertIn(
            '#disable_by_file_path = /etc/freezer/healthcheck_disable\n',
            done.stdout)

    def test_a_key_of_the_sample_is_no_key(self) -> None:
        """A copy of the sample starts with no key that is known."""
        with self.assertRaises(ValueError):
            fernet.Fernet('FERNET_KEY')

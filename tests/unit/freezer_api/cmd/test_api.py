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

"""The command freezer-api: how it starts, and what it is deployed with."""

from __future__ import annotations

import contextlib
import io
import pathlib
import re
import socket
import tempfile
import unittest
from unittest import mock

from freezer_api import app
from freezer_api.cmd import api
from freezer_api.keystone import preflight

ROOT = pathlib.Path(__file__).resolve().parents[4]


class StartTests(unittest.TestCase):

    def setUp(self) -> None:
        super().setUp()
        self.path = pathlib.Path(self.enterContext(
            tempfile.TemporaryDirectory()), 'freezer-api.conf')
        self.enterContext(mock.patch('oslo_log.log.setup', autospec=True))
        self.manager = self.enterContext(mock.patch(
            'cotyledon.ServiceManager', autospec=True)).return_value

    def start(self, *args: str, text: str = '') -> tuple[int, str]:
        self.path.write_text(text)
        with contextlib.redirect_stderr(io.StringIO()) as said:
            status = api.main(['--config-file', str(self.path), *args])
        return status, said.getvalue()

    def served(self, *args: str, text: str = '') -> tuple[str, int, int]:
        """Return address, port and number of workers."""
        with mock.patch.object(app, 'check', autospec=True):
            self.assertEqual((0, ''), self.start(*args, text=text))
        _, workers = self.manager.add.call_args.args
        listening = self.manager.add.call_args.kwargs['args'][1]
        self.addCleanup(listening.close)
        self.manager.run.assert_called_with()
        return *listening.getsockname()[:2], workers

    def free_port(self) -> int:
        with socket.create_server(('127.0.0.1', 0)) as made:
            return int(made.getsockname()[1])

    def test_the_command_line_overrides_the_configuration(self) -> None:
        port, other = self.free_port(), self.free_port()
        text = f'[server]\nbind_host = 127.0.0.3\nbind_port = {other}\n'
        self.assertEqual(('127.0.0.3', other, 4), self.served(text=text))
        self.assertEqual(('127.0.0.2', port, 2), self.served(
            '--host', '127.0.0.2', '--port', str(port), '--workers', '2',
            text=text))

    def test_options_of_an_earlier_release_are_read(self) -> None:
        port = self.free_port()
        self.assertEqual(('127.0.0.3', port, 4), self.served(
            text=f'[DEFAULT]\nbind_host = 127.0.0.3\nbind_port = {port}\n'))

    def test_it_listens_at_the_loopback_address_by_default(self) -> None:
        self.assertEqual('127.0.0.1', api.load([]).server.bind_host)

    def test_a_port_that_is_taken_is_refused_by_name(self) -> None:
        with socket.create_server(('127.0.0.1', 0)) as taken, \
                mock.patch.object(app, 'check', autospec=True):
            status, said = self.start(
                '--port', str(taken.getsockname()[1]))
        self.assertEqual(1, status)
        self.assertIn('[server] bind_host, bind_port: cannot listen', said)

    def test_an_address_that_is_not_ours_is_refused_by_name(self) -> None:
        for host in ('192.0.2.1', 'no.such.host.invalid'):
            with mock.patch.object(app, 'check', autospec=True):
                status, said = self.start('--host', host)
            self.assertEqual(1, status)
            self.assertIn('[server] bind_host', said)

    def test_options_that_cannot_work_are_refused_by_name(self) -> None:
        for text, words in (
                ('', '[database] connection'),
                ('[server]\nthreads = 0\n', '[server] threads'),
                ('[server]\nbind_port = many\n', '[server] bind_port'),
                ('[server]\nrequest_timeout = 0\n', 'request_timeout')):
            status, said = self.start(text=text)
            self.assertEqual(1, status, text)
            self.assertIn(words, said)
        self.manager.run.assert_not_called()

    def test_a_worker_that_cannot_start_ends(self) -> None:
        self.path.write_text('')
        with socket.create_server(('127.0.0.1', 0)) as listening, \
                mock.patch.object(app, 'start', autospec=True,
                                  side_effect=preflight.Refused(['no'])), \
                self.assertRaises(SystemExit) as ended:
            api.Worker(0, ['--config-file', str(self.path)], listening)
        self.assertEqual(1, ended.exception.code)


class DeploymentTests(unittest.TestCase):
    """What README.rst, the unit and the proxy say is the same."""

    def test_the_proxy_asks_where_the_unit_listens(self) -> None:
        unit = ROOT.joinpath('etc/systemd/freezer-api.service').read_text()
        [(host, port)] = re.findall(
            r'ExecStart=\S+/freezer-api --host (\S+) --port (\d+)\n', unit)
        proxy = ROOT.joinpath('etc/nginx/freezer-api.conf').read_text()
        readme = ROOT.joinpath('README.rst').read_text()

        self.assertEqual('127.0.0.1', host)
        self.assertIn(f'server {host}:{port};', proxy)
        self.assertIn(f'listens at {host},\nport {port}::', readme)
        self.assertIn('listen 9090;', proxy)
        self.assertIn(':9090\n', readme)

    def test_the_proxy_takes_bodies_that_the_api_takes(self) -> None:
        most = api.load([]).oslo_middleware.max_request_body_size
        proxy = ROOT.joinpath('etc/nginx/freezer-api.conf').read_text()
        self.assertIn(f'client_max_body_size {most // 1024}k;', proxy)

    def test_the_command_line_is_one_that_exists(self) -> None:
        readme = ROOT.joinpath('README.rst').read_text()
        for words in re.findall(r'bin/freezer-api (--.*)', readme):
            self.assertEqual(
                9090 if '9090' in words else None,
                api.load(words.split()).port, words)

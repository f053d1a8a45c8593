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

"""The API as README.rst deploys it, while clients keep it waiting.

``freezer-api`` runs as a process with several workers, by itself and behind
nginx with the configuration that is installed. Other clients have to get
their answers at once.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any
import unittest
from urllib import request

from cryptography import fernet

from freezer_api.db.admin import upgrade
from tests import fake_keystone
from tests import slow_clients
from tools.cloud import ports

ROOT = pathlib.Path(__file__).resolve().parents[2]
NGINX = shutil.which('nginx', path=os.environ['PATH'] + ':/usr/sbin')
# Seconds for what has no time limit of its own.
PATIENCE = 300
# Seconds for which a client may hold what it gets hold of.
REQUEST_TIMEOUT = 60
# Seconds in which another client has to have its answer: many times what a
# busy machine takes, and a part of what it would wait for one that holds up.
AT_ONCE = 20

CONFIGURATION = """\
[database]
connection = sqlite:///{folder}/freezer.db?timeout=60
[keystone_authtoken]
www_authenticate_uri = {keystone}
auth_url = {keystone}
auth_type = password
username = freezer
password = PASSWORD
user_domain_name = Default
project_name = service
project_domain_name = Default
[user_credentials]
keys = {key}
[oslo_middleware]
enable_proxy_headers_parsing = true
[server]
workers = 2
max_connections = 200
request_timeout = {request_timeout}
"""


def is_open(path: pathlib.Path) -> bool:
    """Return whether a process has a file open."""
    for link in pathlib.Path('/proc').glob('[0-9]*/fd/*'):
        with contextlib.suppress(OSError):
            if link.samefile(path):
                return True
    return False


class ServiceCase(unittest.TestCase):
    """A running freezer-api for the tests of a class."""

    folder: pathlib.Path
    keystone: fake_keystone.FakeKeystone
    process: subprocess.Popen[bytes]
    address: tuple[str, int]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.folder = pathlib.Path(cls.enterClassContext(
            tempfile.TemporaryDirectory()))
        cls.keystone = fake_keystone.FakeKeystone()
        cls.addClassCleanup(cls.keystone.close)
        cls.folder.joinpath('freezer-api.conf').write_text(
            CONFIGURATION.format(
                folder=cls.folder, keystone=cls.keystone.url,
                key=fernet.Fernet.generate_key().decode(),
                request_timeout=REQUEST_TIMEOUT))
        upgrade.sync(f'sqlite:///{cls.folder}/freezer.db')
        [port] = ports.find_free(1)
        cls.address = '127.0.0.1', port
        cls.process = cls.run_program([
            str(pathlib.Path(sys.executable).with_name('freezer-api')),
            '--config-file', str(cls.folder / 'freezer-api.conf'),
            '--host', '127.0.0.1', '--port', str(port)], 'api.out')
        cls.wait_for(lambda: cls.get('/healthcheck', cls.address)[0] == 200)

    @classmethod
    def run_program(cls, argv: list[str], output: str,
                    ) -> subprocess.Popen[bytes]:
        """Run a program until the class ends."""
        with cls.folder.joinpath(output).open('wb') as file:
            made = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                start_new_session=True)
        cls.addClassCleanup(cls.end, made)
        return made

    @staticmethod
    def end(process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    @classmethod
    def wait_for(cls, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError):
                if holds():
                    return
            if time.monotonic() > deadline:
                raise AssertionError('\n'.join(
                    path.read_text()[-2000:]
                    for path in cls.folder.glob('*.out')))
            time.sleep(0.1)

    @classmethod
    def get(cls, path: str, address: tuple[str, int],
            token: str | None = None, body: bytes | None = None,
            timeout: float = PATIENCE) -> tuple[int, bytes]:
        asked = request.Request(
            f'http://{address[0]}:{address[1]}{path}', data=body,
            headers={'Content-Type': 'application/json',
                     **({'X-Auth-Token': token} if token else {})})
        try:
            with request.urlopen(asked, timeout=timeout) as answer:
                return answer.status, answer.read()
        except request.HTTPError as error:
            with error:
                return error.code, error.read()

    def assert_answers(self, address: tuple[str, int], what: str) -> None:
        """Fail unless others have their answers at once, ten times each."""
        slow = []
        for number in range(10):
            for path, token in (('/healthcheck', None), (
                    '/v2/p1/jobs', fake_keystone.MEMBER_TOKEN)):
                began = time.monotonic()
                try:
                    status, _ = self.get(path, address, token)
                except OSError as error:
                    self.fail(f'{what}: {path}: {error!r}')
                took = time.monotonic() - began
                self.assertEqual(200, status, (what, path))
                if took > AT_ONCE:
                    slow.append(f'{path} {number}: {took:.1f} s')
        self.assertEqual([], slow, what)

    def assert_withstands(self, address: tuple[str, int],
                          attacks: tuple[slow_clients.Attack, ...],
                          number: int) -> None:
        what = f'{number} clients: {[attack.name for attack in attacks]}'
        with slow_clients.Clients(address, attacks, number) as clients:
            self.assertTrue(clients.attacking.wait(PATIENCE), what)
            self.assert_answers(address, what)


class ExposureTests(ServiceCase):

    def test_each_attack_by_itself(self) -> None:
        for attack in slow_clients.ATTACKS:
            with self.subTest(attack.name):
                self.assert_withstands(self.address, (attack,), 40)

    def test_four_hundred_of_each(self) -> None:
        for attack in slow_clients.ATTACKS:
            with self.subTest(attack.name):
                self.assert_withstands(self.address, (attack,), 400)

    def test_all_attacks_at_once(self) -> None:
        self.assert_withstands(self.address, slow_clients.ATTACKS, 600)

    def test_who_reads_large_answers_slowly_holds_no_thread(self) -> None:
        """Eight MiB each, by clients with a good token."""
        token = fake_keystone.MEMBER_TOKEN
        for number in range(540):
            status, _ = self.get('/v2/p1/actions', self.address, token,
                                 json.dumps({'freezer_action': {
                                     'action': 'backup',
                                     'mode': 'cindernative',
                                     'cindernative_vol_id': f'{number:032}',
                                     'note': 'x' * 15_000,
                                 }}).encode())
            self.assertEqual(201, status)
        path = '/v2/p1/actions?limit=1000'
        _, body = self.get(path, self.address, token)
        self.assertGreater(len(body), 7 << 20)
        self.assert_withstands(self.address, (slow_clients.Attack(
            'large answers', f'GET {path} HTTP/1.1\r\nHost: x\r\n'
            f'X-Auth-Token: {token}\r\n\r\n'.encode(), reads=1),), 40)

    def test_without_a_token_no_body_is_read_and_no_row(self) -> None:
        """An unknown token costs a question to Keystone, and no more."""
        database = self.folder / 'freezer.db'
        # Requests of the tests before may still be at work.
        end = time.monotonic() + PATIENCE
        while is_open(database):
            self.assertLess(time.monotonic(), end, 'it stays open')
            time.sleep(0.05)
        kept = database.rename(self.folder / 'kept.db')
        self.addCleanup(kept.rename, database)
        for token in (None, 'bogus'):
            for body in (b'{', b'[' * 100_000, b'{"a":1}'):
                del self.keystone.asked[:]
                status, _ = self.get('/v2/p1/jobs', self.address, token, body)
                self.assertEqual(401, status)
                self.assertLessEqual(len(self.keystone.asked), 1)
        self.assertFalse(database.exists())

    def test_a_body_that_is_too_large_is_refused_unread(self) -> None:
        with socket.create_connection(self.address, PATIENCE) as made:
            made.sendall(b'POST /v2/p1/jobs HTTP/1.1\r\nHost: x\r\n'
                         b'Content-Length: 114689\r\n\r\n')
            answer = b''.join(iter(lambda: made.recv(4096), b''))
        self.assertTrue(answer.startswith(b'HTTP/1.1 413 '), answer)
        self.assertIn(b'"code": "too_large"', answer)

    def test_no_process_needs_more_memory_for_it(self) -> None:
        def memory() -> int:
            """Return the MiB of all processes of the service."""
            total = 0
            for path in pathlib.Path('/proc').glob('[0-9]*/stat'):
                with contextlib.suppress(OSError):
                    values = path.read_text().rpartition(')')[2].split()
                    if int(values[2]) == self.process.pid:
                        total += int(values[21]) * os.sysconf(
                            'SC_PAGE_SIZE') >> 20
            return total

        before = memory()
        self.assertGreater(before, 50)
        with slow_clients.Clients(
                self.address, slow_clients.ATTACKS, 600) as clients:
            self.assertTrue(clients.attacking.wait(PATIENCE))
            self.assert_answers(self.address, 'all')
            # 400 connections of at most 112 KiB in and 256 KiB out.
            self.assertLess(memory() - before, 250)

    def test_a_worker_that_dies_is_replaced(self) -> None:
        def workers() -> set[int]:
            found = set()
            for path in pathlib.Path('/proc').glob('[0-9]*/stat'):
                with contextlib.suppress(OSError):
                    values = path.read_text().rpartition(')')[2].split()
                    if int(values[1]) == self.process.pid:
                        found.add(int(path.parent.name))
            return found

        for number in (signal.SIGKILL, signal.SIGHUP):
            self.wait_for(lambda: len(workers()) == 2)
            before = workers()
            if number == signal.SIGHUP:
                self.process.send_signal(number)
            else:
                for one in before:
                    os.kill(one, number)
            self.wait_for(lambda before=before: len(
                workers() - before) == 2)
            self.assertEqual(200, self.get('/healthcheck', self.address)[0])


class ProxyTests(ServiceCase):
    """Behind nginx, with etc/nginx/freezer-api.conf."""

    proxy: tuple[str, int]

    @classmethod
    def setUpClass(cls) -> None:
        if NGINX is None:
            raise unittest.SkipTest('nginx is not installed')
        super().setUpClass()
        [port] = ports.find_free(1)
        cls.proxy = '127.0.0.1', port
        text = ROOT.joinpath('etc/nginx/freezer-api.conf').read_text()
        for shipped, here in (('listen 9090', f'listen 127.0.0.1:{port}'),
                              ('127.0.0.1:9091',
                               f'127.0.0.1:{cls.address[1]}')):
            assert shipped in text
            text = text.replace(shipped, here)
        cls.folder.joinpath('site.conf').write_text(text)
        temporary = ''.join(
            f'{kind}_temp_path {cls.folder}/{kind};\n' for kind in (
                'client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))
        cls.folder.joinpath('nginx.conf').write_text(
            f'daemon off;\nworker_processes 1;\npid {cls.folder}/nginx.pid;\n'
            f'error_log {cls.folder}/nginx.log;\n'
            'events { worker_connections 2048; }\n'
            f'http {{\naccess_log off;\n{temporary}'
            f'include {cls.folder}/site.conf;\n}}\n')
        os.chmod(cls.folder, 0o755)  # noqa: S103 - of its own user
        cls.run_program([NGINX, '-e', f'{cls.folder}/nginx.log',
                         '-c', f'{cls.folder}/nginx.conf'], 'nginx.out')
        cls.wait_for(lambda: cls.get('/healthcheck', cls.proxy)[0] == 200)

    def test_each_attack_by_itself(self) -> None:
        """By fewer clients than one address may have."""
        for attack in slow_clients.ATTACKS:
            with self.subTest(attack.name):
                self.assert_withstands(self.proxy, (attack,), 40)

    def test_it_waits_for_requests_and_answers(self) -> None:
        """The API sees whole requests only."""
        with slow_clients.Clients(self.proxy, (slow_clients.Attack(
                'slow', b'POST /v2/p1/jobs HTTP/1.1\r\nHost: x\r\n'
                        b'Content-Length: 1000\r\n\r\n', b'x'),), 30) as them:
            self.assertTrue(them.attacking.wait(PATIENCE))
            # nginx has read what all of them have sent by now.
            self.wait_for(lambda: self.unread(self.proxy) == [0] * 30)
            self.assertEqual([], self.unread(self.address))

    @staticmethod
    def unread(address: tuple[str, int]) -> list[int]:
        """Return how many bytes of each connection a server has not read."""
        established = '01'
        lines = map(str.split, pathlib.Path(
            '/proc/net/tcp').read_text().splitlines())
        return [int(line[4].partition(':')[2], 16) for line in lines
                if line[1].endswith(f':{address[1]:04X}')
                and line[3] == established]

    def test_one_address_has_a_limited_number_of_requests(self) -> None:
        attack = slow_clients.Attack(
            'slow', b'POST /v2/p1/jobs HTTP/1.1\r\nHost: x\r\n'
                    b'Content-Length: 1000\r\n\r\n', b'x')
        with slow_clients.Clients(self.proxy, (attack,), 100) as them:
            self.assertTrue(them.attacking.wait(PATIENCE))
            self.wait_for(lambda: self.get(
                '/healthcheck', self.proxy)[0] == 429)
            self.assertEqual(
                200, self.get('/healthcheck', self.address)[0])

    def test_links_have_the_name_of_the_proxy(self) -> None:
        _, body = self.get('/', self.proxy)
        self.assertIn(f'http://127.0.0.1:{self.proxy[1]}/v2/',
                      json.dumps(json.loads(body)))

    def test_large_bodies_and_answers_get_through(self) -> None:
        token = fake_keystone.MEMBER_TOKEN
        for size, expected in ((100_000, (201, 400, 422)), (120_000, (413,))):
            status, _ = self.get(
                '/v2/p1/jobs', self.proxy, token, json.dumps({
                    'client_id': 'none', 'description': 'x' * size}).encode())
            self.assertIn(status, expected)
        status, body = self.get('/v2/openapi.json', self.proxy)
        self.assertEqual(200, status)
        document: dict[str, Any] = json.loads(body)
        self.assertIn('paths', document)

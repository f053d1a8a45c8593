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

"""The schema of the database: at start, at the gate, in the health check."""

from __future__ import annotations

from collections.abc import Iterable
import contextlib
import json
import pathlib
import socket
import sqlite3
import tempfile
import threading
import time
from typing import Any
import unittest
from unittest import mock

from cryptography import fernet
from oslo_config import cfg
import webtest

from freezer_api import app as api_app
from freezer_api import conf as configuration
from freezer_api.db.admin import upgrade
from freezer_api.db import schema_version
from freezer_api.keystone import preflight
from freezer_api import schema_gate

State = schema_version.State


class RevisionTests(unittest.TestCase):

    def test_the_files_are_the_revisions_of_alembic(self) -> None:
        self.assertEqual(upgrade.revisions(),
                         list(schema_version.revisions()))
        self.assertEqual(upgrade.head(), schema_version.revisions()[-1])


class SchemaTests(unittest.TestCase):

    def setUp(self) -> None:
        super().setUp()
        self.folder = pathlib.Path(
            self.enterContext(tempfile.TemporaryDirectory()))
        self.url = f'sqlite:///{self.folder}/freezer.db'

    def at(self, *revisions: str) -> None:
        """Make a database that says it is at these revisions."""
        with contextlib.closing(sqlite3.connect(
                self.folder / 'freezer.db')) as connection:
            connection.execute('DROP TABLE IF EXISTS alembic_version')
            connection.execute('CREATE TABLE alembic_version (version_num)')
            connection.executemany('INSERT INTO alembic_version VALUES (?)',
                                   [(one,) for one in revisions])
            connection.commit()

    def conf(self, more: str = '') -> cfg.ConfigOpts:
        path = self.folder / 'it.conf'
        path.write_text(
            f'[database]\nconnection = {self.url}\n'
            '[service_mode]\nenabled = false\n[user_credentials]\n'
            f'keys = {fernet.Fernet.generate_key().decode()}\n'
            '[keystone_authtoken]\nauth_type = password\n'
            f'auth_url = http://127.0.0.1:1/v3\n{more}')
        return configuration.load(files=[str(path)])

    def test_each_state_is_told_with_its_cure(self) -> None:
        known = schema_version.revisions()
        for revisions, state, words in (
                ((), State.MISSING, 'run freezer-manage db sync'),
                (known[:1], State.OLDER, 'run freezer-manage db sync'),
                (known[-2:-1], State.OLDER, known[-1]),
                (known[-1:], State.CURRENT, ''),
                (('ffff',), State.NEWER, 'than this release knows'),
                ((known[0], 'ffff'), State.NEWER, 'start the release')):
            with self.subTest(revisions):
                self.at(*revisions)
                found = schema_version.read(self.url)
                self.assertIs(state, found.state)
                self.assertIn(words, found.text)

    def test_a_database_without_any_table(self) -> None:
        self.assertIs(State.MISSING, schema_version.read(self.url).state)

    def test_a_start_without_the_schema_is_refused(self) -> None:
        for revisions in ((), ('1333cef214d9',), ('ffff',)):
            self.at(*revisions)
            with self.assertRaises(preflight.Refused) as refused:
                api_app.start(self.conf())
            self.assertIn('[database] connection', str(refused.exception))

    def test_a_worker_outlives_an_upgrade_by_another_node(self) -> None:
        self.at('ffff')
        app = webtest.TestApp(api_app.start(self.conf(), schema=False))
        app.get('/v2/p/jobs', status=401)
        app.get('/healthcheck', status=200)

    def test_it_may_wait_for_the_schema(self) -> None:
        """503 to all who ask for data, and to the health check, until then."""
        self.enterContext(mock.patch.object(schema_gate, '_LOOK_AGAIN', 0))
        app = webtest.TestApp(api_app.start(
            self.conf('[api]\nwait_for_schema = true\n')))
        answer = app.get('/v2/p/jobs', status=503)
        self.assertEqual({'title', 'description', 'code'},
                         answer.json.keys())
        self.assertEqual('unavailable', answer.json['code'])
        self.assertEqual('5', answer.headers['Retry-After'])
        app.get('/healthcheck', status=503)
        app.get('/', status=300)
        self.at(*schema_version.revisions()[-1:])
        app.get('/v2/p/jobs', status=401)
        app.get('/healthcheck', status=200)

    def test_the_health_check_tells_of_the_schema(self) -> None:
        self.enterContext(mock.patch.object(schema_gate, '_LOOK_AGAIN', 0))
        self.at(*schema_version.revisions()[-1:])
        app = webtest.TestApp(api_app.start(
            self.conf('[healthcheck]\ndetailed = true\n')))
        json_please = {'Accept': 'application/json'}
        self.assertIn('OK', app.get('/healthcheck', headers=json_please).text)
        self.at()
        answer = app.get('/healthcheck', headers=json_please, status=503)
        said = json.loads(answer.text)
        self.assertIn('DATABASE SCHEMA NOT READY', answer.text)
        self.assertIn('freezer-manage db sync', json.dumps(said))

    def test_a_file_takes_a_process_out_of_the_balance(self) -> None:
        path = self.folder / 'healthcheck_disable'
        self.at(*schema_version.revisions()[-1:])
        conf = self.conf()
        app = webtest.TestApp(api_app.start(conf))
        self.assertEqual('/etc/freezer/healthcheck_disable',
                         conf.healthcheck.disable_by_file_path)
        app.get('/healthcheck', status=200)
        conf.set_override('disable_by_file_path', str(path), 'healthcheck')
        path.touch()
        app.get('/healthcheck', status=503)
        path.unlink()
        app.get('/healthcheck', status=200)


class UnreachableTests(unittest.TestCase):

    def test_a_server_that_says_nothing_is_not_waited_for(self) -> None:
        self.enterContext(mock.patch.object(schema_version, '_TIMEOUT', 0.2))
        with socket.create_server(('127.0.0.1', 0)) as server:
            port = server.getsockname()[1]
            began = time.monotonic()
            with self.assertRaises(schema_version.NotAsked):
                schema_version.read(
                    f'mysql+pymysql://u:S3CRET@127.0.0.1:{port}/d')
        self.assertLess(time.monotonic() - began, 30)

    def test_a_closed_port(self) -> None:
        for url in ('mysql+pymysql://u:S3CRET@127.0.0.1:1/d',
                    'postgresql+psycopg://u:S3CRET@127.0.0.1:1/d'):
            with self.assertRaises(schema_version.NotAsked) as caught:
                schema_version.read(url)
            self.assertNotIn('S3CRET', str(caught.exception))

    def test_a_folder_that_is_not_there_is_refused(self) -> None:
        with self.assertRaises(schema_version.LoginRefused):
            schema_version.read('sqlite:////nonexistent/folder/x.db')


class GateTests(unittest.TestCase):

    def test_one_asks_and_nobody_waits_for_it(self) -> None:
        """A database that hangs holds one thread."""
        asked, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)

        def ask() -> schema_version.Found:
            asked.set()
            go_on.wait(60)
            raise schema_version.NotAsked('x')

        watch = schema_gate.SchemaWatch(ask)
        first = threading.Thread(target=watch.problem, daemon=True)
        first.start()
        self.assertTrue(asked.wait(60))
        self.assertEqual('', watch.problem())
        go_on.set()
        first.join(60)

    def test_it_asks_once_for_all_requests_when_it_is_ready(self) -> None:
        asked = []

        def ask() -> schema_version.Found:
            asked.append(1)
            return schema_version.Found(State.CURRENT)

        def app(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
            return [b'x']

        gate = schema_gate.SchemaGate(app, schema_gate.SchemaWatch(ask))
        with mock.patch.object(schema_gate, '_LOOK_AGAIN', 0):
            for _ in range(3):
                self.assertEqual([b'x'], gate({}, mock.Mock()))
        self.assertEqual([1], asked)

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

"""Wrong configurations: each start names the option and says the cure.

No exit status is 0 unless the start may go on, nothing shows a traceback or
a secret.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import io
import logging
import os
import pathlib
import socket
import sqlite3
import tempfile
from typing import Any
from typing import NamedTuple
import unittest
from unittest import mock

from cryptography import fernet
from oslo_context import fixture
import requests_mock

from freezer_api.cmd import api
from freezer_api.cmd import manage
from freezer_api.cmd import status
from freezer_api.db.admin import upgrade
from freezer_scheduler.cmd import scheduler
from freezer_scheduler.process import signals

KEYSTONE = 'http://keystone.example/v3'
FREEZER = 'http://freezer.example'
SECRET = 'S3CRETword'
KEY = fernet.Fernet.generate_key().decode()
Options = dict[str, dict[str, str | None]]

OF_THE_API: Options = {
    'DEFAULT': {}, 'server': {}, 'api': {}, 'service_mode': {},
    'oslo_policy': {}, 'healthcheck': {}, 'oslo_limit': {}, 'quota': {},
    'database': {'connection': 'sqlite:///{folder}/freezer.db'},
    'keystone_authtoken': {
        'auth_type': 'password', 'auth_url': KEYSTONE, 'username': 'freezer',
        'password': SECRET, 'user_domain_name': 'Default',
        'project_name': 'service', 'project_domain_name': 'Default'},
    'user_credentials': {'keys': KEY}}
OF_THE_SCHEDULER: Options = {
    'DEFAULT': {}, 'capabilities': {}, 'metrics': {},
    'scheduler': {'service_mode': 'true', 'client_id': 'central'},
    'service_auth': {
        'os_auth_url': KEYSTONE, 'os_username': 'freezer',
        'os_password': SECRET, 'os_user_domain_name': 'Default',
        'os_project_name': 'service', 'os_project_domain_name': 'Default'}}


class Wrong(NamedTuple):
    """A configuration that is good but for one thing.

    :ivar program: that is started
    :ivar option: as what is printed has to name it
    :ivar cure: words of what is to be done
    :ivar change: group, name and value; None takes the option away
    :ivar goes_on: whether the start goes on, with a warning
    :ivar text: of the file instead, with {folder}
    :ivar argv: what stands on the command line beside the file
    :ivar revision: of the database; empty for none
    """

    program: str
    option: str
    cure: str
    change: tuple[str, str, str | None] | None = None
    goes_on: bool = False
    text: str | None = None
    argv: tuple[str, ...] = ()
    revision: str | None = None


def api_with(group: str, name: str, value: str | None, cure: str,
             option: str = '', **more: Any) -> Wrong:
    return Wrong('freezer-api', option or f'[{group}] {name}', cure,
                 (group, name, value), **more)


def scheduler_with(group: str, name: str, value: str | None, cure: str,
                   option: str = '', **more: Any) -> Wrong:
    return Wrong('freezer-scheduler', option or f'[{group}] {name}', cure,
                 (group, name, value), **more)


def command(name: str, argv: str, row: Wrong) -> Wrong:
    """The same mistake, told by another command."""
    return row._replace(program=name, argv=tuple(argv.split()))


URL = 'mysql+pymysql://freezer:{secret}@127.0.0.1:{closed}/freezer'
TOKEN = 'keystone_authtoken'

NO_DATABASE = api_with('database', 'connection', None, 'give the URL')
NO_URL = api_with('database', 'connection', SECRET, 'it has the form')
NO_DRIVER = api_with('database', 'connection', f'mysql://u:{SECRET}@h/d',
                     "pip install 'mysqlclient'")
DOLLAR = api_with('database', 'connection',
                  f'mysql+pymysql://u:a${SECRET}@h/d', 'write $$')
NO_KEY = api_with('user_credentials', 'keys', SECRET, 'generate-key')
NO_SUCH_LOG = api_with('DEFAULT', 'log_dir', '/nonexistent/folder',
                       'Create the directory')
NEVER_SYNCED = Wrong('freezer-api', '[database] connection',
                     'freezer-manage db sync', revision='')
WRONG_PASSWORD = api_with(TOKEN, 'password', 'other' + SECRET,
                          'correct username, password', f'[{TOKEN}]')
NO_SUCH_PROJECT = api_with(TOKEN, 'project_name', 'elsewhere',
                           'openstack role add')
UNPARSED = Wrong('freezer-api', 'it.conf, line 2', 'name = value',
                 text=f'[database]\nconnection {SECRET}\n')
NO_FILE = Wrong('freezer-api', '/nonexistent/it.conf', 'find',
                argv=('--config-file', '/nonexistent/it.conf'))

ROWS = (
    # The API.
    NO_DATABASE, NO_URL, NO_DRIVER, DOLLAR, NO_KEY, NO_SUCH_LOG, UNPARSED,
    NO_FILE, WRONG_PASSWORD, NO_SUCH_PROJECT, NEVER_SYNCED,
    NEVER_SYNCED._replace(cure='db sync', revision='1333cef214d9'),
    NEVER_SYNCED._replace(cure='start the release', revision='ffffffffffff'),
    *(api_with(TOKEN, name, None, cure) for name, cure in (
        ('auth_type', 'set it to password'), ('auth_url', 'needs it'),
        ('username', 'needs it'), ('password', 'needs it'),
        ('user_domain_name', 'needs it'), ('project_name', 'needs it'),
        ('project_domain_name', 'needs it'))),
    api_with(TOKEN, 'auth_type', 'v3token', 'must be password'),
    api_with(TOKEN, 'auth_type', 'pasword', 'use password'),
    api_with(TOKEN, 'cafile', '/nonexistent', 'name a file'),
    api_with(TOKEN, 'memcached_servers', 'h:1', 'freezer-service-mode[memc'),
    api_with(TOKEN, 'memcache_security_strategy', 'ENCRYPT', 'set a long',
             f'[{TOKEN}] memcache_secret_key'),
    api_with(TOKEN, 'memcache_security_strategy', 'ROT13', 'Valid values'),
    api_with(TOKEN, 'region_name', 'elsewhere', 'it has r'),
    api_with(TOKEN, 'password', f'a${SECRET}', 'write $$'),
    api_with('service_mode', 'auth_section', 'trustee', 'set it to password',
             '[trustee] auth_type'),
    api_with('service_mode', 'trusts_delegated_roles', '', 'name a role'),
    api_with('service_mode', 'trusts_delegated_roles', 'unknown',
             'openstack role create'),
    api_with('service_mode', 'enabled', 'perhaps', 'boolean'),
    api_with('server', 'threads', '0', 'greater than or equal to 1'),
    api_with('server', 'bind_host', '192.0.2.1', 'cannot listen'),
    api_with('api', 'accept_open_policies', 'jobs:gte', 'correct or remove'),
    api_with('oslo_policy', 'policy_file', '{folder}/list.yaml',
             'Write the rules'),
    api_with('healthcheck', 'backends', 'nonsense', 'freezer_schema'),
    api_with('oslo_limit', 'auth_url', KEYSTONE, 'is not set',
             '[oslo_limit] auth_type'),
    api_with('quota', 'jobs', 'many', 'int'),
    api_with('DEFAULT', 'use_journal', 'true', 'freezer-service-mode[journ'),
    api_with('DEFAULT', 'log_config_append', '/nonexistent', 'cannot be used'),
    # ... that starts, and warns.
    api_with('user_credentials', 'keys', None, 'generate-key', goes_on=True),
    api_with('user_credentials', 'key', KEY, 'Did you mean keys?',
             goes_on=True),
    api_with('service_mode', 'enforce_trust', 'true',
             'Did you mean enforce_trusts?', goes_on=True),
    api_with('servicemode', 'enabled', 'true', 'Did you mean [service_mode]?',
             '[servicemode]', goes_on=True),
    api_with(TOKEN, 'memcached_server', 'h:1',
             'Did you mean memcached_servers?', goes_on=True),
    api_with('database', 'conection', 'x', 'Did you mean connection?',
             goes_on=True),
    api_with('paste_deploy', 'config_file', 'x', 'has no effect',
             '[paste_deploy]', goes_on=True),
    api_with('database', 'connection', URL, 'until it does', goes_on=True),

    # The scheduler.
    scheduler_with('service_auth', 'os_password', None, 'set it'),
    scheduler_with('service_auth', 'os_auth_url', 'keystone', 'write it as'),
    scheduler_with('service_auth', 'os_cacert', '/nonexistent',
                   'name a file'),
    scheduler_with('service_auth', 'os_password', 'other' + SECRET,
                   'correct os_username, os_password', '[service_auth]'),
    scheduler_with('service_auth', 'os_project_name', 'elsewhere',
                   'openstack role add'),
    scheduler_with('service_auth', 'os_username', 'powerless',
                   'openstack role add'),
    scheduler_with('service_auth', 'os_region_name', 'elsewhere',
                   'it has r'),
    scheduler_with('service_auth', 'os_endpoint_type', 'inside',
                   'Valid values'),
    scheduler_with('service_auth', 'os_password', f'a${SECRET}', 'write $$'),
    scheduler_with('scheduler', 'client_id', 'a b', 'must be a host name'),
    scheduler_with('scheduler', 'claim_interval', '0',
                   'greater than or equal to 1'),
    scheduler_with('scheduler', 'lease_seconds', '5',
                   'greater than or equal to 10'),
    scheduler_with('scheduler', 'workers', 'many', 'int'),
    scheduler_with('scheduler', 'no_api', 'true', 'service mode'),
    scheduler_with('scheduler', 'enable_v1_api', 'true', 'gone'),
    scheduler_with('capabilities', 'supported_modes', 'nonsense',
                   'is not one of'),
    scheduler_with('metrics', 'enabled', 'true', 'cannot listen',
                   '[metrics] bind_host',
                   argv=('--metrics-bind-host', '192.0.2.1')),
    scheduler_with('DEFAULT', 'log_dir', '/nonexistent/folder',
                   'Create the directory'),
    Wrong('freezer-scheduler', 'it.conf, line 2', 'name = value',
          text=f'[service_auth]\nos_password {SECRET}\n'),
    # ... that starts, and warns.
    scheduler_with('scheduler', 'servicemode', 'true',
                   'Did you mean service_mode?', goes_on=True),
    scheduler_with('scheduler', 'client-id', 'x', 'Did you mean client_id?',
                   goes_on=True),
    scheduler_with('service_auth', 'insecure', 'true',
                   'use [scheduler] insecure', goes_on=True),
    scheduler_with('scheduler', 'agent_command', '/nonexistent/agent',
                   'environment of its own', goes_on=True,
                   argv=('--capabilities-supported-modes', 'fs')),
    scheduler_with('capabilites', 'supported_modes', 'fs',
                   'Did you mean [capabilities]?', '[capabilites]',
                   goes_on=True),

    # The commands.
    *(command('freezer-manage', 'db sync', row) for row in (
        NO_DATABASE, DOLLAR, NO_SUCH_LOG, UNPARSED)),
    command('freezer-manage', 'db version', NO_DRIVER._replace(
        cure="pip install 'mysqlclient'")),
    command('freezer-manage', 'db version', NO_URL),
    command('freezer-manage', 'db version', api_with(
        'database', 'connection', URL, 'cannot be used')),
    command('freezer-manage', 'credential rotate', NO_KEY),
    command('freezer-manage', 'trusts orphans', WRONG_PASSWORD),
    command('freezer-manage', 'trusts orphans', NO_SUCH_PROJECT),
    command('freezer-manage', 'credential check', NEVER_SYNCED),
    *(command('freezer-status', 'upgrade check', row) for row in (
        NO_DATABASE, NO_URL, NO_DRIVER, NO_KEY, NEVER_SYNCED, WRONG_PASSWORD,
        NO_SUCH_PROJECT, UNPARSED)),
)

PROGRAMS: dict[str, Callable[[list[str]], int]] = {
    'freezer-api': api.main, 'freezer-manage': manage.main,
    'freezer-status': status.main, 'freezer-scheduler': scheduler.main}


class _Stop:
    """Signals of an operator who stops at once what has started."""

    def wait(self, seconds: float | None = None) -> signals.Signal:
        return signals.Signal.STOP


class WrongConfigurationTests(unittest.TestCase):

    synced: bytes

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, 'freezer.db')
            upgrade.sync(f'sqlite:///{path}')
            cls.synced = path.read_bytes()

    def setUp(self) -> None:
        super().setUp()
        # A program begins without the request of another test.
        self.enterContext(fixture.ClearRequestContext())
        self.folder = pathlib.Path(
            self.enterContext(tempfile.TemporaryDirectory()))
        self.folder.joinpath('list.yaml').write_text('- 1\n')
        with socket.create_server(('127.0.0.1', 0)) as server:
            self.closed = server.getsockname()[1]
        self.http = self.enterContext(requests_mock.Mocker())
        self.mock_keystone()
        self.mock_freezer()
        self.enterContext(mock.patch('cotyledon.ServiceManager',
                                     autospec=True))
        self.enterContext(mock.patch.object(
            signals, 'ProcessSignals', autospec=True, side_effect=_Stop))
        # A host of tests may have them.
        self.enterContext(mock.patch.dict('sys.modules', dict.fromkeys(
            ('memcache', 'systemd', 'MySQLdb'))))
        self.enterContext(mock.patch.dict(os.environ))
        for name in [one for one in os.environ if one.startswith('OS_')]:
            del os.environ[name]
        root = logging.getLogger()
        before, level = list(root.handlers), root.level
        self.addCleanup(root.setLevel, level)
        self.addCleanup(root.handlers.extend, before)
        self.addCleanup(root.handlers.clear)

    def mock_keystone(self) -> None:
        self.http.get(KEYSTONE, json={'version': {
            'id': 'v3.14', 'status': 'stable',
            'links': [{'rel': 'self', 'href': KEYSTONE}]}})
        self.http.get(f'{KEYSTONE}/roles', json=lambda request, context: {
            'roles': [] if 'unknown' in request.query else [{'id': 'r'}]})
        self.http.get(f'{KEYSTONE}/OS-TRUST/trusts', json={'trusts': []})
        self.http.post(f'{KEYSTONE}/auth/tokens', json=self.login,
                       headers={'X-Subject-Token': 't'})

    def login(self, request: Any, context: Any) -> dict[str, Any]:
        auth = request.json()['auth']
        user = auth['identity']['password']['user']
        project = (auth.get('scope') or {}) and auth['scope'] != 'unscoped' \
            and auth['scope']['project']['name']
        if user['password'] != SECRET or project == 'elsewhere':
            context.status_code = 401
            return {'error': {'code': 401, 'title': 'Unauthorized',
                              'message': 'The request needs authentication'}}
        context.status_code = 201
        domain = {'id': 'd', 'name': 'Default'}
        token: dict[str, Any] = {
            'methods': ['password'], 'user': {
                'id': 'u', 'name': 'u', 'domain': domain},
            'expires_at': '2099-01-01T00:00:00Z',
            'issued_at': '2026-01-01T00:00:00Z'}
        if project:
            self.role = 'reader' if user['name'] == 'powerless' else 'service'
            token |= {
                'project': {'id': 'p', 'name': project, 'domain': domain},
                'roles': [{'id': 'x', 'name': self.role}],
                'catalog': [{'type': kind, 'name': kind, 'id': kind,
                             'endpoints': [{
                                 'interface': face, 'id': face, 'url': url,
                                 'region': 'r', 'region_id': 'r'}
                                 for face in ('public', 'internal')]}
                            for kind, url in (('identity', KEYSTONE),
                                              ('backup', FREEZER))]}
        return {'token': token}

    def mock_freezer(self) -> None:
        def register(request: Any, context: Any) -> dict[str, Any]:
            if self.role != 'service':
                context.status_code = 403
                return {'title': 'Access Forbidden', 'description': 'no',
                        'code': 'forbidden'}
            context.status_code = 201
            return {'client_id': request.json()['client_id']}

        self.http.get(f'{FREEZER}/v2', json={'resources': {
            'rel/jobs': {}, 'rel/claims': {}, 'rel/reports': {}}})
        self.http.post(f'{FREEZER}/v2/p/clients', json=register)
        self.http.post(f'{FREEZER}/v2/p/clients/central/claims', json={
            'runs': [], 'held': [], 'lost': []})
        self.http.post(f'{FREEZER}/v2/p/maintenance', json={})

    def database(self, revision: str | None) -> None:
        path = self.folder / 'freezer.db'
        path.unlink(missing_ok=True)
        if revision is None:
            path.write_bytes(self.synced)
        if not revision:
            return
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute('CREATE TABLE alembic_version (version_num)')
            connection.execute('INSERT INTO alembic_version VALUES (?)',
                               (revision,))
            connection.commit()

    def written(self, row: Wrong) -> str:
        path = self.folder / 'it.conf'
        base = (OF_THE_SCHEDULER if row.program == 'freezer-scheduler'
                else OF_THE_API)
        options = {group: dict(values) for group, values in base.items()}
        if row.change is not None:
            group, name, value = row.change
            options.setdefault(group, {})[name] = value
        lines = [] if row.text is None else [row.text]
        if row.text is None:
            for group, values in options.items():
                lines += [f'[{group}]', *(
                    f'{name} = {value}' for name, value in values.items()
                    if value is not None)]
        path.write_text('\n'.join(lines).replace(
            '{folder}', str(self.folder)).replace('{secret}', SECRET).replace(
                '{closed}', str(self.closed)))
        return str(path)

    def start(self, row: Wrong) -> tuple[int | None, str]:
        """Start the program; return its status and all that it said."""
        self.database(row.revision)
        argv = ['--config-file', self.written(row), *row.argv]
        if row.program == 'freezer-scheduler':
            argv += ['--scheduler-no-daemon', '--scheduler-agent-dir',
                     str(self.folder / 'agents'), 'start']
        if row.program == 'freezer-api' and '[server]' not in row.option:
            with socket.create_server(('127.0.0.1', 0)) as free:
                argv += ['--port', str(free.getsockname()[1])]
        for handler in list(logging.getLogger().handlers):
            logging.getLogger().removeHandler(handler)
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(
                said):
            code = PROGRAMS[row.program](argv)
        return code, ' '.join(said.getvalue().replace('|', ' ').split())

    def test_what_is_right_starts_without_a_word(self) -> None:
        """Otherwise the others would prove nothing."""
        for program, argv in (('freezer-api', ''),
                              ('freezer-scheduler', ''),
                              ('freezer-manage', 'db version'),
                              ('freezer-status', 'upgrade check')):
            with self.subTest(program):
                code, text = self.start(Wrong(
                    program, '', '', argv=tuple(argv.split())))
                self.assertEqual(0, code, text)
                for word in (' WARNING ', 'ERROR', 'CRITICAL', 'Traceback'):
                    self.assertNotIn(word, text)

    def test_each_mistake_is_named_with_its_cure(self) -> None:
        self.assertGreaterEqual(len(ROWS), 46)
        for row in ROWS:
            with self.subTest(program=row.program, option=row.option,
                              change=row.change, revision=row.revision):
                code, text = self.start(row)
                self.assertIn(row.option, text)
                self.assertIn(row.cure, text)
                self.assertNotIn(SECRET, text)
                self.assertNotIn('Traceback', text)
                self.assertEqual(row.goes_on, code == 0, (code, text))
                if row.goes_on:
                    self.assertIn('WARNING', text)

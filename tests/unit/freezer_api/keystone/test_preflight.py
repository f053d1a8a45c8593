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

"""The start refuses what cannot work by its name, and waits for nobody."""

from __future__ import annotations

import contextlib
import importlib
import os
import pathlib
import runpy
import sqlite3
import sys
import tempfile
import unittest
from unittest import mock

from cryptography import fernet
from oslo_config import cfg
import requests
import requests_mock

from freezer_api import app
from freezer_api import conf as configuration
from freezer_api.db import schema_version
from freezer_api.keystone import preflight

KEYSTONE = 'http://keystone.example/v3'
GOOD = {
    'database': {'connection': 'sqlite:///{directory}/freezer.db'},
    'keystone_authtoken': {
        'auth_type': 'password', 'auth_url': KEYSTONE,
        'www_authenticate_uri': KEYSTONE, 'username': 'freezer',
        'password': 'SECRET', 'user_domain_name': 'Default',
        'project_name': 'service', 'project_domain_name': 'Default'},
    'user_credentials': {'keys': fernet.Fernet.generate_key().decode()},
    'service_mode': {}, 'server': {}, 'api': {}, 'scheduling': {}}

# Option, a value that it cannot have (None: it is missing), and words of the
# refusal.
BAD = (
    ('database', 'connection', None, 'is not set'),
    ('database', 'connection', 'SECRET', 'not the URL of a database'),
    ('database', 'connection', 'oracle://x:SECRET@h/x', 'is not'),
    ('keystone_authtoken', 'auth_type', None, 'auth_type is not set'),
    ('keystone_authtoken', 'auth_type', 'v3applicationcredential',
     'must be password'),
    *(('keystone_authtoken', name, None, f'{name} is not set') for name in (
        'auth_url', 'username', 'password', 'user_domain_name',
        'project_name', 'project_domain_name')),
    ('user_credentials', 'keys', 'SECRET', 'not a Fernet key'),
    ('service_mode', 'enabled', 'perhaps', 'perhaps'),
    ('service_mode', 'trusts_delegated_roles', '', 'is empty'),
    ('service_mode', 'trusts_delegated_roles', 'member,,x', 'empty name'),
    ('service_mode', 'trust_lifetime', '-1', 'or equal to 0'),
    ('api', 'max_limit', '0', 'or equal to 1'),
    ('scheduling', 'catch_up_window', 'never', 'never'),
    ('server', 'max_connections', '1', 'or equal to 16'),
)


class SelfTestTests(unittest.TestCase):

    def setUp(self) -> None:
        super().setUp()
        self.directory = self.enterContext(tempfile.TemporaryDirectory())
        self.keystone = self.enterContext(requests_mock.Mocker())
        self.database(schema_version.revisions()[-1])

    def database(self, *versions: str) -> None:
        """Write a database that says it is at these revisions."""
        with contextlib.closing(sqlite3.connect(
                pathlib.Path(self.directory, 'freezer.db'))) as connection:
            connection.executescript(
                'DROP TABLE IF EXISTS alembic_version;'
                'CREATE TABLE alembic_version (version_num VARCHAR(32));')
            connection.executemany('INSERT INTO alembic_version VALUES (?)',
                                   [(version,) for version in versions])
            connection.commit()

    def path(self, group: str = '', name: str = '',
             value: str | None = None) -> str:
        """Write a configuration that is good, but for one option."""
        lines = []
        for section, options in GOOD.items():
            chosen: dict[str, str | None] = dict(options)
            if section == group:
                chosen[name] = value
            lines += [f'[{section}]', *(
                f'{key} = {text.format(directory=self.directory)}'
                for key, text in chosen.items() if text is not None)]
        path = pathlib.Path(self.directory, 'freezer-api.conf')
        path.write_text('\n'.join(lines), encoding='utf-8')
        return str(path)

    def conf(self, *changed: str | None) -> cfg.ConfigOpts:
        return configuration.load(
            files=[self.path(*changed)])  # type: ignore[arg-type]

    def answers(self, status: int = 201,
                regions: tuple[str, ...] = ('r',), **errors: object) -> None:
        self.keystone.get(KEYSTONE, json={'version': {
            'id': 'v3.14', 'status': 'stable',
            'links': [{'rel': 'self', 'href': KEYSTONE}]}})
        self.keystone.get(f'{KEYSTONE}/roles', status_code=403)
        self.keystone.get(f'{KEYSTONE}/OS-TRUST/trusts', json={'trusts': []})
        self.keystone.post(
            f'{KEYSTONE}/OS-TRUST/trusts', status_code=404,
            json={'error': {'code': 404,
                            'message': errors.get('role', 'x')}})
        self.keystone.post(
            f'{KEYSTONE}/auth/tokens', status_code=status,
            headers={'X-Subject-Token': 't'}, json={'error': {
                'code': status, 'message': 'no'}, 'token': {
                'methods': ['password'], 'catalog': [{
                    'type': 'identity', 'name': 'keystone', 'id': 'k',
                    'endpoints': [{'interface': 'internal', 'id': 'e',
                                   'url': KEYSTONE, 'region': region,
                                   'region_id': region}
                                  for region in regions]}],
                'user': {'id': 'u', 'name': 'u', 'domain': {'id': 'd'}},
                'project': {'id': 'p', 'name': 'p', 'domain': {'id': 'd'}},
                'roles': [], 'expires_at': '2099-01-01T00:00:00Z',
                'issued_at': '2026-01-01T00:00:00Z'}})

    def refused(self, *changed: str | None) -> str:
        with self.assertLogs('freezer_api.app', 'CRITICAL') as log, \
                self.assertRaises(preflight.Refused) as caught:
            app.start(self.conf(*changed))
        text = str(caught.exception)
        self.assertIn(caught.exception.problems[0], log.output[0])
        self.assertNotIn('SECRET', text)
        return text

    def test_a_bad_option_is_refused_by_its_name(self) -> None:
        for group, name, value, words in BAD:
            with self.subTest(f'{group} {name} {value}'):
                text = self.refused(group, name, value)
                self.assertIn(f'[{group}] {name}', text)
                self.assertIn(words, text)
        self.assertEqual([], self.keystone.request_history)

    def test_all_of_them_are_named_at_once(self) -> None:
        conf = self.conf('user_credentials', 'keys', 'SECRET')
        conf.set_override('trusts_delegated_roles', [], 'service_mode')
        self.assertEqual(2, len(preflight.of_options(conf)))

    def test_without_service_mode_no_trust_has_to_work(self) -> None:
        conf = self.conf('service_mode', 'trusts_delegated_roles', '')
        conf.set_override('enabled', False, 'service_mode')
        self.assertEqual([], preflight.of_options(conf))
        app.start(conf)
        self.assertEqual([], self.keystone.request_history)

    def test_another_section_may_have_the_login(self) -> None:
        conf = self.conf('keystone_authtoken', 'auth_section', 'api')
        [problem] = preflight.of_options(conf)
        self.assertIn('[api] auth_type is not set', problem)

    def test_a_keystone_that_is_away_stops_no_start(self) -> None:
        for fault in ({'status_code': 503}, {'status_code': 500},
                      {'exc': requests.ConnectTimeout},
                      {'exc': requests.ConnectionError}):
            self.answers()
            self.keystone.post(f'{KEYSTONE}/auth/tokens', **fault)
            test = preflight.Preflight(self.conf())
            with self.assertLogs('freezer_api.keystone.preflight',
                                 'WARNING') as log:
                test.start()
            self.assertIn('Keystone cannot be asked', log.output[0])
            # When it is back, what is wrong is said once.
            self.answers(role='Role member is not defined')
            with self.assertLogs('freezer_api.keystone.preflight',
                                 'ERROR') as log:
                test.again()
                test.again()
            said = '\n'.join(log.output)
            self.assertEqual(1, said.count('no role member'), said)
            self.assertEqual(1, said.count('no endpoint of type'), said)

    def test_an_option_that_keystone_refuses(self) -> None:
        self.answers(role='Role member is not defined')
        self.assertIn('trusts_delegated_roles: Keystone has no role member',
                      self.refused())
        self.answers(401)
        self.assertIn('user name or the password of [keystone_authtoken]',
                      self.refused())

    def test_a_region_is_named_where_there_are_several(self) -> None:
        self.answers(regions=('one', 'two'))
        text = self.refused()
        self.assertIn('[keystone_authtoken] region_name: must be set', text)
        self.assertIn('one, two', text)
        text = self.refused('keystone_authtoken', 'region_name', 'three')
        self.assertIn('[keystone_authtoken] region_name', text)
        self.assertIn('it has one, two', text)
        text = self.refused('keystone_authtoken', 'interface', 'admin')
        self.assertIn('region_name: must be set', text)
        for name in ('one', 'two'):
            app.start(self.conf('keystone_authtoken', 'region_name', name))

    def test_an_interface_that_is_not_there_is_named(self) -> None:
        self.answers()
        text = self.refused('keystone_authtoken', 'interface', 'admin')
        self.assertIn('[keystone_authtoken] interface: ', text)
        self.assertIn('it has internal', text)

    def test_another_section_names_its_region(self) -> None:
        self.answers(regions=('one', 'two'))
        conf = self.conf()
        conf.set_override('auth_section', 'trustee', 'service_mode')
        with open(pathlib.Path(self.directory, 'freezer-api.conf'), 'a',
                  encoding='utf-8') as file:
            file.write('\n[trustee]\n' + ''.join(
                f'{key} = {text}\n' for key, text
                in GOOD['keystone_authtoken'].items()))
        conf.reload_config_files()
        with self.assertRaises(preflight.Refused) as caught:
            preflight.Preflight(conf).start()
        self.assertIn('[trustee] region_name: must be set',
                      str(caught.exception))

    def test_what_can_be_mended_in_keystone_is_a_warning(self) -> None:
        self.answers()
        with self.assertLogs('freezer_api.keystone.preflight',
                             'WARNING') as log:
            app.start(self.conf())
        said = '\n'.join(log.output)
        self.assertIn('does not have the role service', said)
        self.assertIn('no endpoint of type backup', said)

    def started_with(self, rules: str, accept: str = '') -> None:
        self.answers()
        file = self.enterContext(tempfile.NamedTemporaryFile('w+'))
        file.write(rules)
        file.flush()
        conf = self.conf('api', 'accept_open_policies', accept)
        conf.set_override('policy_file', file.name, 'oslo_policy')
        app.start(conf)

    def test_an_open_policy_prevents_the_start(self) -> None:
        for rules in ('"jobs:get_all": ""',
                      '"helper": "http://policy.example/"\n'
                      '"jobs:get_all": "role:reader"'):
            with self.assertRaises(preflight.Refused) as refused:
                self.started_with(rules)
            self.assertIn('by the rules jobs:get_all.',
                          str(refused.exception))
            self.assertIn('[api] accept_open_policies',
                          str(refused.exception))

    def test_an_open_policy_may_be_accepted_by_name(self) -> None:
        with self.assertLogs('freezer_api.keystone.preflight',
                             'WARNING') as log:
            self.started_with('"jobs:get_all": ""\n"jobs:get": "http://x/"',
                              accept='jobs:get_all')
        said = '\n'.join(log.output)
        self.assertIn('jobs:get_all, which [api] accept_open', said)
        self.assertIn('rules jobs:get. Whether', said)
        with self.assertRaises(preflight.Refused) as refused:
            self.started_with('"jobs:get_all": ""', accept='jobs:get')
        self.assertIn('jobs:get_all', str(refused.exception))

    def test_an_accepted_rule_that_does_not_exist_is_refused(self) -> None:
        with self.assertRaises(preflight.Refused) as refused:
            self.started_with('', accept='jobs:get,jobs:gte')
        self.assertIn('[api] accept_open_policies: no operation has the '
                      'policy rule jobs:gte', str(refused.exception))

    def test_a_policy_that_cannot_be_read_prevents_the_start(self) -> None:
        for rules in ('"jobs:get_all": "', '- 1'):
            with self.assertRaises(preflight.Refused) as refused:
                self.started_with(rules)
            self.assertIn('[oslo_policy] policy_file cannot be read',
                          str(refused.exception))

    def imported(self, name: str) -> None:
        """Import a module that starts the application anew."""
        for one in ('freezer_api.wsgi', 'freezer_api.wsgi.api',
                    'freezer_api.cmd.wsgi'):
            sys.modules.pop(one, None)
            self.addCleanup(sys.modules.pop, one, None)
        importlib.import_module(name)

    def test_the_wsgi_module_starts_it(self) -> None:
        with mock.patch.dict(os.environ, {
                'OS_FREEZER_API_CONFIG_FILES': self.path(
                    'user_credentials', 'keys', 'SECRET')}), \
                mock.patch('oslo_log.log.setup', autospec=True), \
                self.assertRaises(preflight.Refused):
            self.imported('freezer_api.wsgi')

    def test_each_name_of_the_application_is_the_same(self) -> None:
        """Those of earlier releases, and of other services."""
        self.answers()
        path = pathlib.Path(app.__file__).parent / 'cmd/wsgi.py'
        with mock.patch.dict(os.environ, {
                'OS_FREEZER_API_CONFIG_FILES': self.path()}), \
                mock.patch('oslo_log.log.setup', autospec=True):
            for name in ('freezer_api.wsgi', 'freezer_api.wsgi.api',
                         'freezer_api.cmd.wsgi'):
                self.imported(name)
                self.assertIs(
                    sys.modules['freezer_api.wsgi'].application,
                    sys.modules[name].application)
            # Apache runs the file.
            self.assertIs(sys.modules['freezer_api.wsgi'].application,
                          runpy.run_path(str(path))['application'])

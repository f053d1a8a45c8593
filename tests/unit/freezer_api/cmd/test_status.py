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

"""``freezer-status upgrade check`` says what is missing, and no more."""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
import unittest

from cryptography import fernet
import requests_mock
import sqlalchemy as sa

from freezer_api.cmd import status
from freezer_api.db.admin import upgrade
from freezer_api.db import models
from tests.migrations import starts

KEYSTONE = 'http://keystone.example/v3'


class StatusTests(unittest.TestCase):

    def setUp(self) -> None:
        super().setUp()
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.path = os.path.join(holder.name, 'freezer-api.conf')
        self.url = f'sqlite:///{holder.name}/freezer.db'
        starts.bring(self.url, upgrade.head())
        self.key = fernet.Fernet.generate_key().decode()
        self.keystone = self.enterContext(requests_mock.Mocker())
        self.keystone.get(KEYSTONE, json={'version': {
            'id': 'v3.14', 'status': 'stable',
            'links': [{'rel': 'self', 'href': KEYSTONE}]}})
        self.keystone.get(f'{KEYSTONE}/roles', status_code=403)
        self.keystone.get(f'{KEYSTONE}/OS-TRUST/trusts', json={'trusts': []})
        # It has member, and wants to delegate that to itself.
        self.keystone.post(
            f'{KEYSTONE}/OS-TRUST/trusts', status_code=400,
            json={'error': {'code': 400, 'message': 'expired'}})
        self.login(201)

    def login(self, code: int, role: str = 'service',
              service: str = 'backup') -> None:
        self.keystone.post(
            f'{KEYSTONE}/auth/tokens', status_code=code,
            headers={'X-Subject-Token': 't'}, json={'error': {
                'code': code, 'message': 'no'}, 'token': {
                'methods': ['password'], 'catalog': [{
                    'type': 'identity', 'name': 'keystone', 'id': 'k',
                    'endpoints': [{'interface': 'internal', 'id': 'e',
                                   'url': KEYSTONE, 'region': 'r',
                                   'region_id': 'r'}]}, {
                    'type': service, 'name': 'freezer', 'id': 'f',
                    'endpoints': [{'interface': 'public', 'id': 'g',
                                   'url': 'http://freezer.example',
                                   'region': 'r', 'region_id': 'r'}]}],
                'user': {'id': 'u', 'name': 'u', 'domain': {'id': 'd'}},
                'project': {'id': 'p', 'name': 'p', 'domain': {'id': 'd'}},
                'roles': [{'id': 'x', 'name': role}],
                'expires_at': '2099-01-01T00:00:00Z',
                'issued_at': '2026-01-01T00:00:00Z'}})

    def check(self, url: str | None = None, key: str | None = None,
              auth: bool = True, more: str = '') -> tuple[int, str]:
        """Run the checks; return the exit status and what was printed."""
        lines = ['[database]', f'connection = {url or self.url}',
                 '[user_credentials]',
                 f'keys = {self.key if key is None else key}']
        if auth:
            lines += ['[keystone_authtoken]', 'auth_type = password',
                      f'auth_url = {KEYSTONE}', 'username = freezer',
                      'password = SECRET', 'user_domain_name = Default',
                      'project_name = service',
                      'project_domain_name = Default']
        with open(self.path, 'w', encoding='utf-8') as file:
            file.write('\n'.join([*lines, more]))
        return self.run_with('--config-file', self.path)

    def run_with(self, *options: str) -> tuple[int, str]:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), \
                contextlib.redirect_stderr(printed):
            code = status.main([*options, 'upgrade', 'check'])
        text = ' '.join(printed.getvalue().replace('|', ' ').split())
        self.assertNotIn('Traceback', text)
        self.assertNotIn('SECRET', text)
        return code, text

    def test_all_is_well(self) -> None:
        code, text = self.check()
        self.assertEqual(0, code, text)
        self.assertEqual(14, text.count('Result: Success'))

    def test_a_database_that_was_not_upgraded(self) -> None:
        code, text = self.check(url=f'{self.url}.new')
        self.assertEqual(2, code)
        self.assertIn('run freezer-manage db sync', text)

    def test_an_upgrade_that_was_killed_at_its_end(self) -> None:
        engine = sa.create_engine(self.url)
        with engine.begin() as connection:
            connection.execute(sa.insert(models.Backup).values(
                id='b', project_id='p', user_id='u', search_terms=None))
        engine.dispose()
        code, text = self.check()
        self.assertEqual(2, code)
        self.assertIn('run freezer-manage db sync', text)
        upgrade.sync(self.url)
        self.assertEqual(0, self.check()[0])

    def test_a_database_that_cannot_be_read(self) -> None:
        code, text = self.check(
            url='mysql+pymysql://u:SECRET@127.0.0.1:1/freezer')
        self.assertEqual(2, code)
        self.assertIn('[database] connection: the database cannot be read',
                      text)

    def test_keys(self) -> None:
        for key, words in (('', 'is not set'), ('SECRET', 'not a Fernet')):
            code, text = self.check(key=key)
            self.assertEqual(2, code)
            self.assertIn(words, text)

    def test_a_wrong_password(self) -> None:
        self.login(401)
        code, text = self.check()
        self.assertEqual(2, code)
        self.assertIn('[keystone_authtoken]', text)

    def test_a_role_that_keystone_does_not_know(self) -> None:
        for found, expected in (([], 2), ([{'id': 'r'}], 0)):
            self.keystone.get(f'{KEYSTONE}/roles?name=member',
                              json={'roles': found})
            code, text = self.check()
            self.assertEqual(expected, code, text)
            self.assertEqual(not found, 'no role member' in text)

    def test_a_role_that_keystone_alone_knows_of(self) -> None:
        """An account that may not list roles learns of one all the same."""
        for status_code, said, expected in (
                (404, 'Role member is not defined', 2),
                (404, 'Could not find role: 0123', 0), (403, 'no', 0)):
            self.keystone.post(
                f'{KEYSTONE}/OS-TRUST/trusts', status_code=status_code,
                json={'error': {'code': status_code, 'message': said}})
            code, text = self.check()
            self.assertEqual(expected, code, text)
            self.assertEqual(bool(expected), 'no role member' in text)

    def test_the_account_lacks_the_role_service(self) -> None:
        self.login(201, role='reader')
        code, text = self.check()
        self.assertEqual(2, code)
        self.assertIn('does not have the role service', text)

    def test_the_account_can_be_no_trustee(self) -> None:
        self.keystone.get(
            f'{KEYSTONE}/OS-TRUST/trusts', status_code=403,
            json={'error': {'code': 403, 'message': 'no'}})
        code, text = self.check()
        self.assertEqual(2, code)
        self.assertIn('cannot be a trustee', text)

    def test_the_catalogue_lacks_the_endpoint(self) -> None:
        self.login(201, service='image')
        code, text = self.check()
        self.assertEqual(2, code)
        self.assertIn('no endpoint of type backup', text)

    def test_a_keystone_that_is_away(self) -> None:
        self.login(503)
        code, text = self.check()
        self.assertEqual(2, code)
        self.assertEqual(1, text.count('Keystone cannot be asked'), text)
        self.assertIn('not checked: Keystone does not answer',
                      ' '.join(text.replace('|', ' ').split()))

    def test_no_account(self) -> None:
        code, text = self.check(auth=False)
        self.assertEqual(2, code)
        self.assertIn('auth_type is not set', text)

    def test_a_policy_that_lets_other_projects_in(self) -> None:
        with open(os.path.join(os.path.dirname(self.path), 'policy.yaml'),
                  'w') as file:
            file.write('"jobs:get_all": ""\n"jobs:create": ""\n')
        code, text = self.check()
        self.assertEqual(2, code)
        self.assertIn('jobs:create, jobs:get_all',
                      ' '.join(text.replace('|', ' ').split()))

    def test_a_policy_that_another_service_decides(self) -> None:
        with open(os.path.join(os.path.dirname(self.path), 'policy.yaml'),
                  'w') as file:
            file.write('"helper": "http://x/"\n"jobs:get": "rule:helper"\n')
        code, text = self.check()
        self.assertEqual(1, code)
        self.assertIn('rules jobs:get. Whether',
                      ' '.join(text.replace('|', ' ').split()))

    def test_a_policy_that_cannot_be_read(self) -> None:
        with open(os.path.join(os.path.dirname(self.path), 'policy.yaml'),
                  'w') as file:
            file.write('"jobs:get_all": "')
        code, text = self.check()
        self.assertEqual(2, code)
        self.assertIn('[oslo_policy] policy_file cannot be read', text)

    def test_what_was_not_looked_at_is_said(self) -> None:
        """A success is only what was seen to be one."""
        keystone = ('Service account', 'Region of the endpoints',
                    'Role of the account', 'Trustee of the trusts',
                    'Endpoint in the catalogue', 'Delegated roles')
        self.keystone.post(f'{KEYSTONE}/OS-TRUST/trusts', status_code=403,
                           json={'error': {'code': 403, 'message': 'no'}})
        for prepare, options, expected in (
                (lambda: self.login(201), {}, {
                    'Delegated roles', 'Limits in Keystone', 'Policy file'}),
                (lambda: self.login(401), {}, {
                    *keystone[1:], 'Limits in Keystone', 'Policy file'}),
                (lambda: self.login(503), {}, {
                    *keystone[1:], 'Limits in Keystone', 'Policy file'}),
                (lambda: None, {'auth': False}, {
                    *keystone, 'Limits in Keystone', 'Policy file'}),
                (lambda: None, {'more': '[service_mode]\nenabled = false'}, {
                    *keystone, 'Keys for trusts', 'Limits in Keystone',
                    'Policy file'})):
            with self.subTest(expected=expected):
                prepare()
                text = self.check(**options)[1]
                self.assertEqual(expected, set(re.findall(
                    r'Check: ([A-Z][a-z A-Z]+) Result: \w+ Details: '
                    r'not checked: ', text)), text)

    def test_a_policy_file_without_rules_is_fine(self) -> None:
        """Deployment tools write one, in whichever format."""
        for text in ('{}', '{}\n', '', 'null\n', '# nothing\n', '---\n'):
            with open(os.path.join(os.path.dirname(self.path), 'policy.yaml'),
                      'w') as file:
                file.write(text)
            code, said = self.check()
            self.assertEqual(0, code, said)
            self.assertIn('Check: Policy file Result: Success Details: None',
                          said)

    def test_a_policy_file_with_rules_in_json_is_named(self) -> None:
        with open(os.path.join(os.path.dirname(self.path), 'policy.yaml'),
                  'w') as file:
            file.write('{"jobs:get": "rule:project_member"}')
        code, said = self.check()
        self.assertEqual(2, code, said)
        self.assertIn('JSON-formatted', said)

    def test_a_project_without_a_role_is_told_from_a_wrong_password(
            self) -> None:
        self.login(401)
        self.keystone.post(
            f'{KEYSTONE}/auth/tokens', additional_matcher=lambda request:
            request.json()['auth'].get('scope') == 'unscoped',
            status_code=201, headers={'X-Subject-Token': 't'}, json={
                'token': {'methods': ['password'], 'user': {
                    'id': 'u', 'name': 'u', 'domain': {'id': 'd'}},
                    'expires_at': '2099-01-01T00:00:00Z',
                    'issued_at': '2026-01-01T00:00:00Z'}})
        code, text = self.check()
        self.assertEqual(2, code)
        self.assertIn('[keystone_authtoken] project_name: the account has no '
                      'role in this project', text)
        self.assertIn('openstack role add', text)

    def test_options_that_nothing_reads_are_named(self) -> None:
        code, text = self.check(more='[servicemode]\nenabled = true')
        self.assertEqual(1, code, text)
        self.assertIn('Did you mean [service_mode]?', text)

    def test_nothing_is_configured(self) -> None:
        with open(self.path, 'w', encoding='utf-8'):
            pass
        code, text = self.run_with('--config-file', self.path)
        self.assertEqual(2, code)
        self.assertIn('[database] connection is not set', text)

    def test_a_file_that_is_not_there(self) -> None:
        code, text = self.run_with('--config-file', '/nonexistent')
        self.assertEqual(255, code)
        self.assertIn('/nonexistent', text)

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

"""What libraries log of requests names no trust, and is complete else."""

from __future__ import annotations

import json
import logging
import unittest

from hypothesis import given
from hypothesis import strategies as st
from keystoneauth1.identity import v3
from keystoneauth1 import session as ks_session
import requests_mock

from freezer_api.domain import redaction

KEYSTONE = 'http://keystone.example/v3/OS-TRUST/trusts'
IDS = st.text('0123456789abcdef', min_size=32, max_size=32)


class RedactionTests(unittest.TestCase):

    @given(IDS, st.sampled_from(('', '/roles', '?x=y', '"', '/roles/member')))
    def test_urls(self, trust_id: str, more: str) -> None:
        text = redaction.without_trusts(f'GET {KEYSTONE}/{trust_id}{more} x')
        self.assertEqual(f'GET {KEYSTONE}/(hidden){more} x', text)

    @given(IDS, st.booleans())
    def test_bodies(self, trust_id: str, several: bool) -> None:
        trust = {'id': trust_id, 'project_id': 'p', 'links': {
            'self': f'{KEYSTONE}/{trust_id}'}, 'roles_links': {
                'self': f'http://keystone.example/v3/{trust_id}/roles'}}
        text = redaction.without_trusts('RESP BODY: ' + json.dumps(
            {'trusts': [trust]} if several else {'trust': trust}))
        self.assertNotIn(trust_id, text)
        self.assertIn('"project_id": "p"', text)

    @given(IDS)
    def test_errors_and_scopes(self, trust_id: str) -> None:
        for text in (f'Could not find trust: {trust_id}.',
                     f'Trust {trust_id} has expired',
                     f'{{"OS-TRUST:trust": {{"id": "{trust_id}"}}}}'):
            self.assertNotIn(trust_id, redaction.without_trusts(text))

    @given(IDS)
    def test_all_else_stays(self, other: str) -> None:
        for text in (f'GET http://k/v3/users/{other}',
                     f'{{"role": {{"id": "{other}"}}}}'):
            self.assertEqual(text, redaction.without_trusts(text))

    def test_the_libraries_log_no_trust(self) -> None:
        trust_id = '0123456789abcdef' * 2
        for split in (False, True):
            redaction.hide_trusts()
            with requests_mock.Mocker() as keystone, \
                    self.assertLogs('keystoneauth', 'DEBUG') as log:
                keystone.get(f'{KEYSTONE}/{trust_id}', json={
                    'trust': {'id': trust_id}},
                    headers={'Content-Type': 'application/json'})
                ks_session.Session(split_loggers=split).get(
                    f'{KEYSTONE}/{trust_id}')
            said = '\n'.join(log.output)
            self.assertNotIn(trust_id, said)
            self.assertIn('(hidden)', said)
            self.assertIn('"trust"', said)
            with requests_mock.Mocker() as keystone, \
                    self.assertLogs('keystoneauth', 'DEBUG') as log:
                keystone.post('http://k/v3/auth/tokens', json={'token': {
                    'methods': ['password'],
                    'OS-TRUST:trust': {'id': trust_id},
                    'expires_at': '2099-01-01T00:00:00Z'}},
                    headers={'X-Subject-Token': 'SECRET'})
                ks_session.Session(auth=v3.Password(
                    'http://k/v3', user_id='u', password='SECRET',
                    trust_id=trust_id), split_loggers=split).get_token()
            said = '\n'.join(log.output)
            self.assertNotIn(trust_id, said)
            self.assertNotIn('SECRET', said)
            self.assertIn('OS-TRUST:trust', said)
        with self.assertLogs('urllib3.connectionpool', 'DEBUG') as log:
            logging.getLogger('urllib3.connectionpool').debug(
                '%s "%s %s"', 'http://k', 'GET',
                f'/v3/OS-TRUST/trusts/{trust_id}?x')
        self.assertNotIn(trust_id, log.output[0])

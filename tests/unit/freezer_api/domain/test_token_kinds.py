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

"""Which tokens are a user's own."""

from __future__ import annotations

import datetime
from typing import Any

import testtools

from freezer_api.domain import token_kinds

NOW = 1_800_000_000


def _at(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(
        NOW + seconds, datetime.UTC).strftime('%Y-%m-%dT%H:%M:%S.000000Z')


class TestDelegated(testtools.TestCase):

    def how(self, token: dict[str, Any], *more: str) -> str | None:
        return token_kinds.delegated_how(token, more, NOW)

    def test_a_login_of_the_user(self) -> None:
        for method in ('external', 'kerberos', 'mapped', 'openid', 'password',
                       'saml2', 'totp', 'x509'):
            for methods in ([method], ['token', method],
                            ['password', method]):
                self.assertIsNone(self.how({
                    'methods': methods, 'expires_at': _at(1)}))

    def test_each_delegation_is_named(self) -> None:
        for name, key in (
                ('application credential', 'application_credential'),
                ('trust', 'OS-TRUST:trust'), ('OAuth1', 'OS-OAUTH1'),
                ('OAuth2', 'oauth2_credential')):
            self.assertIn(name, self.how({
                'methods': ['password'], key: {}}) or '')
        for name, method in (
                ('application credential', 'application_credential'),
                ('OAuth1', 'oauth1'), ('EC2', 'ec2credential'),
                ('"oauth2_credential"', 'oauth2_credential'),
                ('"passkey"', 'passkey')):
            # Keystone keeps the method of a token that is exchanged.
            for methods in ([method], ['token', method]):
                self.assertIn(name, self.how({'methods': methods}) or '')

    def test_a_method_that_is_not_known_is_a_delegation(self) -> None:
        """As in Keystone, which would make no trust."""
        self.assertIsNotNone(self.how({'methods': ['passkey']}))
        self.assertIsNone(self.how({'methods': ['passkey']}, 'passkey'))
        methods: list[str] | None
        for methods in ([], None):
            self.assertIsNotNone(self.how({'methods': methods}))
        self.assertIsNotNone(self.how({}))
        # No option makes a credential of another service a login.
        for method in ('ec2credential', 'application_credential', 'oauth1'):
            self.assertIsNotNone(self.how({'methods': [method]}, method))

    def test_an_expired_token_beside_a_service_token(self) -> None:
        for seconds, delegated in ((-1, True), (0, True), (1, False)):
            self.assertEqual(delegated, self.how({
                'methods': ['password'], 'expires_at': _at(seconds)})
                is not None)

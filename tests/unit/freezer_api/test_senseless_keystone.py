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

"""Each question of the API to Keystone times each senseless answer."""

from __future__ import annotations

from collections.abc import Callable
import pathlib
import tempfile
import time
from typing import Any

from keystoneauth1 import exceptions as ks_exceptions
from keystoneauth1 import fixture as ks_fixture
import testtools
import webtest

from freezer_api import app as api_app
from freezer_api import conf as configuration
from freezer_api.keystone import service_account
from freezer_api.keystone import token_validation
from freezer_api.keystone import trusts
from tests.unit import byte_server
from tests.unit import senseless

CONF = """
[database]
connection = sqlite://
[keystone_authtoken]
auth_type = password
auth_url = {url}/v3
username = freezer
password = secret
user_domain_name = Default
project_name = service
project_domain_name = Default
"""
TRUST = 'trust-0123456789abcdef'
TIMEOUT = 1


class SenselessKeystone(testtools.TestCase):

    def setUp(self) -> None:
        super().setUp()
        self.trap = byte_server.ByteServer(
            lambda _seen: [byte_server.plain(200)])
        self.addCleanup(self.trap.close)
        self.server = byte_server.ByteServer(self.answer)
        self.addCleanup(self.server.close)
        self.kind: senseless.Kind | None = None
        self.about = ('', '')
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = pathlib.Path(folder.name, 'freezer-api.conf')
        path.write_text(CONF.format(url=self.server.url), encoding='utf-8')
        self.config = configuration.load(files=[str(path)])

    def answer(self, seen: byte_server.Seen) -> Any:
        path = seen.path.partition('?')[0]
        if (seen.method, path) == self.about and self.kind is not None:
            return self.kind(200)
        if path.endswith('/auth/tokens'):
            token = ks_fixture.V3Token(project_id='p')
            token.set_project_scope(id='p')
            token.add_service('identity', name='keystone').add_endpoint(
                'internal', self.server.url + '/v3', region='RegionOne')
            return [byte_server.document(201, token, X_Subject_Token='t0')]
        return [byte_server.document(200, {'version': {
            'id': 'v3.14', 'status': 'stable', 'links': [
                {'rel': 'self', 'href': self.server.url + '/v3'}]}})]

    def account(self) -> service_account.ServiceAccount:
        return service_account.ServiceAccount(self.config, TIMEOUT)

    def check(self, method: str, path: str, unknown: type[Exception],
              ask: Callable[[service_account.ServiceAccount], object],
              content: bool = True) -> None:
        self.about = (method, path)
        for name, kind in senseless.kinds(self.trap.url).items():
            self.kind = None
            account = self.account()
            if 'tokens' not in path:
                account.check()
                account.identity_url()
            self.kind = kind
            try:
                ask(account)
            except unknown:
                continue
            self.assertFalse(
                content, f'{method} {path}: {name} is no answer')
        self.assertEqual([], self.trap.seen)

    def keystone(self, account: service_account.ServiceAccount,
                 ) -> trusts.Trusts:
        return trusts.Trusts(account, ['member'])

    def test_login(self) -> None:
        self.check('POST', '/v3/auth/tokens', ks_exceptions.ClientException,
                   lambda account: (account.user_id(), account.roles(),
                                    account.endpoint('backup')))

    def test_making_a_trust(self) -> None:
        """An unknown outcome is no refusal of the user's."""
        def ask(account: service_account.ServiceAccount) -> str:
            return self.keystone(account).create(trusts.Caller(
                'u', 'p', ['member'], None, None), 'p', 'mark')

        self.check('POST', '/v3/OS-TRUST/trusts', trusts.KeystoneUnavailable,
                   ask)

    def test_deleting_a_trust(self) -> None:
        """A page with 404 does not mean that it is gone."""
        self.check('DELETE', f'/v3/OS-TRUST/trusts/{TRUST}',
                   trusts.KeystoneUnavailable,
                   lambda account: self.keystone(account).delete(TRUST),
                   content=False)
        self.kind = senseless.kinds('')['a page with 404']
        self.assertRaises(trusts.KeystoneUnavailable,
                          self.keystone(self.account()).delete, TRUST)

    def test_looking_at_a_trust(self) -> None:
        self.check('GET', f'/v3/OS-TRUST/trusts/{TRUST}',
                   trusts.KeystoneUnavailable,
                   lambda account: self.keystone(account).delete_made(
                       TRUST, 'mark'))

    def test_whether_it_may_be_a_trustee(self) -> None:
        self.check('GET', '/v3/OS-TRUST/trusts',
                   ks_exceptions.ClientException,
                   lambda account: account.may_be_trustee())


class TestTokens(SenselessKeystone):
    """The API asks Keystone about a caller's token."""

    def setUp(self) -> None:
        super().setUp()
        api_app.set_authtoken_defaults(self.config)
        self.config.set_override('token_cache_time', -1, 'keystone_authtoken')
        self.config.set_override('http_connect_timeout', TIMEOUT,
                                 'keystone_authtoken')

    def ask(self) -> webtest.TestResponse:
        def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            start_response('200 OK', [('Content-Type', 'text/plain')])
            return [environ['HTTP_X_USER_ID'].encode()]

        return webtest.TestApp(
            token_validation.protect(app, self.config)).get(
                '/v2', headers={'X-Auth-Token': 'of-the-caller'},
                expect_errors=True)

    def answers_are_bounded(self, method: str, path: str,
                            wanted: tuple[int, ...] = (401, 503)) -> None:
        self.assertEqual(200, self.ask().status_int)
        self.about = (method, path)
        for name, kind in senseless.kinds(self.trap.url).items():
            self.kind = kind
            began = time.monotonic()
            answer = self.ask()
            took = time.monotonic() - began
            self.assertIn(answer.status_int, wanted, name)
            if answer.status_int == 503:
                self.assertEqual(
                    ('Service Unavailable', 'keystone_unavailable'),
                    (answer.json['title'], answer.json['code']), name)
            # http_request_max_retries is 3, with pauses that double.
            self.assertLess(took, 4 * TIMEOUT + 3.5 + 2, name)
        # Neither its own token nor the caller's went there.
        self.assertEqual([], self.trap.seen)

    def test_validating(self) -> None:
        self.answers_are_bounded('GET', '/v3/auth/tokens')

    def test_no_catalogue_is_asked_for(self) -> None:
        self.assertEqual(200, self.ask().status_int)
        [validated] = [seen.path for seen in self.server.seen
                       if seen.method == 'GET'
                       and seen.path.startswith('/v3/auth/tokens')]
        self.assertIn('nocatalog', validated)

    def test_its_own_login(self) -> None:
        self.answers_are_bounded('POST', '/v3/auth/tokens')

    def test_looking_for_the_version(self) -> None:
        """Without an answer of use it takes the URL that it was given."""
        self.answers_are_bounded('GET', '/v3', (200, 401, 503))

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

"""Tokens that are not asked about twice in a second."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
import unittest

from keystonemiddleware.auth_token import _request

from freezer_api.api import known_tokens

MEMBER = {'HTTP_X_IDENTITY_STATUS': 'Confirmed', 'HTTP_X_ROLES': 'member',
          'keystone.token_info': {'token': {}}}


class KnownTokensTest(unittest.TestCase):

    def setUp(self) -> None:
        super().setUp()
        self.now = 1_000
        self.asked: list[str | None] = []
        self.said: dict[str, Any] = dict(MEMBER)
        self.known = known_tokens.KnownTokens(
            self.middleware, self.app, lambda: self.now)

    def middleware(self, app: known_tokens.Wsgi) -> known_tokens.Wsgi:
        def ask(environ: dict[str, Any],
                start_response: Callable[..., Any]) -> Iterable[bytes]:
            token = environ.get('HTTP_X_AUTH_TOKEN')
            self.asked.append(token)
            environ.update(self.said, HTTP_X_USER_ID=token,
                           **{'webob.adhoc_attrs': {}})
            return app(environ, start_response)
        return ask

    def app(self, environ: dict[str, Any],
            start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.environ = environ
        return []

    def send(self, sent: str = 't1', method: str = 'GET',
             **more: str) -> dict[str, Any]:
        self.known({'HTTP_X_AUTH_TOKEN': sent, 'REQUEST_METHOD': method,
                    'PATH_INFO': '/', **more}, lambda *_: None)
        return self.environ

    def check_asked(self, **more: str) -> None:
        """Such a request is asked about, whatever is known."""
        self.asked.clear()
        self.send(**more)
        self.assertEqual(1, len(self.asked), more)

    def test_is_asked_about_once_in_a_second(self) -> None:
        first = self.send()
        second = self.send()
        self.assertEqual(['t1'], self.asked)
        first.pop('webob.adhoc_attrs')
        self.assertEqual(first, second)
        self.now += 1
        self.check_asked(sent='t2')
        # Those of times before do not stay.
        self.assertEqual(['t2'], list(self.known._known[1]))
        self.now -= 1
        self.check_asked(sent='t2')

    def test_each_is_its_own(self) -> None:
        self.send()
        self.assertEqual('t2', self.send('t2')['HTTP_X_USER_ID'])
        self.assertEqual('t1', self.send('t1')['HTTP_X_USER_ID'])
        self.assertEqual(['t1', 't2'], self.asked)

    def test_what_the_middleware_takes_away_is_left_to_it(self) -> None:
        self.send()
        request = _request._AuthTokenRequest({})
        for name in (*request._all_auth_headers(), 'X-Service-Token',
                     'X-Storage-Token', 'OpenStack-System-Scope'):
            self.check_asked(
                **{f'HTTP_{name.upper().replace("-", "_")}': 'admin'})

    def test_other_headers_make_no_difference(self) -> None:
        self.send(HTTP_X_OPENSTACK_REQUEST_ID='req-1',
                  HTTP_X_FORWARDED_FOR='192.0.2.1')
        self.asked.clear()
        self.assertNotIn('HTTP_X_OPENSTACK_REQUEST_ID', self.send())
        self.assertEqual('req-2', self.send(
            HTTP_X_OPENSTACK_REQUEST_ID='req-2', HTTP_ACCEPT='*/*')[
                'HTTP_X_OPENSTACK_REQUEST_ID'])
        self.assertNotIn('HTTP_X_FORWARDED_FOR', self.environ)
        self.assertEqual([], self.asked)

    def test_bodiless_answers_are_left_to_the_middleware(self) -> None:
        self.send()
        self.check_asked(method='HEAD')

    def test_one_that_is_good_for_some_requests_only(self) -> None:
        cases: tuple[dict[str, Any], ...] = (
                {'HTTP_X_IDENTITY_STATUS': 'Invalid'},
                {'keystone.token_info': {'token': {
                    'bind': {'kerberos': 'alice'}}}},
                {'keystone.token_info': {'token': {
                    'application_credential': {'access_rules': []}}}})
        for said in cases:
            with self.subTest(said):
                self.said = {**MEMBER, **said}
                self.send()
                self.check_asked()
        self.said = {**MEMBER, 'keystone.token_info': {'token': {
            'application_credential': {'id': 'a'}}}}
        self.send()
        self.asked.clear()
        self.send()
        self.assertEqual([], self.asked)

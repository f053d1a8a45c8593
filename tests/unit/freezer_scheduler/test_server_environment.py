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

from __future__ import annotations

from unittest import mock

import fixtures
import requests
import testtools

from freezer_scheduler import server_environment


class TestSession(testtools.TestCase):

    def setUp(self):
        super().setUp()
        for name, value in (
                ('http_proxy', 'http://proxy:3128'),
                ('no_proxy', 'inside'), ('REQUESTS_CA_BUNDLE', '/bundle')):
            self.useFixture(fixtures.EnvironmentVariable(name, value))
        self.session = server_environment.Session()

    def settings(self, url, proxies=None, verify=True, cert=None):
        return self.session.merge_environment_settings(
            url, proxies or {}, None, verify, cert)

    def environment(self):
        return mock.patch.object(requests.sessions, 'get_environ_proxies',
                                 autospec=True, return_value={})

    def test_it_says_what_requests_says(self):
        for url in ('http://outside/a', 'http://inside/b',
                    'http://inside:80/b', 'https://inside/b'):
            for verify in (True, False, '/mine'):
                for proxies in ({}, {'http': 'http://other:1'}):
                    wanted = requests.Session().merge_environment_settings(
                        url, dict(proxies), None, verify, 'cert')
                    for _ in range(2):
                        self.assertEqual(wanted, self.settings(
                            url, dict(proxies), verify, 'cert'))

    def test_the_environment_is_asked_once_about_each_server(self):
        with self.environment() as asked:
            for number in range(5):
                self.settings(f'http://inside/v3/{number}')
            self.assertEqual(1, asked.call_count)
            self.settings('http://outside/v3')
            self.assertEqual(2, asked.call_count)

    def test_a_request_is_sent_with_it(self):
        with (self.environment() as asked,
              mock.patch.object(requests.Session, 'send', autospec=True)):
            for number in range(5):
                self.session.get(f'http://inside/v3/{number}')
        self.assertEqual(1, asked.call_count)

    def test_no_account_of_a_netrc_is_sent(self):
        self.useFixture(fixtures.EnvironmentVariable('NETRC', '/any'))
        with mock.patch.object(
                requests.sessions, 'get_netrc_auth', autospec=True,
                return_value=('somebody', 'secret')) as asked:
            prepared = self.session.prepare_request(
                requests.Request('GET', 'http://inside/v3'))
        self.assertNotIn('Authorization', prepared.headers)
        self.assertEqual(0, asked.call_count)

    def test_it_prepares_what_requests_prepares(self):
        for given in (
                {'method': 'get'},
                {'params': {'limit': 1, 'name': 'ä b'}},
                {'headers': {'user-agent': 'mine', 'X-Auth-Token': 't'}},
                {'headers': {'X-None': None}},
                {'method': 'POST', 'json': {'a': ['ö']}},
                {'method': 'POST', 'data': b'{}',
                 'headers': {'Content-Type': 'application/json'}},
                {'method': 'DELETE', 'url': 'http://outside/ä b'},
                {'cookies': {'kept': 'by nobody'}},
                {'auth': ('somebody', 'secret')}):
            request = requests.Request(
                **{'method': 'GET', 'url': 'http://inside/v3', **given})
            wanted = requests.Session().prepare_request(request)
            found = self.session.prepare_request(request)
            for name in ('method', 'url', 'headers', 'body', 'hooks'):
                self.assertEqual(getattr(wanted, name),
                                 getattr(found, name), f'{given} {name}')

    def test_a_header_cannot_hold_a_line_break(self):
        self.assertRaises(
            requests.exceptions.InvalidHeader, self.session.prepare_request,
            requests.Request('GET', 'http://inside/v3',
                             headers={'X-Auth-Token': 'a\r\nX-Other: b'}))

    def test_cookies_are_not_looked_for_where_there_are_none(self):
        with mock.patch.object(requests.sessions, 'merge_cookies',
                               autospec=True) as merged:
            self.session.prepare_request(
                requests.Request('GET', 'http://inside/v3'))
        self.assertEqual(0, merged.call_count)


class TestAdapter(testtools.TestCase):

    def test_it_says_what_requests_says(self):
        adapter = server_environment.Adapter()
        for url in ('http://one/a', 'https://one/b', 'https://two:8/c'):
            request = requests.Request('GET', url).prepare()
            for verify in (True, False, '/', '/bundle'):
                for cert in (None, '/mine', ('/mine', '/key')):
                    wanted = requests.adapters.HTTPAdapter(
                        ).build_connection_pool_key_attributes(
                            request, verify, cert)
                    for _ in range(2):
                        self.assertEqual(
                            wanted,
                            adapter.build_connection_pool_key_attributes(
                                request, verify, cert))

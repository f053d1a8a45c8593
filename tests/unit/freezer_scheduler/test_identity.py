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

"""One login for each trust and token; nothing is kept for ever."""

from __future__ import annotations

import email
import threading
import time
from unittest import mock

import requests
from requests import cookies
import requests_mock
import testtools
import urllib3

from freezer_scheduler.engines import cinder_client
from freezer_scheduler import identity
from tests.unit.freezer_scheduler import fakes


class TestIdentity(testtools.TestCase):

    def setUp(self):
        super().setUp()
        mocker = requests_mock.Mocker()
        mocker.start()
        self.addCleanup(mocker.stop)
        self.cloud = fakes.FakeCloud(mocker, fakes.FakeClock())
        self.identity = identity.Identity(fakes.settings(), trusts_kept=3)

    def client(self, trust=fakes.TRUST):
        return cinder_client.CinderClient(self.identity, trust, 'public',
                                          None)

    def test_one_login_serves_many_requests(self):
        for _request in range(10):
            self.client().volume_status(fakes.VOLUME)
        self.assertEqual(1, len(self.cloud.logins))

    def test_the_login_names_the_trust_and_no_project(self):
        self.client().login()
        body = self.cloud.logins[0]['auth']
        self.assertEqual({'OS-TRUST:trust': {'id': fakes.TRUST}},
                         body['scope'])
        self.assertEqual('freezer',
                         body['identity']['password']['user']['name'])

    def test_the_service_has_a_session_of_its_own(self):
        self.assertEqual(fakes.SERVICE_PROJECT,
                         self.identity.service().get_project_id())
        self.assertIs(self.identity.service(), self.identity.service())

    def test_the_least_lately_used_is_forgotten(self):
        for number in range(4):
            self.cloud.trusts[f't{number}'] = fakes.PROJECT
        for trust in ('t0', 't1', 't2', 't0', 't3'):
            self.client(trust).login()
        self.assertEqual(4, len(self.cloud.logins))
        self.client('t0').login()
        self.assertEqual(4, len(self.cloud.logins))
        self.client('t1').login()
        self.assertEqual(5, len(self.cloud.logins))

    def test_threads_share_one_login(self):
        def slowly(request):
            # Long enough for the others to come and wait.
            time.sleep(0.2)
            return self.cloud._login(request)

        self.cloud.fail('POST', '/auth/tokens', slowly)
        threads = [threading.Thread(target=self.client().login)
                   for _number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        self.assertEqual(1, len(self.cloud.logins))

    def test_a_token_that_ended_early_is_replaced(self):
        self.client().login()
        self.cloud.fail('GET', '/volumes', 401)
        self.assertEqual('available',
                         self.client().volume_status(fakes.VOLUME))
        self.assertEqual(2, len(self.cloud.logins))

    def test_a_refused_trust_is_forgotten(self):
        self.client().login()
        del self.cloud.trusts[fakes.TRUST]
        for _try in range(2):
            error = self.assertRaises(
                cinder_client.TrustRefused, self.client().volume_status,
                fakes.VOLUME)
            self.assertNotIn(fakes.TRUST, str(error))
        self.cloud.trusts[fakes.TRUST] = fakes.PROJECT
        self.client().volume_status(fakes.VOLUME)

    def test_keystone_urls(self):
        for url, expected in (
                ('http://k:5000', 'http://k:5000/v3'),
                ('http://k:5000/', 'http://k:5000/v3'),
                ('http://k/identity', 'http://k/identity/v3'),
                ('http://k:5000/v3/', 'http://k:5000/v3'),
                ('http://k:5000/v2.0', 'http://k:5000/v3')):
            self.assertEqual(expected, identity.identity_url(url))

    def test_cookies_of_one_user_never_reach_another(self):
        def kept(http):
            raw = urllib3.HTTPResponse(original_response=mock.Mock(
                msg=email.message_from_string('Set-Cookie: sticky=x\n')))
            cookies.extract_cookies_to_jar(
                http.cookies, requests.Request('GET', fakes.CINDER), raw)
            return dict(http.cookies)

        # What any other session does.
        self.assertEqual({'sticky': 'x'}, kept(requests.Session()))
        self.assertEqual({}, kept(self.identity.service().session))

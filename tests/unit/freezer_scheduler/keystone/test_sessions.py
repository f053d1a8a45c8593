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
import gc
import os
import pathlib
import threading
import time
from unittest import mock

import hypothesis
from hypothesis import strategies as st
from keystoneauth1 import access
from keystoneauth1 import exceptions
from keystoneauth1.identity import v3
import requests
from requests import cookies
import requests_mock
import testtools
import urllib3

from freezer_api.domain import trust_errors
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.keystone import sessions
from freezer_scheduler.keystone import tokens
from tests.unit.freezer_scheduler import fakes


class TestIdentity(testtools.TestCase):

    def setUp(self):
        super().setUp()
        mocker = requests_mock.Mocker()
        mocker.start()
        self.addCleanup(mocker.stop)
        self.cloud = fakes.FakeCloud(mocker, fakes.FakeClock())
        self.identity = sessions.Identity(fakes.settings(), trusts_kept=3)

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

    def test_a_url_of_another_kind_is_looked_for(self):
        session = self.identity.service()

        def ask(interface):
            return session.get_endpoint(
                service_type='block-storage', interface=interface,
                skip_discovery=True)

        for _time in range(2):
            self.assertIsNotNone(ask('public'))
            self.assertRaises(exceptions.EndpointNotFound, ask, 'nowhere')

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

    def test_what_is_wrong_with_a_trust_is_told_apart(self):
        def refuse():
            self.cloud.refused.add(fakes.TRUST)

        for cause, spoil, mend in (
                ('trust_refused', refuse, self.cloud.refused.clear),
                ('project_disabled',
                 lambda: self.cloud.disabled_projects.add(fakes.PROJECT),
                 self.cloud.disabled_projects.clear),
                ('trust_gone', self.cloud.trusts.clear,
                 lambda: self.cloud.trusts.update(
                     {fakes.TRUST: fakes.PROJECT}))):
            self.assertIsNone(self.identity.check(fakes.TRUST))
            self.identity.forget(fakes.TRUST)
            spoil()
            self.assertEqual(cause, self.identity.check(fakes.TRUST))
            error = self.assertRaises(cinder_client.TrustRefused,
                                      self.client().login)
            self.assertEqual(trust_errors.Cause(cause).advice, str(error))
            mend()

    def test_a_503_of_cinder_may_be_the_trust(self):
        """So it answers while Keystone will not validate the token."""
        self.client().login()
        self.cloud.refused.add(fakes.TRUST)
        self.cloud.fail('GET', '/volumes', 503)
        self.assertRaises(cinder_client.Unknown,
                          self.client().volume_status, fakes.VOLUME)
        self.assertRaises(cinder_client.TrustRefused,
                          self.client().volume_status, fakes.VOLUME)

    def test_a_wrong_password_of_the_account_is_no_fault_of_the_trust(self):
        # An old login of ours is no proof that we could log in now.
        self.identity.service().get_token()
        self.cloud.password = 'another'
        self.assertIsNone(self.identity.check(fakes.TRUST))
        self.assertRaises(cinder_client.NotSent, self.client().login)

    def test_an_unavailable_keystone_is_no_fault_of_the_trust(self):
        for fault in (500, 503, 429, fakes.no_connection, fakes.broken,
                      fakes.lost_answer):
            self.cloud.fail('POST', '/auth/tokens', fault)
            self.assertIsNone(self.identity.check(fakes.TRUST))
            self.cloud.fail('POST', '/auth/tokens', fault)
            self.assertRaises(cinder_client.NotSent, self.client().login)

    def test_keystone_becomes_unavailable_while_it_is_asked_why(self):
        self.cloud.trusts.clear()
        for fault in (500, 403, fakes.no_connection):
            self.cloud.fail('GET', '/OS-TRUST/trusts/', fault)
            self.assertIsNone(self.identity.check(fakes.TRUST))

    def test_a_sound_trust_is_checked_without_asking(self):
        for _time in range(5):
            self.assertIsNone(self.identity.check(fakes.TRUST))
        self.assertEqual(1, len(self.cloud.logins))

    @hypothesis.given(st.lists(st.integers(0, 9), max_size=60),
                      st.integers(1, 5))
    @hypothesis.settings(deadline=None, max_examples=40)
    def test_it_keeps_the_latest_and_no_more(self, used, kept):
        """Tens of thousands of trusts in constant memory."""
        with requests_mock.Mocker() as mocker:
            cloud = fakes.FakeCloud(mocker, fakes.FakeClock())
            cloud.trusts = {f't{number}': fakes.PROJECT
                            for number in range(10)}
            known = sessions.Identity(fakes.settings(), trusts_kept=kept)
            latest: list[int] = []
            logins = 0
            for number in used:
                logins += number not in latest
                known.check(f't{number}')
                latest = [number, *(one for one in latest
                                    if one != number)][:kept]
                self.assertEqual(logins, len(cloud.logins))
                self.assertLessEqual(len(known._trusts), kept)

    def test_tens_of_thousands_of_trusts_take_constant_memory(self):
        known = sessions.Identity(fakes.settings())

        def used(first, last):
            for number in range(first, last):
                # As after a login, with the catalogue of a cloud.
                token = {'methods': ['password'], 'catalog': [{
                    'type': f'type-{number}-{service}', 'endpoints': [
                        {'url': f'http://{interface}.example/{number}'}
                        for interface in ('public', 'internal', 'admin')]}
                    for service in range(6)]}
                plugin = known.trust(f'trust-{number}').auth
                assert isinstance(plugin, v3.Password)
                plugin.auth_ref = access.AccessInfoV3(
                    {'token': token}, f't{number}')
            gc.collect()
            pages = pathlib.Path('/proc/self/statm').read_text().split()[1]
            return int(pages) * os.sysconf('SC_PAGE_SIZE') >> 20

        full = used(0, 2000)
        later = used(2000, 22_000)
        # Were they kept, these would take some hundreds of MiB.
        self.assertLess(later - full, 16)

    def test_our_own_token_is_renewed_at_half_of_its_life(self):
        self.cloud.token_seconds = 1000
        clock = fakes.FakeClock()
        known = sessions.Identity(fakes.settings(), clock=clock)
        known.service().get_token()
        for left, logins in ((900, 1), (501, 1), (499, 2)):
            clock.epoch = 2_000_000_000 - left
            known.renew()
            self.assertEqual(logins, len(self.cloud.logins), str(left))
        # One that fails leaves the old one in its place.
        token = known.service().get_token()
        self.cloud.fail('POST', '/auth/tokens', 503)
        self.assertRaises(exceptions.ServiceUnavailable, known.renew)
        self.assertEqual(token, known.service().get_token())

    def test_keystone_urls(self):
        for url, expected in (
                ('http://k:5000', 'http://k:5000/v3'),
                ('http://k:5000/', 'http://k:5000/v3'),
                ('http://k/identity', 'http://k/identity/v3'),
                ('http://k:5000/v3/', 'http://k:5000/v3'),
                ('http://k:5000/v2.0', 'http://k:5000/v3')):
            self.assertEqual(expected, sessions.identity_url(url))

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


class TestDeferred(testtools.TestCase):
    """In service mode only the threads of logins log in with trusts."""

    def setUp(self):
        super().setUp()
        mocker = requests_mock.Mocker()
        mocker.start()
        self.addCleanup(mocker.stop)
        self.clock = fakes.FakeClock()
        self.cloud = fakes.FakeCloud(mocker, self.clock)
        self.cloud.token_seconds = 1000
        self.known = sessions.Identity(
            fakes.settings('--scheduler-token-percent', '80'),
            deferred=True, clock=self.clock)
        self.client = cinder_client.CinderClient(
            self.known, fakes.TRUST, 'public', None)

    def token(self, submits=False):
        return self.known.token(fakes.TRUST, submits)

    def test_no_request_of_a_worker_logs_in(self):
        for ask in (self.client.login,
                    lambda: self.client.volume_status(fakes.VOLUME),
                    lambda: self.client.delete(fakes.VOLUME)):
            self.assertRaises(cinder_client.NotSent, ask)
        self.assertIsNone(self.known.check(fakes.TRUST))
        self.assertEqual([], self.cloud.logins)
        self.known.log_in(fakes.TRUST)
        self.client.volume_status(fakes.VOLUME)
        self.assertEqual(1, len(self.cloud.logins))
        # Nor does a token that ended before its time.
        self.cloud.tokens.clear()
        self.assertRaises(cinder_client.NotSent,
                          self.client.volume_status, fakes.VOLUME)
        self.assertEqual(1, len(self.cloud.logins))
        self.assertIs(tokens.Token.DUE, self.token())

    @hypothesis.given(
        life=st.integers(5, 100_000), percent=st.integers(0, 95),
        took=st.floats(0, 60), passed=st.floats(0, 1.5))
    @hypothesis.settings(deadline=None, max_examples=100)
    def test_no_submit_with_less_than_a_part_of_a_token(
            self, life, percent, took, passed):
        clock = fakes.FakeClock()
        # Keystone's clock says what it likes.
        clock.epoch = 2_000_000_000 - life + 1e6
        with requests_mock.Mocker() as mocker:
            cloud = fakes.FakeCloud(mocker, clock)
            cloud.token_seconds = life
            known = sessions.Identity(
                fakes.settings('--scheduler-token-percent', str(percent)),
                deferred=True, clock=clock)

            def slow(request):
                clock.now += took
                return cloud._login(request)

            cloud.fail('POST', '/auth/tokens', slow)
            known.log_in(fakes.TRUST)
            clock.now += passed * life
            client = cinder_client.CinderClient(known, fakes.TRUST, 'public',
                                                None)
            left = (1 - passed) * life
            if known.token(fakes.TRUST, submits=True) is tokens.Token.READY:
                client.login()
                self.assertGreaterEqual(left, percent / 100 * life - 1e-6)
            else:
                self.assertRaises(cinder_client.NotSent, client.login)
            if known.token(fakes.TRUST) is tokens.Token.READY:
                client.volume_status(fakes.VOLUME)
                self.assertGreater(left, 0)
            # A login as slow as that is made once, and not for ever.
            if took < life / 2:
                cloud.fail('POST', '/auth/tokens', slow)
                known.log_in(fakes.TRUST)
                self.assertIs(tokens.Token.READY,
                              known.token(fakes.TRUST, submits=True))

    def test_a_login_that_failed_leaves_a_token_that_still_serves(self):
        self.known.log_in(fakes.TRUST)
        self.clock.sleep(500)
        self.cloud.fail('POST', '/auth/tokens', fakes.lost_answer)
        self.known.log_in(fakes.TRUST)
        self.assertIs(tokens.Token.READY, self.token())
        self.assertIs(tokens.Token.FAILED, self.token(submits=True))
        self.client.volume_status(fakes.VOLUME)
        self.assertRaises(cinder_client.NotSent, self.client.login)
        self.assertEqual(0, self.known.retry_in(fakes.TRUST))

    def test_what_hung_is_not_tried_for_more_than_half_of_the_time(self):
        def hang(request):
            self.clock.sleep(30)
            return fakes.lost_answer(request)

        for _time in range(3):
            self.cloud.fail('POST', '/auth/tokens', hang)
            self.known.log_in(fakes.TRUST)
            self.assertIs(tokens.Token.FAILED, self.token())
            self.assertGreaterEqual(self.known.retry_in(fakes.TRUST), 30)
            self.clock.sleep(30)
            self.assertIs(tokens.Token.DUE, self.token())

    def test_a_refused_trust(self):
        self.known.log_in(fakes.TRUST)
        self.cloud.refused.add(fakes.TRUST)
        self.known.forget(fakes.TRUST)
        self.known.log_in(fakes.TRUST)
        self.assertEqual('trust_refused', self.known.check(fakes.TRUST))
        error = self.assertRaises(cinder_client.TrustRefused,
                                  self.client.login)
        self.assertNotIn(fakes.TRUST, str(error))

    def test_cinder_that_refuses_each_new_token(self):
        """Once may be chance; then it is the trust."""
        self.known.log_in(fakes.TRUST)
        self.cloud.fail('GET', '/volumes', 401, 401)
        self.assertRaises(cinder_client.NotSent,
                          self.client.volume_status, fakes.VOLUME)
        self.known.log_in(fakes.TRUST)
        self.assertRaises(cinder_client.TrustRefused,
                          self.client.volume_status, fakes.VOLUME)
        self.known.log_in(fakes.TRUST)
        self.client.volume_status(fakes.VOLUME)

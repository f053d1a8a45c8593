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

from collections.abc import Iterator
from http import server
import threading
import time
import tracemalloc
import zlib

from keystoneauth1 import exceptions as ks_exceptions
from keystoneauth1 import fixture as ks_fixture
from keystoneauth1.identity import v3
from keystoneauth1 import session as ks_session
import requests
import testtools

from freezer_http import adapter
from tests.unit import byte_server

REDIRECTS = (301, 302, 303, 307, 308)
TIMEOUT = 0.5
# How much later than its deadline a request may end on a busy machine.
GRACE = 4


class AdapterCase(testtools.TestCase):

    def serve(self, answer: byte_server.Answer) -> byte_server.ByteServer:
        made = byte_server.ByteServer(answer)
        self.addCleanup(made.close)
        return made

    def get(self, answer: byte_server.Answer) -> requests.Response:
        session = adapter.mount(requests.Session(), 2)
        self.addCleanup(session.close)
        return session.get(self.serve(answer).url, timeout=TIMEOUT,
                           allow_redirects=False)


class TestSaneAnswers(AdapterCase):

    def test_they_arrive_whole(self) -> None:
        body = b'{"a": "' + b'x' * 300_000 + b'"}'
        whole = byte_server.plain(200, body, X_Other='kept')
        for name, answer in {
                'plain': [whole],
                'gzip': [byte_server.zipped(200, body, X_Other='kept')],
                'in pieces': byte_server.dripping(whole, len(whole) - 4),
                }.items():
            found = self.get(lambda _seen, answer=answer: answer)
            self.assertEqual((200, body), (found.status_code, found.content),
                             name)
            self.assertEqual('kept', found.headers['X-Other'])
            self.assertEqual('Any', found.reason)
        found = self.get(lambda _seen: byte_server.chunked(
            200, [body[:7], body[7:]]))
        self.assertEqual(body, found.content)
        found = self.get(lambda _seen: [byte_server.plain(204)])
        self.assertEqual((204, b''), (found.status_code, found.content))

    def test_a_connection_is_used_again(self) -> None:
        clients = set()

        class Handler(server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_GET(self) -> None:
                clients.add(self.client_address)
                self.send_response(200)
                self.send_header('Content-Length', '2')
                self.end_headers()
                self.wfile.write(b'{}')

            def log_message(self, *_args: object) -> None:
                pass

        made = server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        made.daemon_threads = True
        threading.Thread(target=made.serve_forever, daemon=True).start()
        self.addCleanup(made.server_close)
        self.addCleanup(made.shutdown)
        session = adapter.mount(requests.Session(), 2)
        self.addCleanup(session.close)
        for _time in range(3):
            session.get(f'http://127.0.0.1:{made.server_address[1]}',
                        timeout=5)
        self.assertEqual(1, len(clients))

    def test_300_is_an_answer(self) -> None:
        """Keystone answers so to the question for its versions."""
        found = self.get(lambda _seen: [byte_server.plain(
            300, b'{"versions": {}}', Location='http://other/v3/')])
        self.assertEqual(300, found.status_code)


class TestDeadline(AdapterCase):

    def assert_ends(self, answer: byte_server.Answer) -> None:
        began = time.monotonic()
        self.assertRaises(requests.exceptions.RequestException, self.get,
                          answer)
        self.assertLess(time.monotonic() - began, TIMEOUT + GRACE)

    def test_it_is_one_for_the_whole_answer(self) -> None:
        whole = byte_server.plain(200, b' ' * 4000)
        head = whole.index(b'\r\n\r\n')
        for fast in (0, 1, 15, head - 5, head + 2, head + 4, head + 100):
            self.assert_ends(
                lambda _seen, fast=fast: byte_server.dripping(whole, fast))

    def test_it_is_one_for_the_frames_of_chunks(self) -> None:
        start = (b'HTTP/1.1 200 Any\r\nTransfer-Encoding: chunked\r\n\r\n')
        for frames in (b'1;' + b'x' * 4000, b'fff\r\n' + b'x' * 4000,
                       b'0\r\n' + b'A: b\r\n' * 2000):
            self.assert_ends(lambda _seen, frames=frames:
                             byte_server.dripping(start + frames, len(start)))

    def test_it_is_one_for_answers_before_the_answer(self) -> None:
        def answer(_seen: byte_server.Seen) -> Iterator[bytes]:
            for _number in range(400):
                yield b'HTTP/1.1 100 Continue\r\n\r\n'
                time.sleep(byte_server.DRIP)

        self.assert_ends(answer)

    def test_it_is_one_for_compressed_answers(self) -> None:
        packer = zlib.compressobj(0, wbits=31)
        body = packer.compress(b' ' * 4000) + packer.flush()
        whole = byte_server.plain(200, body, Content_Encoding='gzip')
        self.assert_ends(lambda _seen: byte_server.dripping(
            whole, len(whole) - 3000))


class TestSize(AdapterCase):

    def assert_bounded(self, answer: byte_server.Answer) -> None:
        session = adapter.mount(requests.Session(), 2)
        url = self.serve(answer).url
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.assertRaises(adapter.TooLarge, session.get, url, timeout=60)
        self.assertLess(tracemalloc.get_traced_memory()[1],
                        3 * adapter.MAX_BODY)
        tracemalloc.stop()

    def test_an_answer_without_an_end(self) -> None:
        def pieces() -> Iterator[bytes]:
            while True:
                yield b'x' * 65536

        self.assert_bounded(
            lambda _seen: byte_server.chunked(200, pieces()))

    def test_a_small_answer_that_is_large(self) -> None:
        packer = zlib.compressobj(9, wbits=31)
        body = b''.join([packer.compress(bytes(2 ** 20))
                         for _number in range(200)]) + packer.flush()
        self.assertLess(len(body), 2 ** 18)
        bomb = byte_server.plain(200, body, Content_Encoding='gzip')
        self.assert_bounded(lambda _seen: [bomb])

    def test_the_largest_is_taken(self) -> None:
        body = bytes(adapter.MAX_BODY)
        session = adapter.mount(requests.Session(), 2)
        url = self.serve(lambda _seen: [byte_server.plain(200, body)]).url
        self.assertEqual(body, session.get(url, timeout=60).content)


class TestRedirects(AdapterCase):

    def setUp(self) -> None:
        super().setUp()
        self.trap = self.serve(lambda _seen: [byte_server.plain(200)])

    def test_none_is_followed(self) -> None:
        for status in REDIRECTS:
            for location in (self.trap.url, self.trap.url + '/v3/auth/tokens',
                             f'//127.0.0.1:{self.trap.port}/', '/elsewhere',
                             'http://[', '\xff\xfe', '', 'ftp://x',
                             'x' * 9999):
                error = self.assertRaises(
                    adapter.Redirected, self.get,
                    lambda _seen, status=status, location=location: [
                        byte_server.plain(status, b'<a/>',
                                          Location=location)])
                self.assertTrue(str(error).isprintable())
                self.assertLess(len(str(error)), 300)
        self.assertEqual([], self.trap.seen)

    def test_no_secret_of_the_location_is_told(self) -> None:
        error = self.assertRaises(
            adapter.Redirected, self.get, lambda _seen: [byte_server.plain(
                302, Location='https://user:pass@other:8/v3?token=secret#x')])
        self.assertEqual(
            'answered 302, a redirect to https://other:8/v3', str(error))

    def test_neither_a_password_nor_a_token_goes_along(self) -> None:
        """Of a session as others make it, with redirects on."""
        token = ks_fixture.V3Token()
        redirects = True

        def answer(seen: byte_server.Seen) -> list[bytes]:
            if redirects:
                return [byte_server.plain(307, Location=self.trap.url)]
            return [byte_server.document(201, token, X_Subject_Token='t0')]

        made = self.serve(answer)
        session = ks_session.Session(
            auth=v3.Password(made.url + '/v3', username='u', password='p',
                             user_domain_id='d'),
            session=adapter.mount(requests.Session(), 2), timeout=5)
        self.assertRaises(ks_exceptions.ClientException, session.get_token)
        redirects = False
        self.assertEqual('t0', session.get_token())
        redirects = True
        self.assertRaises(ks_exceptions.ClientException, session.post,
                          made.url + '/backups', json={})
        self.assertEqual('t0', made.seen[-1].headers['x-auth-token'])
        self.assertEqual([], self.trap.seen)

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

"""What a process bounds of its clients, on real sockets.

Limits of some hundred milliseconds stand for those of a minute.
"""

from __future__ import annotations

from collections.abc import Iterable
import contextlib
import json
import socket
import threading
import time
from typing import Any
import unittest

from freezer_api import server

# Seconds after which a test that still waits has failed.
PATIENCE = 30
LARGE = b'x' * (8 << 20)


class ServerTests(unittest.TestCase):

    threads = 2

    def setUp(self) -> None:
        super().setUp()
        self.seen: list[str] = []
        self.go_on = threading.Event()
        self.listening = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(self.listening.close)

    def application(self, environ: dict[str, Any],
                    start_response: Any) -> Iterable[bytes]:
        path = environ['PATH_INFO']
        self.seen.append(path)
        environ['wsgi.input'].read()
        if path == '/wait':
            self.go_on.wait(PATIENCE)
        start_response('200 OK', [('Content-Type', 'text/plain')])
        return [LARGE if path == '/large' else b'done']

    def serve(self, **changed: int) -> None:
        limits = {'body': 1000, 'connections': 20, 'threads': self.threads,
                  'request': PATIENCE, 'idle': PATIENCE, **changed}
        self.server = server.make_server(
            self.application, self.listening, server.Limits(**limits))
        thread = threading.Thread(target=self.server.run, daemon=True)
        thread.start()
        self.addCleanup(thread.join, PATIENCE)
        # The loop ends when it has no sockets left.
        self.addCleanup(self.server.trigger.pull_trigger, self.end)
        self.addCleanup(self.go_on.set)

    def end(self) -> None:
        for one in list(self.server.active_channels.values()):
            one.handle_close()
        self.server.close()

    def connect(self, sent: bytes = b'') -> socket.socket:
        made = self.enterContext(socket.create_connection(
            self.listening.getsockname(), PATIENCE))
        made.sendall(sent)
        return made

    def answer(self, made: socket.socket) -> bytes:
        """Return all that comes until the end of the connection."""
        parts = []
        with contextlib.suppress(ConnectionResetError):
            while part := made.recv(1 << 20):
                parts.append(part)
        return b''.join(parts)

    def get(self, path: str = '/') -> bytes:
        return self.answer(self.connect(
            f'GET {path} HTTP/1.0\r\n\r\n'.encode()))

    def assert_drip_ends(self, first: bytes, drip: bytes) -> None:
        self.serve(request=1)
        began = time.monotonic()
        made = self.connect(first)
        made.settimeout(0.05)
        with self.assertRaises(ConnectionError):
            while time.monotonic() - began < PATIENCE:
                made.sendall(drip)
                with contextlib.suppress(TimeoutError):
                    if not made.recv(1):
                        raise ConnectionResetError
        self.assertGreater(time.monotonic() - began, 0.9)
        self.assertEqual([], self.seen)

    def test_a_request_is_answered(self) -> None:
        self.serve()
        self.assertTrue(self.get().endswith(b'\r\n\r\ndone'))

    def test_a_dripping_head_ends(self) -> None:
        self.assert_drip_ends(b'GET / HTTP/1.1\r\n', b'X: y\r\n')

    def test_a_dripping_body_ends(self) -> None:
        self.assert_drip_ends(
            b'POST / HTTP/1.1\r\nContent-Length: 999\r\n\r\n', b'x')

    def test_dripping_chunks_end(self) -> None:
        self.assert_drip_ends(
            b'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n',
            b'1\r\nx\r\n')

    def test_a_body_that_never_comes_ends(self) -> None:
        self.serve(request=1)
        made = self.connect(b'POST / HTTP/1.1\r\nExpect: 100-continue\r\n'
                            b'Content-Length: 9\r\n\r\n')
        self.assertEqual(b'HTTP/1.1 100 Continue\r\n\r\n', self.answer(made))

    def assert_reader_ends(self, reads: int, **limits: int) -> None:
        self.serve(**limits)
        made = self.connect(b'GET /large HTTP/1.1\r\n\r\n')
        got = len(made.recv(1))
        deadline = time.monotonic() + PATIENCE
        while self.server.active_channels:
            self.assertLess(time.monotonic(), deadline)
            got += len(made.recv(reads)) if reads else 0
            time.sleep(0.02)
        self.assertLess(got + len(self.answer(made)), len(LARGE))
        self.assertEqual(['/large'], self.seen)

    def test_a_slow_reader_ends(self) -> None:
        self.assert_reader_ends(1000, request=1)

    def test_who_reads_nothing_ends(self) -> None:
        """Though nothing can be written to him."""
        self.assert_reader_ends(0, request=1)

    def test_who_reads_nothing_for_a_while_ends(self) -> None:
        self.assert_reader_ends(0, idle=1)

    def test_a_request_after_a_pause_has_its_whole_time(self) -> None:
        self.serve(request=2)
        made = self.connect()
        for _ in range(3):
            time.sleep(1.2)
            made.sendall(b'GET / HTTP/1.1\r\n\r\n')
            received = b''
            while not received.endswith(b'done'):
                part = made.recv(1 << 16)
                self.assertNotEqual(b'', part)
                received += part
            self.assertIn(b'200 OK', received)

    def test_a_request_may_be_worked_on_for_longer(self) -> None:
        self.serve(request=1)
        made = self.connect(b'GET /wait HTTP/1.0\r\n\r\n')
        time.sleep(2.5)
        self.go_on.set()
        self.assertTrue(self.answer(made).endswith(b'done'))

    def test_the_longest_waiting_connection_makes_room(self) -> None:
        self.serve(connections=20)
        made = []
        for _ in range(20):
            made.append(self.connect(b'GET'))
            self.assertTrue(self.get().endswith(b'done'))
        for number in range(5):
            self.assertTrue(self.get().endswith(b'done'), number)
        self.assertEqual(b'', self.answer(made[0]))
        made[-1].sendall(b' / HTTP/1.0\r\n\r\n')
        self.assertTrue(self.answer(made[-1]).endswith(b'done'))

    def test_a_request_at_work_is_not_closed_for_others(self) -> None:
        self.serve(connections=20)
        made = self.connect(b'GET /wait HTTP/1.0\r\n\r\n')
        for _ in range(60):
            self.connect(b'GET')
        self.assertTrue(self.get().endswith(b'done'))
        self.go_on.set()
        self.assertTrue(self.answer(made).endswith(b'done'))

    def test_of_many_requests_at_once_one_is_answered(self) -> None:
        self.serve()
        made = self.connect(b'GET / HTTP/1.1\r\n\r\n' * 50)
        answer = self.answer(made)
        self.assertEqual(1, answer.count(b'200 OK'))
        self.assertIn(b'\r\nConnection: close\r\n', answer)
        self.assertEqual(1, len(self.seen))

    def test_who_reads_nothing_holds_no_thread(self) -> None:
        self.serve()
        for _ in range(3 * self.threads):
            self.connect(b'GET /large HTTP/1.1\r\n\r\n' * 50)
        self.assertTrue(self.get().endswith(b'done'))

    def test_what_is_no_request_is_answered_like_other_errors(self) -> None:
        self.serve()
        for status, code, sent in (
                (400, 'bad_request', b'x\r\n\r\n'),
                (400, 'bad_request', b'GET / HTTP/1.1\r\nno\r\n\r\n'),
                (413, 'too_large', b'POST / HTTP/1.1\r\n'
                                   b'Content-Length: 1001\r\n\r\n'),
                (413, 'too_large', b'POST / HTTP/1.1\r\n'
                                   b'Content-Length: ' + b'9' * 40
                                   + b'\r\n\r\n'),
                (413, 'too_large', b'POST / HTTP/1.1\r\n'
                                   b'Transfer-Encoding: chunked\r\n\r\n'
                                   b'3e9\r\n' + b'x' * 1001 + b'\r\n'),
                (431, 'headers_too_large', b'GET / HTTP/1.1\r\nX: '
                                           + b'x' * 40_000)):
            head, _, body = self.answer(self.connect(sent)).partition(
                b'\r\n\r\n')
            self.assertIn(f'HTTP/1.1 {status} '.encode().replace(
                b'1.1', head[5:8]), head)
            self.assertIn(b'Content-Type: application/json', head)
            self.assertEqual(code, json.loads(body)['code'])
        self.assertEqual([], self.seen)

    def test_a_body_of_the_greatest_size_is_taken(self) -> None:
        self.serve()
        self.assertIn(b'200 OK', self.answer(self.connect(
            b'POST / HTTP/1.0\r\nContent-Length: 1000\r\n\r\n' + b'x' * 1000)))

    def test_what_was_begun_ends_before_the_process_does(self) -> None:
        self.serve()
        made = self.connect(b'GET /wait HTTP/1.0\r\n\r\n')
        while not self.seen:
            time.sleep(0.01)
        draining = threading.Thread(
            target=server.drain, args=(self.server, PATIENCE))
        draining.start()
        draining.join(0.2)
        self.assertTrue(draining.is_alive())
        self.go_on.set()
        draining.join(PATIENCE)
        self.assertFalse(draining.is_alive())
        self.assertTrue(self.answer(made).endswith(b'done'))

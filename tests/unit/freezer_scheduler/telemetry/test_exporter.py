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

"""Metrics over HTTP."""

from __future__ import annotations

import socket
import threading
import time
from unittest import mock

import fixtures
import prometheus_client
from prometheus_client import parser
import requests
import testtools

from freezer_scheduler import settings as scheduler_settings
from freezer_scheduler.telemetry import exporter
from tests import slow_clients


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class TestExporter(testtools.TestCase):

    def serve(self):
        port = free_port()
        self.listening = exporter.listen(('127.0.0.1', port))
        self.addCleanup(self.listening.close)
        self.registry = prometheus_client.CollectorRegistry()
        self.counter = prometheus_client.Counter(
            'things', 'Things.', registry=self.registry)
        exporter.serve(self.listening, self.registry)
        return port

    def ask(self, port):
        text = requests.get(f'http://127.0.0.1:{port}/metrics',
                            timeout=30).text
        return {sample.name: sample.value
                for family in parser.text_string_to_metric_families(text)
                for sample in family.samples}

    def test_it_serves_the_metrics(self):
        port = self.serve()
        self.counter.inc(3)
        self.assertEqual(3, self.ask(port)['things_total'])

    def test_a_port_that_is_taken_is_refused_by_name(self):
        with socket.socket() as other:
            other.bind(('127.0.0.1', 0))
            other.listen()
            port = other.getsockname()[1]
            with testtools.ExpectedException(
                    scheduler_settings.Refused,
                    rf'\[metrics\] bind_host, port: .* port {port}: '
                    'Address already in use'):
                exporter.listen(('127.0.0.1', port))

    def test_an_address_that_is_not_ours_is_refused_by_name(self):
        for host in ('192.0.2.1', 'no such host', 'x' * 300):
            with testtools.ExpectedException(scheduler_settings.Refused,
                                             r'\[metrics\] bind_host'):
                exporter.listen((host, free_port()))

    def test_slow_clients_do_not_block_the_metrics(self):
        """However many they are, and however often they come back."""
        port = self.serve()
        threads = threading.active_count()
        for attack in slow_clients.ATTACKS:
            with slow_clients.Clients(
                    ('127.0.0.1', port), (attack,), 40) as clients:
                self.assertTrue(clients.attacking.wait(60))
                for _number in range(5):
                    began = time.monotonic()
                    self.assertEqual(0, self.ask(port)['things_total'],
                                     attack.name)
                    self.assertLess(time.monotonic() - began, 5, attack.name)
                # The clients have one, each connection one and its timer.
                self.assertLessEqual(threading.active_count(),
                                     threads + 2 * exporter._AT_ONCE + 2)

    def test_a_dripping_client_is_disconnected(self):
        self.useFixture(fixtures.MonkeyPatch(
            'freezer_scheduler.telemetry.exporter._LONGEST', 1))
        port = self.serve()
        with socket.create_connection(('127.0.0.1', port), 60) as slow:
            slow.settimeout(0.1)
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                try:
                    slow.send(b'x')
                    if not slow.recv(1):
                        return
                except ConnectionError:
                    return
                except TimeoutError:
                    continue
        self.fail('it is still served')

    def test_it_recovers_if_no_thread_could_be_started(self):
        port = self.serve()
        with mock.patch.object(threading.Thread, 'start', autospec=True,
                               side_effect=RuntimeError):
            for _number in range(exporter._AT_ONCE):
                self.assertRaises(requests.ConnectionError, self.ask, port)
        self.assertEqual(0, self.ask(port)['things_total'])

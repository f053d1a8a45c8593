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

"""The scheduler's sessions towards a Keystone and a Cinder behind TLS."""

from __future__ import annotations

import datetime
from http import server
import ipaddress
import json
import pathlib
import ssl
import threading
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography import x509
import fixtures
import testtools

from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.keystone import sessions
from tests.unit.freezer_scheduler import fakes

DAY = datetime.timedelta(days=1)


class Authority:
    """Signs certificates, and puts them into a directory."""

    def __init__(self, directory: pathlib.Path, name: str) -> None:
        self._directory = directory
        self._name = x509.Name([x509.NameAttribute(
            x509.NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._builder(self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0),
            critical=True).sign(self._key, hashes.SHA256())
        self.path = directory / f'{name}.pem'
        self.path.write_bytes(certificate.public_bytes(
            serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name,
                 key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (x509.CertificateBuilder().subject_name(subject)
                .issuer_name(self._name).public_key(key.public_key())
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - DAY).not_valid_after(now + DAY))

    def issue(self, name: str) -> pathlib.Path:
        """Return the path of a new certificate with its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(
            x509.NameOID.COMMON_NAME, name)])
        certificate = self._builder(subject, key).add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(
                ipaddress.ip_address('127.0.0.1'))]),
            critical=False).sign(self._key, hashes.SHA256())
        path = self._directory / f'{name}-issued.pem'
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption())
            + certificate.public_bytes(serialization.Encoding.PEM))
        return path


class Cloud(server.ThreadingHTTPServer):
    """Keystone and, in two regions and on two interfaces, Cinder.

    :ivar asked: paths of the requests to Cinder
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(('127.0.0.1', 0), Handler)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f'https://127.0.0.1:{self.server_port}'
        self.asked: list[str] = []

    def handle_error(self, *args: Any) -> None:
        """Say nothing of handshakes that were meant to fail."""


class Handler(server.BaseHTTPRequestHandler):
    server: Cloud

    def log_message(self, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers['Content-Length']))
        endpoints = [{
            'interface': interface, 'region': region, 'region_id': region,
            'id': interface + region,
            'url': f'{self.server.url}/{interface}/{region}'}
            for interface in ('public', 'internal')
            for region in ('one', 'two')]
        self.answer(201, {'token': {
            'methods': ['password'], 'expires_at': '2099-01-01T00:00:00Z',
            'issued_at': '2026-01-01T00:00:00Z',
            'user': {'id': 'u', 'name': 'u', 'domain': {'id': 'default'}},
            'project': {'id': fakes.PROJECT, 'name': 'p',
                        'domain': {'id': 'default'}},
            'catalog': [{'type': 'volumev3', 'id': 'c', 'name': 'c',
                         'endpoints': endpoints}]}})

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.answer(200, {'volume': {
            'id': fakes.VOLUME, 'status': 'available',
            'metadata': {}}})

    def answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.send_header('X-Subject-Token', 'token')
        self.end_headers()
        self.wfile.write(body)


class TestTls(testtools.TestCase):

    def setUp(self):
        super().setUp()
        directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)
        self.ours = Authority(directory, 'ours')
        self.other = Authority(directory, 'other')
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ours.issue('server'))
        context.load_verify_locations(self.ours.path)
        context.verify_mode = ssl.CERT_REQUIRED
        self.cloud = Cloud(context)
        thread = threading.Thread(target=self.cloud.serve_forever,
                                  kwargs={'poll_interval': 0.01})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.cloud.server_close)
        self.addCleanup(self.cloud.shutdown)
        self.client = self.ours.issue('client')

    def ask(self, *argv: str) -> str:
        settings = fakes.settings('--os-auth-url', self.cloud.url, *argv)
        known = sessions.Identity(settings)
        self.addCleanup(known.service().session.close)
        return cinder_client.CinderClient(
            known, fakes.TRUST, settings.auth.endpoint_type,
            settings.auth.region_name).volume_status(fakes.VOLUME)

    def test_an_authority_and_a_certificate_of_ones_own(self):
        self.assertEqual('available', self.ask(
            '--os-cacert', str(self.ours.path),
            '--os-cert', str(self.client)))

    def test_a_server_of_another_authority_is_not_talked_to(self):
        for more in ((), ('--os-cacert', str(self.other.path))):
            self.assertRaises(cinder_client.NotSent, self.ask, *more,
                              '--os-cert', str(self.client))
        self.assertEqual([], self.cloud.asked)

    def test_it_is_when_that_was_asked_for(self):
        self.assertEqual('available', self.ask(
            '--scheduler-insecure', '--os-cert', str(self.client)))

    def test_without_a_certificate_the_server_hangs_up(self):
        for more in ((), ('--os-cert', str(self.other.issue('stranger')))):
            self.assertRaises(
                cinder_client.NotSent, self.ask, '--os-cacert',
                str(self.ours.path), *more)

    def test_region_and_interface_choose_the_endpoint(self):
        for interface in ('public', 'internal'):
            for region in ('one', 'two'):
                self.ask('--os-cacert', str(self.ours.path),
                         '--os-cert', str(self.client),
                         '--os-endpoint-type', interface + 'URL',
                         '--os-region-name', region)
                self.assertTrue(self.cloud.asked[-1].startswith(
                    f'/{interface}/{region}/volumes'), self.cloud.asked)
        self.assertRaises(
            cinder_client.NotSent, self.ask, '--os-cacert',
            str(self.ours.path), '--os-cert', str(self.client),
            '--os-region-name', 'three')

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

"""A Keystone that knows one service and one member, for real processes."""

from __future__ import annotations

from http import server
import json
import threading
from typing import Any
import uuid

MEMBER_TOKEN = 'member-token'


def _token(roles: list[str], user: str, project: str,
           url: str) -> dict[str, Any]:
    domain = {'id': 'default', 'name': 'Default'}
    return {'token': {
        'methods': ['password'], 'expires_at': '2099-01-01T00:00:00.000000Z',
        'issued_at': '2026-01-01T00:00:00.000000Z',
        'audit_ids': [uuid.uuid4().hex[:22]],
        'user': {'id': user, 'name': user, 'domain': domain},
        'project': {'id': project, 'name': project, 'domain': domain},
        'roles': [{'id': name, 'name': name} for name in roles],
        'catalog': [{'type': kind, 'name': kind, 'id': kind, 'endpoints': [{
            'id': f'{kind}-{interface}', 'interface': interface, 'url': url,
            'region': 'r', 'region_id': 'r'}
            for interface in ('public', 'internal', 'admin')]}
            for kind in ('identity', 'backup')]}}


class _Handler(server.BaseHTTPRequestHandler):

    protocol_version = 'HTTP/1.1'

    def _answer(self, status: int, body: object, **headers: str) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    @property
    def _url(self) -> str:
        port = self.server.server_port  # type: ignore[attr-defined]
        return f'http://127.0.0.1:{port}/v3'

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get('Content-Length', 0)))
        if self.path == '/v3/auth/tokens':
            self._answer(201, _token(['service'], 'freezer', 'service',
                                     self._url), X_Subject_Token='service')
        else:
            self._answer(404, {'error': {'message': 'role'}})

    def do_GET(self) -> None:
        if self.path.startswith('/v3/auth/tokens'):
            self.server.asked.append(  # type: ignore[attr-defined]
                self.headers['X-Subject-Token'])
            if self.headers['X-Subject-Token'] == MEMBER_TOKEN:
                self._answer(200, _token(['member', 'reader'], 'alice', 'p1',
                                         self._url))
            else:
                self._answer(404, {'error': {'message': 'no', 'code': 404}})
        elif self.path.startswith('/v3/OS-TRUST'):
            self._answer(200, {'trusts': []})
        elif self.path.rstrip('/') == '/v3':
            self._answer(200, {'version': {
                'id': 'v3.14', 'status': 'stable',
                'links': [{'rel': 'self', 'href': self._url}]}})
        else:
            self._answer(200, {'roles': [
                {'id': 'member', 'name': 'member'}]})

    def log_message(self, *args: object) -> None:
        pass


class _Server(server.ThreadingHTTPServer):

    request_queue_size = 128


class FakeKeystone:
    """Listens on a free port until it is closed.

    :ivar asked: the tokens that it was asked about
    """

    def __init__(self) -> None:
        self._server = _Server(('127.0.0.1', 0), _Handler)
        self.asked: list[str] = []
        self._server.asked = self.asked  # type: ignore[attr-defined]
        threading.Thread(target=self._server.serve_forever,
                         daemon=True).start()

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self._server.server_port}/v3'

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

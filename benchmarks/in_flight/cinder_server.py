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

"""The fake Cinder of the unit tests behind HTTP, for one project or many.

Backups stay in status ``creating`` until the server is told to finish them.
Usage: cinder_server.py VOLUMES; its port is the first line it prints.
"""

from __future__ import annotations

from http import server
import json
import sys
import threading
import time
from typing import Any
import urllib.parse
import uuid

from tests.unit.freezer_scheduler import fake_cinder


class _Handler(server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    cinder: fake_cinder.FakeCinder
    lock: threading.Lock
    counted: dict[str, int]

    def log_message(self, format: str,  # noqa: A002
                    *args: object) -> None:
        pass

    def _handle(self) -> None:
        length = int(self.headers.get('Content-Length') or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        url = urllib.parse.urlsplit(self.path)
        with self.lock:
            status, document = self._work(url, body)
        text = b'' if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_DELETE = _handle

    def _work(self, url: urllib.parse.SplitResult,
              body: Any) -> tuple[int, Any]:
        if url.path == '/finish':
            self.cinder.finish()
            return 200, {}
        if url.path == '/state':
            return 200, {
                'requests': self.counted['requests'],
                'volumes': list(self.cinder.volumes),
                'backups': [backup['status'] for backup
                            in self.cinder.backups.values()]}
        self.counted['requests'] += 1
        # Behind /v3/{project_id}.
        path = '/' + url.path.split('/', 3)[3]
        return self.cinder.work(fake_cinder.Request(
            self.command, path, dict(urllib.parse.parse_qsl(url.query)),
            body))


class _Server(server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 500


def main() -> None:
    cinder = fake_cinder.FakeCinder(time.time)
    cinder.volumes = {str(uuid.uuid4()): 'available'
                      for _number in range(int(sys.argv[1]))}
    handler = type('Handler', (_Handler,), {
        'cinder': cinder, 'lock': threading.Lock(),
        'counted': {'requests': 0}})
    made = _Server(('127.0.0.1', 0), handler)
    print(made.server_address[1], flush=True)
    made.serve_forever()


main()

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

"""The fake Cinder of the unit tests behind HTTP, for any number of projects.

Each project has backups of its own, and all have the same volumes. The first
line of output is the port. Beside Cinder's own requests it answers

``POST /finish``
    finishes the backups, where it does not do so by itself
``GET /state``
    volumes, and number of requests
``GET /count``
    how many backups it accepted, and finished
``GET /record``
    the accepted requests for backups, and the backups
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import pathlib
import sys
import threading
import time
import typing
from typing import Any
import urllib.parse
import uuid

from benchmarks.observation import proxy

if typing.TYPE_CHECKING:
    from tests.unit.freezer_scheduler import fake_cinder
else:
    # Alone: its package imports what only tests need.
    _SPEC = importlib.util.spec_from_file_location(
        'fake_cinder', pathlib.Path(__file__).resolve().parents[2]
        / 'tests/unit/freezer_scheduler/fake_cinder.py')
    fake_cinder = importlib.util.module_from_spec(_SPEC)
    sys.modules['fake_cinder'] = fake_cinder
    _SPEC.loader.exec_module(fake_cinder)


class _AnyVolume(dict[str, str]):
    """Each volume that is asked for, available at first."""

    def __contains__(self, volume_id: object) -> bool:
        return True

    def __missing__(self, volume_id: str) -> str:
        return 'available'


class Cinder:
    """The content of the server; answers one request at a time.

    :param volumes: how many there are; 0 for any that is asked for
    :param at_once: how many backups it works on at one time; 0 for any
        number
    """

    def __init__(self, volumes: int, at_once: int = 0) -> None:
        self._lock = threading.Lock()
        self._at_once = at_once
        self._finished = 0
        self._volumes = [str(uuid.uuid4()) for _number in range(volumes)]
        self._projects: dict[str, fake_cinder.FakeCinder] = {}
        self._requests = 0
        self._taken: list[dict[str, Any]] = []

    def work(self, method: str, url: urllib.parse.SplitResult,
             body: Any) -> tuple[int, Any]:
        with self._lock:
            match url.path:
                case '/finish':
                    self._finish()
                    return 200, {}
                case '/state':
                    return 200, self._state()
                case '/count':
                    return 200, {'taken': len(self._taken),
                                 'finished': self._finished}
                case '/record':
                    return 200, {'taken': self._taken,
                                 'backups': list(self._backups())}
            return self._work(method, url, body)

    def finish(self) -> None:
        with self._lock:
            self._finish()

    def _finish(self) -> None:
        last = len(self._taken)
        if self._at_once:
            last = min(last, self._finished + self._at_once)
        elif self._volumes:
            # Everything, not only backups.
            for project in self._projects.values():
                project.finish()
            self._finished = last
        for one in self._taken[self._finished:last]:
            self._projects[one['project_id']].finish_backup(one['id'])
        self._finished = last

    def _state(self) -> dict[str, Any]:
        return {'requests': self._requests, 'volumes': self._volumes}

    def _backups(self) -> Any:
        for project_id, project in self._projects.items():
            for backup in project.backups.values():
                yield {'project_id': project_id, **backup}

    def _work(self, method: str, url: urllib.parse.SplitResult,
              body: Any) -> tuple[int, Any]:
        """Answer a request below ``/v3/{project_id}``."""
        _, _, project_id, path = url.path.split('/', 3)
        self._requests += 1
        if project_id not in self._projects:
            made = fake_cinder.FakeCinder(time.time)
            made.volumes = (dict.fromkeys(self._volumes, 'available')
                            if self._volumes else _AnyVolume())
            self._projects[project_id] = made
        status, document = self._projects[project_id].work(
            fake_cinder.Request(method, '/' + path, dict(
                urllib.parse.parse_qsl(url.query)), body))
        if method == 'POST' and path == 'backups' and status == 202:
            self._taken.append({
                'at': time.time(), 'project_id': project_id,
                'id': document['backup']['id'],
                'volume_id': body['backup']['volume_id'],
                'metadata': body['backup'].get('metadata') or {}})
        return status, document


class _Server(proxy.Proxy):
    """Answers from the fake Cinder instead of a server."""

    def __init__(self, cinder: Cinder) -> None:
        super().__init__(0)
        self._cinder = cinder

    def serve(self, request: proxy.Request, client: proxy.Client) -> None:
        status, document = self._cinder.work(
            request.method, urllib.parse.urlsplit(request.path),
            json.loads(request.body) if request.body else None)
        client.answer(status, [('Content-Type', 'application/json')],
                      b'' if document is None
                      else json.dumps(document).encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('volumes', type=int)
    parser.add_argument('--finish-every', type=float, default=0,
                        help='seconds; 0 to finish only when told to')
    parser.add_argument('--at-once', type=int, default=0,
                        help='backups that it finishes then; 0 for all')
    chosen = parser.parse_args()
    cinder = Cinder(chosen.volumes, chosen.at_once)
    server = _Server(cinder)
    server.start()
    print(server.port, flush=True)
    while True:
        time.sleep(chosen.finish_every or 3600)
        if chosen.finish_every:
            cinder.finish()


if __name__ == '__main__':
    main()

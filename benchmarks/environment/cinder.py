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

"""A process with the fake Cinder of the unit tests."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import pathlib
import signal
import subprocess
import sys
from typing import Any

from tools.cloud import cloud
from tools.cloud import rest

_ROOT = pathlib.Path(__file__).resolve().parents[2]

#: Seconds between the moments at which a fast Cinder finishes its backups.
FAST = 0.2


class FakeCinder:
    """The process.

    :ivar url: where it answers
    """

    def __init__(self, volumes: int, finish_every: float,
                 at_once: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'benchmarks.environment.cinder_server',
             str(volumes), '--finish-every', str(finish_every),
             '--at-once', str(at_once)],
            cwd=_ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = (
            f'http://127.0.0.1:{int(self._process.stdout.readline())}')

    def state(self) -> dict[str, Any]:
        """Return volumes, and number of requests."""
        return rest.request('GET', f'{self.url}/state')[0]

    def count(self) -> dict[str, int]:
        """Return how many backups it accepted, and finished."""
        return rest.request('GET', f'{self.url}/count')[0]

    def record(self) -> dict[str, Any]:
        """Return the accepted requests for backups, and the backups."""
        return rest.request('GET', f'{self.url}/record')[0]

    def finish(self) -> None:
        rest.request('POST', f'{self.url}/finish')

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def running(made: cloud.Cloud, volumes: int = 0, finish_every: float = 0,
            at_once: int = 0) -> Iterator[FakeCinder]:
    """A fake Cinder that the catalogue of a cloud names meanwhile.

    :param volumes: how many there are; 0 for any that is asked for
    :param finish_every: seconds between the moments at which it finishes
        backups; 0 to wait for :meth:`FakeCinder.finish`
    :param at_once: how many backups it finishes at one moment; 0 for all
    """
    cinder = FakeCinder(volumes, finish_every, at_once)
    before: dict[str, str] = {}
    try:
        before = set_endpoint(made, 'block-storage',
                              f'{cinder.url}/v3/%(project_id)s')
        yield cinder
    finally:
        _set_urls(made, before)
        cinder.end()


def set_endpoint(made: cloud.Cloud, kind: str, url: str) -> dict[str, str]:
    """Have the catalogue name another URL for a type of service.

    :returns: the former URLs, by the ids of their endpoints
    """
    admin, keystone = made.session('admin'), made.settings.auth_url
    [service] = admin.call('GET', f'{keystone}/services?type={kind}')[
        'services']
    before = {one['id']: one['url'] for one in admin.call(
        'GET', f'{keystone}/endpoints?service_id={service["id"]}')[
            'endpoints']}
    _set_urls(made, dict.fromkeys(before, url))
    return before


def _set_urls(made: cloud.Cloud, urls: dict[str, str]) -> None:
    admin, keystone = made.session('admin'), made.settings.auth_url
    for endpoint_id, url in urls.items():
        admin.call('PATCH', f'{keystone}/endpoints/{endpoint_id}',
                   {'endpoint': {'url': url}})

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

"""The fakes behind a real server on loopback, where a request can hang."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
import json
import threading
import types
from typing import Any

from tests.unit import byte_server
from tests.unit.freezer_scheduler import fakes

Answer = Callable[[byte_server.Seen], Iterable[bytes] | None]


class ServedFakes:
    """A Keystone, a Cinder and a Freezer API at one address.

    :ivar hangs: returns whether a request gets no answer before
        :meth:`close`
    :ivar instead: returns another answer, or None for that of the fakes
    """

    def __init__(self) -> None:
        self._matchers: list[Any] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self.cloud = fakes.FakeCloud(self, fakes.FakeClock())
        self.freezer = fakes.FakeFreezer(self)
        self.hangs: Callable[[byte_server.Seen], bool] = lambda seen: False
        self.instead: Answer = lambda seen: None
        self.server = byte_server.ByteServer(self._answer)
        self.cloud.catalogue = [
            fakes.entry('volumev3', f'{self.server.url}/cinder/v3/'
                        f'{fakes.PROJECT}', 'RegionOne'),
            fakes.entry('backup', f'{self.server.url}/freezer', 'RegionOne')]

    def close(self) -> None:
        self._over.set()
        self.server.close()

    @property
    def account(self) -> list[str]:
        """Return the command line of a scheduler that uses it."""
        return [*fakes.ACCOUNT, '--os-auth-url',
                f'{self.server.url}/keystone']

    def add_matcher(self, matcher: Any) -> None:
        """Take the place of requests_mock."""
        self._matchers.append(matcher)

    def _answer(self, seen: byte_server.Seen) -> Iterable[bytes]:
        if self.hangs(seen):
            self._over.wait(60)
            return []
        other = self.instead(seen)
        if other is not None:
            return other
        request = _Request(seen)
        with self._lock:
            for matcher in self._matchers:
                answer = matcher(request)
                if answer is not None:
                    return [byte_server.plain(
                        answer.status_code, answer.content,
                        **{name.replace('-', '_'): value for name, value in
                           answer.headers.items()
                           if name.lower() != 'content-type'})]
        raise AssertionError(f'a request for {seen.path}')


class _Request(types.SimpleNamespace):
    """A request as requests_mock shows it."""

    def __init__(self, seen: byte_server.Seen) -> None:
        name, _, path = seen.path.lstrip('/').partition('/')
        base = {'keystone': fakes.KEYSTONE, 'cinder': fakes.CINDER,
                'freezer': fakes.FREEZER}[name]
        if name != 'freezer':
            path = path.removeprefix('v3/')
        super().__init__(
            method=seen.method, url=f'{base}/{path}', path=f'/{path}',
            body=seen.body, text=seen.body.decode(),
            headers={name.title(): value
                     for name, value in seen.headers.items()})
        self.headers['OpenStack-API-Version'] = self.headers.get(
            'Openstack-Api-Version', '')

    def json(self) -> Any:
        return json.loads(self.body)

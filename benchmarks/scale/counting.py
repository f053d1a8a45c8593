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

"""A proxy before a server, which counts what it is asked."""

from __future__ import annotations

import collections
import re
import threading
import time

from benchmarks import proxy

_ID = re.compile(r'/([0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})'
                 r'(?=/|$)')


class Counting(proxy.Proxy):
    """One that counts requests by their kinds, once they are answered."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self._seen: collections.Counter[str] = collections.Counter()
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Count anew."""
        with self._lock:
            self._seen.clear()
            self._first.clear()
            self._last.clear()

    def seen(self) -> collections.Counter[str]:
        """Return how many requests were answered, by their kinds."""
        with self._lock:
            return self._seen.copy()

    def first(self, name: str) -> float | None:
        """Return when the first of a kind was answered, monotonic."""
        with self._lock:
            return self._first.get(name)

    def last(self, name: str) -> float | None:
        """Return when the last one was answered, monotonic."""
        with self._lock:
            return self._last.get(name)

    def answered(self, request: proxy.Request) -> None:
        name, now = kind(request.method, request.path), time.monotonic()
        with self._lock:
            self._seen[name] += 1
            self._first.setdefault(name, now)
            self._last[name] = now


def kind(method: str, path: str) -> str:
    """Return a request without ids and search, such as ``GET /v2/*/jobs``."""
    path = _ID.sub('/*', path.partition('?')[0]).rstrip('/')
    return f'{method} {path}'

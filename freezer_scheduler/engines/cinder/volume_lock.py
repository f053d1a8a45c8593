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

"""One request about a volume at a time.

Cinder looks whether a volume is busy, and marks it so a moment later. Two
requests that come between are both taken, and two backups of the volume are
made at once. So this process sends one, and the next when that is answered.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import threading


class Requests:
    """The volumes that something is asked for just now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._volumes: set[str] = set()

    @contextlib.contextmanager
    def alone(self, volume_id: str) -> Iterator[bool]:
        """Tell whether nothing else is asked for, and keep it so."""
        with self._lock:
            alone = volume_id not in self._volumes
            self._volumes.add(volume_id)
        try:
            yield alone
        finally:
            if alone:
                with self._lock:
                    self._volumes.discard(volume_id)

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

"""Where the time of a request goes."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import time


class RequestTiming:
    """Measures the steps of something; its text names them with seconds."""

    def __init__(self) -> None:
        self._steps: list[tuple[str, float]] = []

    @property
    def total(self) -> float:
        """The seconds of all steps."""
        return sum(seconds for _, seconds in self._steps)

    @contextlib.contextmanager
    def of(self, step: str) -> Iterator[None]:
        """Measure a step."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._steps.append((step, time.monotonic() - began))

    def __str__(self) -> str:
        return ', '.join(
            f'{step} {seconds:.2f} s' for step, seconds in self._steps)

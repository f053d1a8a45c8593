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

"""A process with the fake Cinder, which a cloud takes for its own."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import pathlib
import signal
import subprocess
import sys
from typing import Any

from benchmarks import catalogue
from tools.cloud import cloud
from tools.cloud import rest

_ROOT = pathlib.Path(__file__).resolve().parents[2]


class FakeCinder:
    """The process.

    :ivar url: where it answers
    """

    def __init__(self, volumes: int, finish_every: float = 0,
                 at_once: int = 0) -> None:
        """Start it.

        :param volumes: how many there are; 0 for any that is asked for
        :param finish_every: seconds between the moments at which it ends
            what it works on; 0 to wait for :meth:`finish`
        :param at_once: backups that it works on at one time, and so ends at
            one moment; 0 for all that it was asked for
        """
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'benchmarks.cinder.server', str(volumes),
             '--finish-every', str(finish_every),
             '--at-once', str(at_once)],
            cwd=_ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = (
            f'http://127.0.0.1:{int(self._process.stdout.readline())}')

    def state(self) -> dict[str, Any]:
        return rest.request('GET', f'{self.url}/state')[0]

    def count(self) -> dict[str, int]:
        return rest.request('GET', f'{self.url}/count')[0]

    def record(self) -> dict[str, Any]:
        return rest.request('GET', f'{self.url}/record')[0]

    def finish(self) -> None:
        rest.request('POST', f'{self.url}/finish')

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def served(volumes: int, finish_every: float = 0,
           at_once: int = 0) -> Iterator[FakeCinder]:
    """A fake Cinder for a while, see :class:`FakeCinder`."""
    made = FakeCinder(volumes, finish_every, at_once)
    try:
        yield made
    finally:
        made.end()


def stand_in(made: cloud.Cloud, url: str) -> None:
    """Have a cloud's catalogue name the fake Cinder."""
    catalogue.point(made, 'block-storage', f'{url}/v3/%(project_id)s')

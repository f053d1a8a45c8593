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

"""Schedulers as processes, which can be killed, stopped and misled."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import pathlib
import signal
import subprocess
import time

from tools.cloud import commands
from tools.cloud import config
from tools.cloud import environments
from tools.cloud import layout

_INSIDE = pathlib.Path(__file__).resolve().parent / 'inside'

# Longer than a clean stop takes: two timeouts of a request.
_PATIENCE = 60


@dataclasses.dataclass
class Life:
    """One process of a scheduler.

    :ivar since: epoch seconds
    :ivar until: likewise, None while it lives
    """

    pid: int
    since: float
    until: float | None = None


class Scheduler:
    """One scheduler, in a folder of its own.

    :param instrumented: run it with a clock that can be stepped, and count
        its Keystone sessions
    :ivar name: such as ``s1``
    :ivar lives: its processes, one after the other
    :ivar bad_ends: process id and status of stops that were not clean
    """

    def __init__(self, name: str, home: pathlib.Path,
                 env: environments.Environment,
                 options: Mapping[str, Mapping[str, object]],
                 instrumented: bool = False) -> None:
        self.name = name
        self.lives: list[Life] = []
        self.bad_ends: list[tuple[int, int]] = []
        self._home = home
        self._env = env
        self._instrumented = instrumented
        self._process: subprocess.Popen[bytes] | None = None
        home.mkdir(parents=True)
        self.step(0)
        layout.write_private(self._configuration, config.render({
            **{group: dict(values) for group, values in options.items()},
            **self._own(options)}))

    def _own(self, options: Mapping[str, Mapping[str, object]],
             ) -> config.Options:
        """Return the options that no other scheduler has."""
        return {'DEFAULT': {'log_file': self.log},
                'scheduler': {**options['scheduler'],
                              'pid_file': self._home / 'scheduler.pid'}}

    @property
    def _program(self) -> list[str]:
        return ([self._env.python, str(_INSIDE / 'scheduler.py')]
                if self._instrumented
                else [self._env.script('freezer-scheduler')])

    @property
    def _variables(self) -> dict[str, str]:
        return {'BENCHMARK_CLOCK': str(self._clock),
                'BENCHMARK_SESSIONS': str(self._home / 'sessions')}

    @property
    def _configuration(self) -> pathlib.Path:
        return self._home / 'scheduler.conf'

    @property
    def log(self) -> pathlib.Path:
        return self._home / 'scheduler.log'

    @property
    def output(self) -> pathlib.Path:
        """What it printed: nothing, while all goes well."""
        return self._home / 'scheduler.out'

    @property
    def pid(self) -> int:
        return self.lives[-1].pid

    @property
    def sessions(self) -> int:
        """Number of trusts that it keeps a Keystone session for."""
        return int((self._home / 'sessions').read_text())

    def start(self) -> None:
        with self.output.open('ab') as output:
            self._process = subprocess.Popen(
                [*self._program, '--config-file', str(self._configuration),
                 '--scheduler-no-daemon', 'start'],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                cwd=self._home, env=commands.clean_environment(
                    PYTHONWARNINGS='ignore', HOME=str(self._home),
                    **self._variables))
        self.lives.append(Life(self._process.pid, time.time()))

    def send(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def end(self, number: signal.Signals) -> None:
        """End it with a signal, and wait for that."""
        if self._process is None:
            return
        self.send(number)
        self.send(signal.SIGCONT)
        try:
            status = self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        if number is signal.SIGTERM and status:
            self.bad_ends.append((self._process.pid, status))
        self._process = None
        self.lives[-1].until = time.time()

    def step(self, seconds: int) -> None:
        """Make its clock wrong by so many seconds."""
        layout.write_private(self._clock, f'{seconds}')

    @property
    def _clock(self) -> pathlib.Path:
        return self._home / 'clock'

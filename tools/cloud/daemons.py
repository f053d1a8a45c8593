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

"""The cloud's long-running processes, known by their pid files.

A pid file holds the number alone, for people. That the number still means
our process, and not one that got it later, is told by a variable in the
environment of the process, which /proc shows to its owner.
"""

import collections.abc
import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import threading
import time

_MARK = 'FREEZER_QUICKSTART_PROCESS'


@dataclasses.dataclass(frozen=True)
class Daemon:
    """One process of a cloud.

    :ivar name: such as ``keystone``
    :ivar state: the cloud's directory
    :ivar argv: its command line, free of secrets
    :ivar env: its environment
    :ivar own_log: the log that the program itself writes, if any
    """

    name: str
    state: pathlib.Path
    argv: collections.abc.Sequence[str]
    env: collections.abc.Mapping[str, str]
    own_log: pathlib.Path | None = None

    @property
    def pid_file(self) -> pathlib.Path:
        return self.state / 'run' / f'{self.name}.pid'

    @property
    def output(self) -> pathlib.Path:
        """What it printed."""
        return self.state / 'log' / f'{self.name}.out'

    @property
    def log(self) -> pathlib.Path:
        """The log that tells most about a failure: the last written."""
        logs = [path for path in (self.output, self.own_log)
                if path is not None and path.exists() and path.stat().st_size]
        return max(logs, key=lambda path: path.stat().st_mtime_ns,
                   default=self.output)

    @property
    def pid(self) -> int | None:
        """The process id, or None unless it runs."""
        try:
            pid = int(self.pid_file.read_text())
            environ = _environ(pid)
        except (OSError, ValueError):
            return None
        mark = f'{_MARK}={self._mark}'.encode()
        return pid if mark in environ.split(b'\0') else None

    @property
    def running(self) -> bool:
        return self.pid is not None

    @property
    def _mark(self) -> str:
        return str(self.state / self.name)

    @property
    def mebibytes(self) -> int:
        """Resident memory, 0 if it does not run."""
        try:
            pages = pathlib.Path('/proc', str(self.pid), 'statm').read_text()
        except OSError:
            return 0
        return int(pages.split()[1]) * os.sysconf('SC_PAGE_SIZE') >> 20

    def start(self) -> None:
        """Start it in a session of its own, out of a terminal's reach."""
        with self.output.open('ab') as output, _undisturbed():
            # No shell, and a command line of our own.
            child = subprocess.Popen(  # nosec B603
                self.argv, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, env=dict(self.env) | {_MARK: self._mark},
                start_new_session=True, cwd=self.state)
            self.pid_file.write_text(f'{child.pid}\n')
        # Its end is taken note of, lest it stay a zombie of ours.
        threading.Thread(target=child.wait, daemon=True).start()

    def stop(self, seconds: float = 30) -> bool:
        """Ask it to end, and after some seconds make it end.

        :returns: whether it had been running
        """
        pid = self.pid
        if pid is not None:
            # One that was stopped with SIGSTOP hears nothing before SIGCONT.
            _send(pid, signal.SIGTERM, signal.SIGCONT)
            end = time.monotonic() + seconds
            while self.running and time.monotonic() < end:
                time.sleep(0.05)
            if self.running:
                self.kill()
        self.pid_file.unlink(missing_ok=True)
        return pid is not None

    def kill(self) -> None:
        """Kill it with SIGKILL and wait for its end."""
        pid = self.pid
        if pid is not None:
            _send(pid, signal.SIGKILL)
        while self.running:
            time.sleep(0.02)


@contextlib.contextmanager
def _undisturbed() -> collections.abc.Iterator[None]:
    """Put off what handlers of signals do.

    One that raises between the start of a child and the writing of its pid
    would leave a process that nobody knows of.
    """
    caught: list[signal.Signals] = []
    handlers = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in (
            signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            if callable(signal.getsignal(number))}
    for number in handlers:
        signal.signal(number, lambda signum, frame: caught.append(
            signal.Signals(signum)))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in caught:
            signal.raise_signal(number)


def _send(pid: int, *signals: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        for number in signals:
            os.kill(pid, number)


def _environ(pid: int) -> bytes:
    """The environment of a living process, empty for one that is dead.

    :raises OSError: there is no such process, or it is another user's
    """
    proc = pathlib.Path('/proc', str(pid))
    end = time.monotonic() + 1
    while True:
        environ = proc.joinpath('environ').read_bytes()
        if environ or time.monotonic() > end:
            return environ
        if proc.joinpath('stat').read_text().rpartition(')')[2].split()[
                0] in 'ZX':
            return b''
        # In the middle of exec: a moment later it has one.
        time.sleep(0.002)

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

"""The cloud's long-running processes, identified by pid files.

A pid file contains only the process ID, for users. A variable in the
environment of the process, which /proc shows to its owner, distinguishes the
process from a later one with the same ID.
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
    :ivar argv: its command line, without secrets
    :ivar env: its environment
    :ivar own_log: the log that the program itself writes, if any
    :ivar own_pid_file: the pid file that the program itself writes, if any;
        it identifies a process that a user started again
    """

    name: str
    state: pathlib.Path
    argv: collections.abc.Sequence[str]
    env: collections.abc.Mapping[str, str]
    own_log: pathlib.Path | None = None
    own_pid_file: pathlib.Path | None = None

    @property
    def pid_file(self) -> pathlib.Path:
        return self.state / 'run' / f'{self.name}.pid'

    @property
    def output(self) -> pathlib.Path:
        """The file with its standard output and errors."""
        return self.state / 'log' / f'{self.name}.out'

    @property
    def log(self) -> pathlib.Path:
        """The log that was written last, which shows most about a failure."""
        logs = [path for path in (self.output, self.own_log)
                if path is not None and path.exists() and path.stat().st_size]
        return max(logs, key=lambda path: path.stat().st_mtime_ns,
                   default=self.output)

    @property
    def pid(self) -> int | None:
        """The process ID, None if it does not run."""
        return self._started_here() or self._started_by_hand()

    def _started_here(self) -> int | None:
        try:
            pid = int(self.pid_file.read_text())
            environ = _environ(pid)
        except (OSError, ValueError):
            return None
        mark = f'{_MARK}={self._mark}'.encode()
        return pid if mark in environ.split(b'\0') else None

    def _started_by_hand(self) -> int | None:
        if self.own_pid_file is None:
            return None
        try:
            pid = int(self.own_pid_file.read_text())
            words = pathlib.Path('/proc', str(pid), 'cmdline').read_bytes()
        except (OSError, ValueError):
            return None
        # Its command line contains a file of this cloud.
        here = os.fsencode(f'{self.state}/')
        return pid if any(word.startswith(here)
                          for word in words.split(b'\0')) else None

    @property
    def running(self) -> bool:
        return self.pid is not None

    @property
    def _mark(self) -> str:
        return str(self.state / self.name)

    @property
    def mebibytes(self) -> int:
        """Resident memory in MiB, 0 if it does not run."""
        try:
            pages = pathlib.Path('/proc', str(self.pid), 'statm').read_text()
        except OSError:
            return 0
        return int(pages.split()[1]) * os.sysconf('SC_PAGE_SIZE') >> 20

    def start(self) -> None:
        """Start it in its own session, detached from the terminal."""
        with self.output.open('ab') as output, _undisturbed():
            # No shell, and no arguments from outside.
            child = subprocess.Popen(  # nosec B603
                self.argv, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, env=dict(self.env) | {_MARK: self._mark},
                start_new_session=True, cwd=self.state)
            self.pid_file.write_text(f'{child.pid}\n')
        # Wait for its end, so that it does not become a zombie.
        threading.Thread(target=child.wait, daemon=True).start()

    def stop(self, seconds: float = 30) -> bool:
        """Send SIGTERM, and SIGKILL after some seconds.

        :returns: whether it was running
        """
        pid = self.pid
        if pid is not None:
            # A process that SIGSTOP has suspended needs SIGCONT.
            _send(pid, signal.SIGTERM, signal.SIGCONT)
            end = time.monotonic() + seconds
            while self.running and time.monotonic() < end:
                time.sleep(0.05)
            if self.running:
                self.kill()
        self.pid_file.unlink(missing_ok=True)
        return pid is not None

    def kill(self) -> None:
        """Send SIGKILL, and wait for the end."""
        pid = self.pid
        if pid is not None:
            _send(pid, signal.SIGKILL)
        while self.running:
            time.sleep(0.02)


@contextlib.contextmanager
def _undisturbed() -> collections.abc.Iterator[None]:
    """Defer signal handlers.

    If a handler raised between the start of a child and the writing of its
    process ID, the process would be lost.
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
    """Return the environment of a process, empty for a zombie.

    :raises OSError: if there is no such process, or it has another owner
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
        # The process is in exec, and has an environment a moment later.
        time.sleep(0.002)

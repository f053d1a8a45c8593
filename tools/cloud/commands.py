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

"""Run commands, one after another or in parallel.

All of them can be cancelled: no child process outlives an error, a signal or
its timeout.
"""

import collections.abc
import concurrent.futures
import contextlib
import os
import pathlib
import signal
import subprocess
import threading
import time

from tools.cloud import errors

#: Prefixes of variables that would affect a child process.
_FOREIGN = ('OS_', 'PYTHON', 'VIRTUAL_ENV', '__PYVENV')


def clean_environment(**extra: str) -> dict[str, str]:
    """Return the caller's environment without variables that affect a child.

    OpenStack credentials and Python's settings are removed, and no proxy is
    used for local addresses.
    """
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(_FOREIGN)}
    for name in ('no_proxy', 'NO_PROXY'):
        env[name] = ','.join(filter(None, ['127.0.0.1', env.get(name)]))
    return env | extra


class Commands:
    """Runs commands; if one of them or the caller fails, all are ended."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()

    def pause(self, seconds: float) -> None:
        """Wait for some seconds.

        :raises errors.Cancelled: if the work was cancelled
        """
        if self._cancelled.wait(seconds):
            raise errors.Cancelled('cancelled')

    def log(self, what: str, log: pathlib.Path,
            argv: collections.abc.Sequence[str | os.PathLike[str]],
            env: collections.abc.Mapping[str, str], *,
            cwd: pathlib.Path | None = None) -> None:
        """Run a command with its output in a log file.

        :param what: name of the work, for an error
        :raises errors.QuickstartError: if its status is not 0
        """
        with log.open('ab') as file:
            # No shell, and no arguments from outside.
            child = subprocess.Popen(  # nosec B603
                argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                env=dict(env), cwd=cwd, start_new_session=True)
            status = self._wait(child, None)
        if status:
            raise errors.QuickstartError(
                f'{what} failed with status {status}', log)

    def output(self,
               argv: collections.abc.Sequence[str | os.PathLike[str]],
               env: collections.abc.Mapping[str, str],
               seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command; return its output and status."""
        # As above.
        with subprocess.Popen(  # nosec B603
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True, env=dict(env),
                start_new_session=True) as child:
            texts: dict[str, str] = {}

            def read() -> None:
                texts['out'], texts['err'] = child.communicate()

            reader = threading.Thread(target=read, daemon=True)
            reader.start()
            try:
                self._wait_thread(reader, seconds)
            except BaseException:
                _end(child)
                reader.join()
                raise
            if reader.is_alive():
                _end(child)
                reader.join()
                texts['err'] += f'\nno end after {seconds:.0f} s'
        return subprocess.CompletedProcess(
            list(argv), child.returncode, texts['out'], texts['err'])

    def together(self, *works: collections.abc.Callable[[], object],
                 at_once: int = 4) -> None:
        """Run functions in threads; if one fails, cancel the others.

        :raises Exception: the error of the first one that failed
        """
        pool = concurrent.futures.ThreadPoolExecutor(at_once)
        futures = [pool.submit(work) for work in works]
        try:
            for future in concurrent.futures.as_completed(futures):
                future.result()
        except BaseException:
            self._cancelled.set()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            self._cancelled.clear()

    def _wait(self, child: subprocess.Popen[bytes],
              seconds: float | None) -> int:
        thread = threading.Thread(target=child.wait, daemon=True)
        thread.start()
        try:
            self._wait_thread(thread, seconds)
        except BaseException:
            _end(child)
            raise
        return child.returncode

    def _wait_thread(self, thread: threading.Thread,
                     seconds: float | None) -> None:
        """Join a thread; check regularly for a cancellation."""
        end = None if seconds is None else time.monotonic() + seconds
        while thread.is_alive() and (end is None or time.monotonic() < end):
            thread.join(0.1)
            if self._cancelled.is_set():
                raise errors.Cancelled('cancelled')


def _end(child: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """End a child and its own children.

    First with SIGINT, on which pip removes its temporary files.
    """
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(3)

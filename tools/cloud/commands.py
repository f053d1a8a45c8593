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

"""Running commands, one after another or side by side, so that they can
always be given up: no child outlives an error, a signal or its time.
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

#: Variables that would make a child another program than it is here.
_FOREIGN = ('OS_', 'PYTHON', 'VIRTUAL_ENV', '__PYVENV')


def clean_environment(**extra: str) -> dict[str, str]:
    """The caller's environment without what would lead a child astray.

    OpenStack credentials and Python's own settings go; the local addresses
    are kept from any proxy.
    """
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(_FOREIGN)}
    for name in ('no_proxy', 'NO_PROXY'):
        env[name] = ','.join(filter(None, ['127.0.0.1', env.get(name)]))
    return env | extra


class Commands:
    """Runs commands; all of them end when one of them or the caller fails."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()

    def pause(self, seconds: float) -> None:
        """Wait a little.

        :raises errors.Cancelled: the work was given up
        """
        if self._cancelled.wait(seconds):
            raise errors.Cancelled('given up')

    def log(self, what: str, log: pathlib.Path,
            argv: collections.abc.Sequence[str | os.PathLike[str]],
            env: collections.abc.Mapping[str, str], *,
            cwd: pathlib.Path | None = None) -> None:
        """Run a command whose output goes to a log file.

        :param what: the name of the work in an error
        :raises errors.QuickstartError: it ended with another status than 0
        """
        with log.open('ab') as file:
            # No shell, and arguments of our own.
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
        """Run a command and hand back its output, whatever its status."""
        # Likewise.
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
        """Do several works in threads; if one fails, all are given up.

        :raises Exception: what the first that failed raised
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
        """Join a thread; look now and then whether to give up."""
        end = None if seconds is None else time.monotonic() + seconds
        while thread.is_alive() and (end is None or time.monotonic() < end):
            thread.join(0.1)
            if self._cancelled.is_set():
                raise errors.Cancelled('given up')


def _end(child: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """End a child and whatever it started.

    First as Ctrl-C does, at which pip removes its temporary files.
    """
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(3)

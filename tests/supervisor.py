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

"""Ends what a test run started and could not end itself.

A test that is killed runs no clean-up. So a process of its own holds one end
of a pipe; when the other end closes, however that came about, it kills each
process that names the test's folder, and removes the folder.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

# Seconds.
_PATIENCE = 60


def watch(folder: str) -> Callable[[], None]:
    """Have a folder, and who works in it, cleared away with this process.

    :param folder: an absolute path that nothing else contains by chance
    :returns: what ends the watch, and clears away at once
    """
    child = subprocess.Popen(
        [sys.executable, '-m', 'tests.supervisor', folder],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        # A signal to the group of the test run is not for it.
        start_new_session=True,
        cwd=pathlib.Path(__file__).resolve().parents[1])

    def end() -> None:
        assert child.stdin is not None
        child.stdin.close()
        child.wait(2 * _PATIENCE)

    return end


def named_in(folder: str) -> list[int]:
    """Return the processes whose command or environment names a folder."""
    name = os.fsencode(folder)
    found = []
    for proc in pathlib.Path('/proc').glob('[0-9]*'):
        # It may end meanwhile, or be another user's.
        with contextlib.suppress(OSError):
            if int(proc.name) != os.getpid() and any(
                    name in (proc / file).read_bytes()
                    for file in ('cmdline', 'environ')):
                found.append(int(proc.name))
    return found


def clear(folder: str) -> None:
    """Kill who works in a folder, then remove it."""
    end = time.monotonic() + _PATIENCE
    while (pids := named_in(folder)) and time.monotonic() < end:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    sys.stdin.buffer.read()
    clear(sys.argv[1])


if __name__ == '__main__':
    main()

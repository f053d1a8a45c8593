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

"""The file with the process ID of the running scheduler.

Its lock, not its content, shows whether a scheduler runs: the kernel releases
the lock when the process ends in any way. So a stale process ID is never
trusted, and never receives a signal. A PID file of python-daemon is taken for
locked as long as it exists.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pathlib
import stat
import time

# How often the lock is tried, and seconds between two tries.
_TRIES = 10
_MOMENT = 0.02


class Unsafe(Exception):
    """The file cannot be trusted or created."""


class Taken(Exception):
    """Another scheduler runs."""

    def __init__(self, pid: int | None) -> None:
        super().__init__(f'freezer daemon is already running, pid: {pid}')
        self.pid = pid


def default_path() -> pathlib.Path:
    """Return the path of the file if no option sets one."""
    if os.geteuid() == 0:
        return pathlib.Path('/run/freezer/scheduler.pid')
    return pathlib.Path.home() / '.freezer' / 'scheduler.pid'


class PidFile:
    """The file, which must belong to this user and be writable by no other."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock until :meth:`release` or the end of the process.

        :raises Taken: if another scheduler runs
        :raises Unsafe: if the file can belong to another user
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = self._open(os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise Unsafe(f'{self.path}: {error.strerror}') from None
        if not _locked(descriptor):
            pid = _holder(descriptor)
            os.close(descriptor)
            raise Taken(pid)
        # The process ID of a killed process is no longer valid.
        os.ftruncate(descriptor, 0)
        self._descriptor = descriptor

    def write(self) -> None:
        """Write the ID of this process; after a fork, call it in the child."""
        if self._descriptor is None:
            raise Unsafe(f'{self.path}: not acquired')
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f'{os.getpid()}\n'.encode(), 0)

    def release(self) -> None:
        """Release the lock.

        The file stays, empty: removing it could remove that of a successor.
        """
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def running(self) -> int | None:
        """Return the process ID of the running scheduler, or None.

        :raises Unsafe: if the file can belong to another user
        """
        try:
            descriptor = self._open(os.O_RDONLY)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unsafe(f'{self.path}: {error.strerror}') from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(descriptor)
        finally:
            os.close(descriptor)
        return None

    def _open(self, flags: int) -> int:
        try:
            descriptor = os.open(
                self.path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise Unsafe(f'{self.path}: a symbolic link') from None
            raise
        status = os.fstat(descriptor)
        if (not stat.S_ISREG(status.st_mode)
                or status.st_uid not in (os.geteuid(), 0)
                or status.st_mode & 0o022):
            os.close(descriptor)
            raise Unsafe(f'{self.path}: not a file that only its owner '
                         f'may change')
        return descriptor


def _locked(descriptor: int) -> bool:
    """Take the lock; return whether that succeeded.

    :meth:`PidFile.running` also holds the lock for a moment, so try again.
    """
    for _ in range(_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_MOMENT)
        else:
            return True
    return False


def _holder(descriptor: int) -> int | None:
    """Return the process ID in the file, if that process has it open."""
    text = os.pread(descriptor, 32, 0).strip()
    if not text.isdigit() or int(text) <= 1:
        return None
    ours = os.fstat(descriptor)
    with contextlib.suppress(OSError):
        for link in pathlib.Path('/proc', str(int(text)), 'fd').iterdir():
            with contextlib.suppress(OSError):
                if os.path.samestat(link.stat(), ours):
                    return int(text)
    return None

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

"""The files for agents: a private directory for each of them.

Each scheduler process has a directory of its own below a common one, and holds
a lock in it as long as it lives. So the next process knows which directories
belong to processes that were killed, and removes them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import shutil
import stat
import tempfile

_LOCK = 'lock'
_PREFIX = 'scheduler-'


class Unsafe(Exception):
    """The directory cannot be trusted or created."""


class AgentFiles:
    """The directories of one scheduler process."""

    def __init__(self, base: pathlib.Path) -> None:
        self._base = base
        self._ours: pathlib.Path | None = None
        self._lock: int | None = None

    def open(self) -> None:
        """Begin, and remove the directories of processes that are gone.

        :raises Unsafe: if other users can change the common directory
        """
        try:
            self._base.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self._base.lstat()
        except OSError as error:
            raise Unsafe(f'{self._base}: {error.strerror}') from None
        if (not stat.S_ISDIR(status.st_mode)
                or status.st_uid != os.geteuid() or status.st_mode & 0o022):
            raise Unsafe(f'{self._base}: not a directory that we alone may '
                         f'change')
        for left in self._base.glob(_PREFIX + '*'):
            if _abandoned(left):
                shutil.rmtree(left, ignore_errors=True)
        # No other process removes it before it is locked, because it has no
        # lock file yet.
        self._ours = pathlib.Path(tempfile.mkdtemp(
            prefix=_PREFIX, dir=self._base))
        made = self._ours / 'new'
        self._lock = os.open(made, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC,
                             0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        made.rename(self._ours / _LOCK)

    def add(self, name: str, text: str) -> pathlib.Path:
        """Make a directory with one private file in it.

        :returns: the file
        :raises OSError: if it cannot be written
        """
        if self._ours is None:
            raise FileNotFoundError(f'{self._base} is closed')
        folder = pathlib.Path(tempfile.mkdtemp(dir=self._ours))
        file = folder / name
        try:
            file.touch(0o600, exist_ok=False)
            file.write_text(text, encoding='utf-8')
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return file

    def remove(self, folder: pathlib.Path) -> None:
        """Remove a directory that :meth:`add` made."""
        shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """End, and leave nothing behind."""
        if self._ours is not None:
            shutil.rmtree(self._ours, ignore_errors=True)
            self._ours = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _abandoned(folder: pathlib.Path) -> bool:
    """Return whether the process that made a directory is gone."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder / _LOCK, os.O_RDONLY | os.O_NOFOLLOW
                             | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
        finally:
            os.close(descriptor)
    return False

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

"""File locks between quickstarts that run at the same time."""

import collections.abc
import contextlib
import fcntl
import pathlib

from tools.cloud import commands
from tools.cloud import progress


@contextlib.contextmanager
def held(path: pathlib.Path, run: commands.Commands,
         tell: progress.Progress) -> collections.abc.Iterator[None]:
    """Hold a lock file; report if another process holds it.

    The kernel releases the lock when its holder ends.
    """
    with path.open('a') as file:
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    tell.say(f'waiting for another process that holds {path}')
                told = True
                run.pause(0.2)
        yield

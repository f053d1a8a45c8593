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

"""What processes use, from ``/proc``."""

from __future__ import annotations

from collections.abc import Iterable
import contextlib
import dataclasses
import os
import pathlib


@dataclasses.dataclass(frozen=True)
class Usage:
    """What one or several processes have used so far.

    :ivar cpu: seconds
    :ivar resident: KiB; shared pages count once for each process
    :ivar most: KiB, the most that was resident
    :ivar ended: CPU seconds of children that have ended
    """

    cpu: float = 0
    resident: int = 0
    most: int = 0
    threads: int = 0
    ended: float = 0

    @classmethod
    def of(cls, pid: int) -> Usage:
        """Return the usage of a process.

        :raises OSError: it does not exist
        """
        proc = pathlib.Path('/proc', str(pid))
        fields = proc.joinpath('stat').read_text().rpartition(')')[2].split()
        status = dict(
            line.split(':', 1)
            for line in proc.joinpath('status').read_text().splitlines())
        own, ended = (sum(map(int, fields[at:at + 2]))
                      / os.sysconf('SC_CLK_TCK') for at in (11, 13))
        return cls(own, int(status['VmRSS'].split()[0]),
                   int(status['VmHWM'].split()[0]), int(status['Threads']),
                   ended)

    @classmethod
    def of_all(cls, pids: Iterable[int]) -> Usage:
        """Return the usage of several processes."""
        return cls(*map(sum, zip(*(
            dataclasses.astuple(cls.of(pid)) for pid in pids), strict=True)))

    def __sub__(self, earlier: Usage) -> Usage:
        return Usage(*(now - then for now, then in zip(
            dataclasses.astuple(self), dataclasses.astuple(earlier),
            strict=True)))


def proportional_memory(pids: Iterable[int]) -> float:
    """Return the MiB of processes, with shared pages counted once."""
    total = 0
    for pid in pids:
        for line in pathlib.Path(
                f'/proc/{pid}/smaps_rollup').read_text().splitlines():
            if line.startswith('Pss:'):
                total += int(line.split()[1])
    return total / 1024


def open_files(pids: Iterable[int]) -> tuple[int, int]:
    """Return how many sockets, and other files, processes have open."""
    sockets = others = 0
    for pid in pids:
        for name in os.listdir(f'/proc/{pid}/fd'):
            # It may be closed meanwhile.
            with contextlib.suppress(FileNotFoundError):
                if os.readlink(f'/proc/{pid}/fd/{name}').startswith(
                        'socket:'):
                    sockets += 1
                else:
                    others += 1
    return sockets, others


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    children = [
        int(child) for task in os.listdir(f'/proc/{pid}/task')
        for child in pathlib.Path(
            f'/proc/{pid}/task/{task}/children').read_text().split()]
    return [pid, *(one for child in children for one in family(child))]

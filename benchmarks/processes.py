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
import dataclasses
import os
import pathlib


@dataclasses.dataclass(frozen=True)
class Use:
    """What a process has used by now, or several of them have.

    :ivar cpu: seconds
    :ivar resident: KiB
    :ivar most: KiB, the most that was resident
    :ivar ended: CPU seconds of children that have ended
    """

    cpu: float = 0
    resident: int = 0
    most: int = 0
    threads: int = 0
    ended: float = 0

    @classmethod
    def of(cls, pid: int) -> Use:
        """Look at a process.

        :raises OSError: there is none
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
    def of_all(cls, pids: Iterable[int]) -> Use:
        """Look at several processes; shared pages count once for each."""
        made = cls()
        for one in map(cls.of, pids):
            made = cls(made.cpu + one.cpu, made.resident + one.resident,
                       made.most + one.most, made.threads + one.threads,
                       made.ended + one.ended)
        return made


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    children = [
        int(child) for task in os.listdir(f'/proc/{pid}/task')
        for child in pathlib.Path(
            f'/proc/{pid}/task/{task}/children').read_text().split()]
    return [pid, *(one for child in children for one in family(child))]

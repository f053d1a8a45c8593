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

"""Projects take turns: who is next, whatever number each has lined up."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses


@dataclasses.dataclass(frozen=True)
class Entry:
    """Something in the line of a project.

    :ivar at: since when it waits, in epoch seconds
    :ivar goes_on: whether it is among what goes on already, and only has
        nobody who sees to it
    """

    id: str
    project_id: str | None
    at: int
    goes_on: bool = False

    @property
    def age(self) -> tuple[bool, int, str]:
        """Orders what is of one turn, and the line of one project."""
        return not self.goes_on, self.at, self.id


def chosen(entries: Iterable[Entry], limit: int,
           going: Mapping[str | None, int],
           per_project: int | None) -> list[Entry]:
    """Return who is next, in order.

    The first of each project comes before the second of any. Among those of
    one turn, and of one project, what goes on already comes first, and then
    who has waited longer.

    :param limit: how many, at the most
    :param going: how many of each project go on already
    :param per_project: how many of a project may go on at one time
    """
    lines: collections.defaultdict[str | None, list[Entry]] = (
        collections.defaultdict(list))
    for entry in entries:
        lines[entry.project_id].append(entry)
    placed = []
    for project_id, line in lines.items():
        most = len(line)
        if per_project is not None:
            most = sum(entry.goes_on for entry in line) + max(
                0, per_project - going.get(project_id, 0))
        placed += list(enumerate(
            sorted(line, key=lambda entry: entry.age)[:most]))
    placed.sort(key=lambda place: (place[0], place[1].age))
    return [entry for _turn, entry in placed[:limit]]

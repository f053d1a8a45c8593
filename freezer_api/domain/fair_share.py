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

"""The fair-share order: projects take turns, however much each has queued."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses


@dataclasses.dataclass(frozen=True)
class Entry:
    """An item in the queue of a project.

    :ivar at: time since when it waits, in epoch seconds
    :ivar goes_on: whether it is a current run whose lease has expired
    """

    id: str
    project_id: str | None
    at: int
    goes_on: bool = False

    @property
    def age(self) -> tuple[bool, int, str]:
        """The order within one turn, and within one project."""
        return not self.goes_on, self.at, self.id


def chosen(entries: Iterable[Entry], limit: int,
           going: Mapping[str | None, int],
           per_project: int | None) -> list[Entry]:
    """Return the next items in fair-share order.

    The first item of each project comes before the second item of any.
    Within a turn, and within a project, current runs come first, then the
    items that have waited longer.

    :param limit: maximum number of items
    :param going: number of current runs of each project
    :param per_project: maximum number of current runs of a project; None for
        no limit
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

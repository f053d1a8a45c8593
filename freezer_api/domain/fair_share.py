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

"""The fair-share order: projects take turns, however much each has queued.

The project that has waited longest is next: since its last turn, or since its
first item was queued, whichever is later. The API hands out due jobs in this
order, and a scheduler gives its slots, its workers and its logins in it.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import itertools
from typing import Generic
from typing import TypeVar

Project = TypeVar('Project')
Item = TypeVar('Item')


class FairShare(Generic[Project, Item]):
    """The queues of the projects, with the order in which they take turns."""

    def __init__(self) -> None:
        # Projects with items; the one that has waited longest comes first.
        self._queues: collections.OrderedDict[
            Project, collections.OrderedDict[Item, None]] = (
                collections.OrderedDict())

    def add(self, project_id: Project, item: Item,
            first: bool = False) -> None:
        """Queue an item, unless it is queued already.

        :param first: whether it comes before the others of its project
        """
        queue = self._queues.setdefault(project_id, collections.OrderedDict())
        queue.setdefault(item)
        if first:
            queue.move_to_end(item, last=False)

    def remove(self, project_id: Project, item: Item) -> None:
        """Remove an item, if it is queued."""
        queue = self._queues.get(project_id)
        if queue is not None and item in queue:
            del queue[item]
            if not queue:
                del self._queues[project_id]

    def __bool__(self) -> bool:
        """Return whether an item is queued."""
        return bool(self._queues)

    def next(self, may: Callable[[Item], bool] = lambda _item: True,
             ) -> Item | None:
        """Remove and return the next item.

        :param may: returns whether an item, which is the first one of its
            project, can have its turn now; a project without a turn keeps its
            place
        :returns: None if there is no item that can
        """
        for project_id, queue in self._queues.items():
            item = next(iter(queue))
            if may(item):
                del queue[item]
                if queue:
                    self._queues.move_to_end(project_id)
                else:
                    del self._queues[project_id]
                return item
        return None


@dataclasses.dataclass(frozen=True)
class Entry:
    """A due job, or a current run whose lease has expired.

    :ivar at: time since when it waits, in epoch seconds
    :ivar goes_on: whether it is a current run
    :ivar last_turn_at: time of the last turn of its project, in epoch
        seconds; None if it is not known
    """

    id: str
    project_id: str | None
    at: int
    goes_on: bool = False
    last_turn_at: int | None = None

    @property
    def age(self) -> tuple[bool, int, str]:
        """The order within one project."""
        return not self.goes_on, self.at, self.id

    @property
    def waiting_since(self) -> int:
        """The time since when its project waits, if this is its first."""
        return max(self.at, self.last_turn_at or 0)


def chosen(entries: Iterable[Entry], limit: int,
           going: Mapping[str | None, int],
           per_project: int | None) -> list[Entry]:
    """Return the next items in fair-share order.

    The first item of each project comes before the second item of any.
    Projects with a current run whose lease has expired come first.

    :param limit: maximum number of items
    :param going: number of current runs of each project
    :param per_project: maximum number of current runs of a project; None for
        no limit
    """
    queues: collections.defaultdict[str | None, list[Entry]] = (
        collections.defaultdict(list))
    for entry in sorted(entries, key=lambda entry: entry.age):
        queues[entry.project_id].append(entry)
    if per_project is not None:
        for project_id, queue in queues.items():
            del queue[sum(entry.goes_on for entry in queue)
                      + max(0, per_project - going.get(project_id, 0)):]
    turns = FairShare[str | None, Entry]()
    for queue in sorted(filter(None, queues.values()), key=lambda queue: (
            not queue[0].goes_on, queue[0].waiting_since,
            # Turns within one second are told apart by what they gave.
            going.get(queue[0].project_id, 0), queue[0].age)):
        for entry in queue:
            turns.add(entry.project_id, entry)
    return list(itertools.islice(iter(turns.next, None), limit))

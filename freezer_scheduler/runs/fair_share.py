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

"""Lines of projects that take turns.

In a round each project has one turn, whatever it has lined up. One that comes
into a round still has its turn there, unless it had it already. A round is
over, too, when nothing is lined up any more.
"""

from __future__ import annotations

import collections
from typing import Generic
from typing import TypeVar

Item = TypeVar('Item')


class FairShare(Generic[Item]):
    """What is lined up, by projects."""

    def __init__(self) -> None:
        self._lines: dict[str, collections.deque[Item]] = {}
        # Those to come in this round, in order, and those that had a turn.
        self._round: dict[str, None] = {}
        self._had: dict[str, None] = {}

    def add(self, project_id: str, item: Item) -> None:
        """Line something up behind what its project has lined up."""
        self._lines.setdefault(project_id, collections.deque()).append(item)
        if project_id not in self._had:
            self._round.setdefault(project_id)

    def remove(self, project_id: str, item: Item) -> None:
        """Take something out of the line of its project."""
        self._lines[project_id].remove(item)
        self._leave_if_empty(project_id)

    def next(self) -> Item | None:
        """Take the first of the project whose turn it is."""
        if not self._round:
            self._round = dict.fromkeys(
                project_id for project_id in self._had
                if project_id in self._lines)
            self._had = {}
        project_id = next(iter(self._round), None)
        if project_id is None:
            return None
        del self._round[project_id]
        self._had[project_id] = None
        item = self._lines[project_id].popleft()
        self._leave_if_empty(project_id)
        return item

    def _leave_if_empty(self, project_id: str) -> None:
        if not self._lines[project_id]:
            del self._lines[project_id]
            self._round.pop(project_id, None)
        if not self._lines:
            self._had = {}

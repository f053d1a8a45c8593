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

"""What a document says before and after an upgrade, field by field."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
from typing import Any

Path = tuple[str | int, ...]


class _Absent:
    """Stands in for a field that is not there."""

    def __repr__(self) -> str:
        return 'absent'


ABSENT = _Absent()


@dataclasses.dataclass(frozen=True)
class Change:
    """A field that reads otherwise.

    :ivar release: that made the database
    :ivar noun: the collection that the document is in
    :ivar path: of the field
    :ivar beside: what held it before
    """

    release: str
    noun: str
    path: Path
    theirs: Any
    ours: Any
    beside: dict[str, Any]

    @property
    def in_entry(self) -> bool:
        """Whether it is in a job's entry for an action."""
        return self.noun == 'jobs' and self.path[:1] == ('job_actions',)

    @property
    def name(self) -> str | int:
        return self.path[-1] if self.path else ''

    @property
    def had_copies(self) -> bool:
        """Whether jobs of the release had copies of their actions."""
        return int(self.release.split('.')[0]) <= 18


@dataclasses.dataclass(frozen=True)
class Permitted:
    """A kind of change that is meant.

    :ivar reason: what makes it right
    """

    reason: str
    fits: Callable[[Change], bool]


def changes(release: str, noun: str, theirs: Any, ours: Any,
            path: Path = (),
            beside: dict[str, Any] | None = None) -> Iterator[Change]:
    """Compare two documents; what is of another type is another value."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted(theirs.keys() | ours.keys()):
            yield from changes(release, noun, theirs.get(key, ABSENT),
                               ours.get(key, ABSENT), (*path, key), theirs)
    elif (isinstance(theirs, list) and isinstance(ours, list)
          and len(theirs) == len(ours)):
        for index, pair in enumerate(zip(theirs, ours, strict=True)):
            yield from changes(release, noun, *pair, (*path, index))
    elif type(theirs) is not type(ours) or theirs != ours:
        yield Change(release, noun, path, theirs, ours, beside or {})

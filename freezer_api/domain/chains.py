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

"""Chains: a full backup of a volume and the increments that depend on it.

Cinder's API does not show the parent of an increment, neither as a field nor
as a filter. It is derived here the way Cinder chooses it, in
``cinder.backup.api.API.create``:

* The parent is the available backup of the volume with the newest data.
  Container and availability zone play no part.
* The parent of an increment of a snapshot has data that is older than the
  snapshot. Where there is none, Cinder takes the first of its list, which is
  the backup that was created last.
* Cinder does not delete a backup that another one depends on. So the parent
  is still there, unless an administrator forced its deletion.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import datetime
from typing import Generic
from typing import Protocol
from typing import TypeVar

# No increment can have been built on a backup in one of these statuses.
_NO_PARENT = frozenset(('creating', 'error', 'deleting', 'error_deleting'))


class Backup(Protocol):
    """A backup of a volume, as Cinder lists it.

    :ivar data_at: time of the data: for a backup of a snapshot, the creation
        time of the snapshot
    :ivar has_dependents: whether Cinder has counted increments of it. The
        count can be wrong: Cinder subtracts the deletion of an increment that
        failed, without having added it.
    """

    @property
    def id(self) -> str: ...

    @property
    def status(self) -> str: ...

    @property
    def is_incremental(self) -> bool: ...

    @property
    def created_at(self) -> datetime.datetime | None: ...

    @property
    def data_at(self) -> datetime.datetime | None: ...

    @property
    def of_snapshot(self) -> bool: ...

    @property
    def has_dependents(self) -> bool: ...

    @property
    def metadata(self) -> Mapping[str, str]: ...


B = TypeVar('B', bound=Backup)


@dataclasses.dataclass(eq=False)
class Chain(Generic[B]):
    """A full backup and all backups that depend on it, oldest first.

    :ivar parents: the id of each increment's parent, by its own id
    """

    backups: list[B]
    parents: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def first(self) -> B:
        return self.backups[0]

    @property
    def newest_at(self) -> datetime.datetime:
        """Creation time of the newest backup of the chain."""
        return created_at(self.backups[-1])


def link(backups: Iterable[B]) -> list[Chain[B]]:
    """Return the chains of a volume, the one with the oldest backup first.

    A chain begins with a full backup, or with an increment whose parent is
    unknown because no other backup is older.

    :param backups: all backups of one volume, each with its creation time
    """
    chains: list[Chain[B]] = []
    chain_of: dict[str, Chain[B]] = {}
    parents = _Parents[B]()
    for backup in sorted(backups, key=_order):
        parent = parents.of(backup) if backup.is_incremental else None
        if parent is None:
            chain = Chain([backup])
            chains.append(chain)
        else:
            chain = chain_of[parent.id]
            chain.parents[backup.id] = parent.id
            chain.backups.append(backup)
        chain_of[backup.id] = chain
        parents.add(backup)
    return chains


class _Parents(Generic[B]):
    """The possible parents of an increment, in creation order."""

    def __init__(self) -> None:
        self._all: list[B] = []
        self._by_data: list[tuple[datetime.datetime, bool, int]] = []

    def add(self, backup: B) -> None:
        if backup.has_dependents or backup.status not in _NO_PARENT:
            bisect.insort(self._by_data, (
                data_at(backup), backup.has_dependents, len(self._all)))
        self._all.append(backup)

    def of(self, increment: B) -> B | None:
        """Return the parent of an increment that is created next."""
        end = len(self._by_data)
        if increment.of_snapshot:
            end = bisect.bisect_left(self._by_data, (data_at(increment),))
        if end:
            return self._all[self._by_data[end - 1][-1]]
        # The first of Cinder's list. Without a backup that can be a parent,
        # the status of the true one has changed.
        return self._all[-1] if self._all else None


def created_at(backup: Backup) -> datetime.datetime:
    assert backup.created_at is not None
    return backup.created_at


def data_at(backup: Backup) -> datetime.datetime:
    return backup.data_at or created_at(backup)


def _order(backup: Backup) -> tuple[object, ...]:
    """Order by creation; parents come first among equal times."""
    return (created_at(backup), backup.is_incremental,
            not backup.has_dependents, backup.id)

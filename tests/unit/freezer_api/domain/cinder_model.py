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

"""A model of Cinder that knows each backup's parent, which Cinder hides.

It makes and deletes backups of one volume as ``cinder.backup.api`` of release
29 does. Rules are held to what it knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import datetime

from hypothesis import strategies as st

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
STATUSES = ('available', 'error', 'creating', 'deleting', 'restoring',
            'error_deleting', 'something new')
OWN, OTHER, GONE = 'job-own', 'job-other', 'job-gone'

_NEVER = datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)


def hours(number: float) -> datetime.datetime:
    return START + datetime.timedelta(hours=number)


@dataclasses.dataclass(frozen=True)
class Listed:
    """A backup as Cinder lists it."""

    id: str
    created_at: datetime.datetime | None
    is_incremental: bool = False
    status: str = 'available'
    has_dependents: bool = False
    of_snapshot: bool = False
    data_at: datetime.datetime | None = None
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    container: str | None = None
    availability_zone: str | None = None


def marks(job: str | None, freezer: bool = True) -> dict[str, str]:
    """Return the metadata of a backup; an old agent leaves no job."""
    if not freezer:
        return {}
    return {'created_by': 'freezer',
            **({'freezer_job_id': job} if job else {})}


def backup(number: int, made: float | None = None, incremental: bool = False,
           status: str = 'available', mine: bool = True,
           dependents: bool = False, data: float | None = None,
           snapshot: bool = False, job: str | None = None) -> Listed:
    return Listed(
        f'b{number:03}', hours(number if made is None else made),
        incremental, status, dependents, snapshot,
        None if data is None else hours(data), marks(job, mine))


class Cinder:
    """What Cinder knows and does about one volume."""

    def __init__(self) -> None:
        self.backups: dict[str, Listed] = {}
        self.parent: dict[str, str | None] = {}
        self.counted: dict[str, int] = {}
        self.snapshots: list[datetime.datetime] = []
        self.clock = 0.0

    def snap(self) -> None:
        self.snapshots.append(hours(self.clock))

    def make(self, incremental: bool = False,
             metadata: Mapping[str, str] | None = None, fails: bool = False,
             snapshot: int | None = None, container: str = 'c',
             zone: str = 'z') -> str | None:
        """Make a backup; None where Cinder refuses.

        :param snapshot: which of the snapshots it is of
        """
        now = hours(self.clock)
        data = now if snapshot is None else self.snapshots[snapshot]
        parent = None
        if incremental:
            parent = self._parent(None if snapshot is None else data)
            if parent is None:
                return None
        new = Listed(
            f'b{len(self.parent):03}', now, parent is not None,
            'error' if fails else 'available', False, snapshot is not None,
            data, marks(OWN) if metadata is None else metadata, container,
            zone)
        self.backups[new.id] = new
        self.counted[new.id] = 0
        self.parent[new.id] = parent
        if parent and not fails:
            self.counted[parent] += 1
        return new.id

    def _parent(self, snapshot: datetime.datetime | None) -> str | None:
        newest_first = sorted(self.backups.values(), key=lambda one: (
            one.created_at, one.id), reverse=True)

        def key(one: Listed) -> datetime.datetime:
            assert one.data_at is not None
            able = one.status == 'available' and (
                snapshot is None or one.data_at < snapshot)
            return one.data_at if able else _NEVER

        latest = max(newest_first, key=key, default=None)
        if latest is None or latest.status != 'available':
            return None
        return latest.id

    def set_status(self, backup_id: str, status: str) -> None:
        self.backups[backup_id] = dataclasses.replace(
            self.backups[backup_id], status=status)

    def delete(self, backup_id: str, forced: bool = False) -> bool:
        """Delete a backup; False where Cinder refuses.

        :param forced: have Cinder not look at what depends on it
        """
        if (self.backups[backup_id].status not in ('available', 'error')
                or (not forced and any(self.parent[other] == backup_id
                                       for other in self.backups))):
            return False
        del self.backups[backup_id]
        parent = self.parent[backup_id]
        # It subtracts a failed increment that it has not added.
        if parent is not None and self.counted.get(parent):
            self.counted[parent] -= 1
        return True

    def listed(self) -> list[Listed]:
        return [dataclasses.replace(
            one, has_dependents=bool(self.counted[one.id]))
            for one in reversed(self.backups.values())]

    def path(self, backup_id: str) -> Iterator[str]:
        """Yield all that a backup depends on, itself first."""
        at: str | None = backup_id
        while at is not None:
            yield at
            at = self.parent[at]

    def root(self, backup_id: str) -> str:
        return list(self.path(backup_id))[-1]

    def whole(self, backup_id: str) -> bool:
        """Return whether a backup can be restored from."""
        return all(one in self.backups for one in self.path(backup_id))

    def chains(self) -> dict[str, list[Listed]]:
        """Return the backups by the full one they depend on, oldest first."""
        found: dict[str, list[Listed]] = {}
        for one in self.backups.values():
            found.setdefault(self.root(one.id), []).append(one)
        return found

    def copy(self) -> Cinder:
        other = Cinder()
        other.backups = dict(self.backups)
        other.parent = dict(self.parent)
        other.counted = dict(self.counted)
        other.snapshots = list(self.snapshots)
        other.clock = self.clock
        return other


LATER = st.integers(1, 48).map(float)
MAYBE_LATER = st.sampled_from((0.0, 0.0, 1.0, 24.0))

# Mostly this job's.
METADATA = st.sampled_from((
    *[marks(OWN)] * 6, marks(OTHER), marks(OTHER), marks(GONE), marks(None),
    marks(None, freezer=False)))
FAILS = st.sampled_from((False, False, False, True))


@st.composite
def histories(draw: st.DrawFn, gaps: st.SearchStrategy[float] = LATER,
              statuses: bool = False, most: int = 16,
              metadata: st.SearchStrategy[dict[str, str]] = METADATA,
              fails: st.SearchStrategy[bool] = FAILS) -> Cinder:
    """Make what users, Freezer and failures leave behind over time.

    :param statuses: whether backups come into other statuses afterwards
    """
    cinder = Cinder()
    for _step in range(draw(st.integers(0, most))):
        cinder.clock += draw(gaps)
        match draw(st.sampled_from('ffiiiipstdx')):
            case 'p':
                cinder.snap()
            case 'd' if cinder.backups:
                cinder.delete(draw(st.sampled_from(sorted(cinder.backups))))
            case 'x' if cinder.backups and statuses:
                cinder.set_status(
                    draw(st.sampled_from(sorted(cinder.backups))),
                    draw(st.sampled_from(STATUSES)))
            case kind:
                snapshot = None
                if kind in 'st' and cinder.snapshots:
                    snapshot = draw(st.integers(
                        0, len(cinder.snapshots) - 1))
                cinder.make(
                    kind in 'it', draw(metadata),
                    draw(fails),
                    snapshot, draw(st.sampled_from('cC')),
                    draw(st.sampled_from('zZ')))
    return cinder

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

"""The volumes of an action, selected by ID, name or metadata."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import fnmatch
import re
from typing import Protocol

from freezer_api.domain import cinder_keys

KEY = 'cindernative_volumes'

#: Maximum number of volumes of all actions of a job: the record of a run can
#: list as many, with shortened reasons.
MOST_VOLUMES = 200

#: Maximum of volumes and actions together: the maximum of actions of a job.
MOST_STEPS = 256

_KEYS = ('ids', 'name', 'metadata')
_MOST_PAIRS = 32

# Cinder is deleting volumes in these statuses.
_GOING = frozenset(('deleting', 'error_deleting'))


class Volume(Protocol):
    """A volume that a selection can match."""

    @property
    def id(self) -> str: ...

    @property
    def status(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def metadata(self) -> Mapping[str, str]: ...


@dataclasses.dataclass(frozen=True)
class Selection:
    """The volumes of an action.

    :ivar ids: the IDs of the volumes; None to search by name and metadata
    :ivar name: a shell pattern for the names of volumes
    :ivar metadata: pairs that the metadata of a volume must contain
    """

    ids: tuple[str, ...] | None
    name: str | None
    metadata: Mapping[str, str]

    def among(self, volumes: Iterable[Volume]) -> list[str]:
        """Return the IDs of the matching volumes."""
        # Do not use fnmatch, which caches tens of thousands of patterns.
        fits = re.compile(fnmatch.translate(
            '*' if self.name is None else self.name)).match
        return [volume.id for volume in volumes
                if volume.status not in _GOING
                and fits(volume.name)
                and self.metadata.items() <= volume.metadata.items()]


def most_volumes(actions: int) -> int:
    """Return the maximum number of volumes for a number of actions."""
    return max(0, min(MOST_VOLUMES, MOST_STEPS - actions))


def single(document: Mapping[str, object],
           volume_id: str | None) -> dict[str, object]:
    """Return an action of several volumes as an action of one volume."""
    return {**{key: value for key, value in document.items() if key != KEY},
            'cindernative_vol_id': volume_id}


def read(document: Mapping[str, object]) -> Selection | None:
    """Read the selection of volumes of a freezer_action.

    An unknown key is refused, because a misspelled condition would select
    more volumes than intended.

    :returns: None if the action is for one volume
    :raises freezer_api.domain.cinder_keys.Unusable: if the selection is
        invalid
    """
    given = document.get(KEY)
    if given is None:
        return None
    if document.get('cindernative_vol_id') not in (None, ''):
        raise cinder_keys.Unusable(
            f'{KEY}: set only one of it and cindernative_vol_id')
    if document.get('action') == cinder_keys.RESTORE:
        raise cinder_keys.Unusable(
            f'{KEY}: a restore has one volume; set it in '
            'cindernative_vol_id')
    if not isinstance(given, Mapping):
        raise cinder_keys.Unusable(f'{KEY}: must be an object')
    cinder_keys.check_inner_names(KEY, given, _KEYS)
    keys = {key for key, value in given.items() if value is not None}
    if not keys or ('ids' in keys and len(keys) > 1):
        raise cinder_keys.Unusable(
            f'{KEY}: must have either ids, or name, metadata or both')
    return Selection(
        ids=_ids(given['ids']) if 'ids' in keys else None,
        name=_text(given['name'], 'name') if 'name' in keys else None,
        metadata=_pairs(given['metadata']) if 'metadata' in keys else {})


def _ids(value: object) -> tuple[str, ...]:
    """Return the IDs in the format of Cinder, without duplicates."""
    where = f'{KEY}.ids'
    if not isinstance(value, list) or not value:
        raise cinder_keys.Unusable(f'{where}: must be a list of ids')
    found: dict[str, None] = {}
    for number, one in enumerate(value, start=1):
        if not isinstance(one, str) or not cinder_keys.UUID.fullmatch(one):
            raise cinder_keys.Unusable(
                f'{where}: number {number} is not an id')
        found[cinder_keys.plain_id(one)] = None
    if len(found) > MOST_VOLUMES:
        raise cinder_keys.Unusable(
            f'{where}: {len(found)} volumes; {MOST_VOLUMES} is the most')
    return tuple(found)


def _pairs(value: object) -> dict[str, str]:
    where = f'{KEY}.metadata'
    if not isinstance(value, Mapping) or not value:
        raise cinder_keys.Unusable(f'{where}: must be an object of texts')
    if len(value) > _MOST_PAIRS:
        raise cinder_keys.Unusable(f'{where}: more than {_MOST_PAIRS} keys')
    return {_text(key, 'metadata'): _text(text, 'metadata', empty=True)
            for key, text in value.items()}


def _text(value: object, key: str, empty: bool = False) -> str:
    where = f'{KEY}.{key}'
    if not isinstance(value, str) or not (value or empty):
        raise cinder_keys.Unusable(f'{where}: must be a text')
    if len(value) > cinder_keys.LONGEST_TEXT:
        raise cinder_keys.Unusable(
            f'{where}: longer than {cinder_keys.LONGEST_TEXT} characters')
    return value

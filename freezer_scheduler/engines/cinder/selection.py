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

"""The volumes that an action names, by id, by name or by metadata."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import fnmatch
import hashlib
import json
import re
import uuid

from freezer_scheduler.engines.cinder import action as cinder_action
from freezer_scheduler.engines.cinder import client as cinder_client

KEY = 'cindernative_volumes'

_LONGEST = 255
_MOST_PAIRS = 32
_DIGEST = 16

# Nobody wants a backup of what he is deleting.
_GOING = frozenset(('deleting', 'error_deleting'))


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which volumes an action is about.

    :ivar ids: these, whatever they are; None to look for some
    :ivar name: a shell pattern that a volume's name has to match
    :ivar metadata: what a volume's metadata has to hold
    """

    ids: tuple[str, ...] | None
    name: str | None
    metadata: Mapping[str, str]

    def among(self, volumes: Iterable[cinder_client.CinderVolume],
              ) -> list[str]:
        """Return the ids of those that are chosen."""
        # fnmatch itself keeps tens of thousands of users' patterns.
        fits = re.compile(fnmatch.translate(
            '*' if self.name is None else self.name)).match
        return [volume.id for volume in volumes
                if volume.status not in _GOING
                and fits(volume.name)
                and self.metadata.items() <= volume.metadata.items()]


def digest(document: Mapping[str, object]) -> str:
    """Return what tells this choice, and what it is for, from another."""
    chosen_by = [document.get(key) for key in ('mode', 'action', KEY)]
    text = json.dumps(chosen_by, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]


def read(document: Mapping[str, object]) -> Selection | None:
    """Read what a freezer_action says of several volumes.

    A key that is not known is refused: one that was misspelled would have
    more volumes chosen than were meant.

    :returns: None where it is about one volume
    :raises Unusable: when it cannot be carried out as it stands
    """
    given = document.get(KEY)
    if given is None:
        return None
    if document.get('cindernative_vol_id') not in (None, ''):
        raise cinder_action.Unusable(
            f'{KEY} and cindernative_vol_id: only one of them can be given')
    if document.get('action') == 'restore':
        raise cinder_action.Unusable(
            f'{KEY}: a restore is of one volume; name it by '
            'cindernative_vol_id')
    if not isinstance(given, Mapping):
        raise cinder_action.Unusable(f'{KEY}: must be an object')
    for key in given:
        if key not in ('ids', 'name', 'metadata'):
            raise cinder_action.Unusable(
                f'{KEY}: knows ids, or name and metadata, and no other key')
    keys = {key for key, value in given.items() if value is not None}
    if not keys or ('ids' in keys and len(keys) > 1):
        raise cinder_action.Unusable(
            f'{KEY}: must have either ids, or name, metadata or both')
    return Selection(
        ids=_ids(given['ids']) if 'ids' in keys else None,
        name=_text(given['name'], 'name') if 'name' in keys else None,
        metadata=_pairs(given['metadata']) if 'metadata' in keys else {})


def _ids(value: object) -> tuple[str, ...]:
    """Return ids in the one form that Cinder gives them, each once."""
    where = f'{KEY}.ids'
    if not isinstance(value, list) or not value:
        raise cinder_action.Unusable(f'{where}: must be a list of ids')
    found: dict[str, None] = {}
    for number, one in enumerate(value, start=1):
        if not isinstance(one, str) or not cinder_action.UUID.fullmatch(one):
            raise cinder_action.Unusable(
                f'{where}: number {number} is not an id')
        found[str(uuid.UUID(one))] = None
    return tuple(found)


def _pairs(value: object) -> dict[str, str]:
    where = f'{KEY}.metadata'
    if not isinstance(value, Mapping) or not value:
        raise cinder_action.Unusable(f'{where}: must be an object of texts')
    if len(value) > _MOST_PAIRS:
        raise cinder_action.Unusable(
            f'{where}: more than {_MOST_PAIRS} keys')
    return {_text(key, 'metadata'): _text(text, 'metadata', empty=True)
            for key, text in value.items()}


def _text(value: object, key: str, empty: bool = False) -> str:
    where = f'{KEY}.{key}'
    if not isinstance(value, str) or not (value or empty):
        raise cinder_action.Unusable(f'{where}: must be a text')
    if len(value) > _LONGEST:
        raise cinder_action.Unusable(
            f'{where}: longer than {_LONGEST} characters')
    return value

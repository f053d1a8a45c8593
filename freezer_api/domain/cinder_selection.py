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

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import fnmatch
import re
from typing import Protocol
from typing import TypeVar

from freezer_api.domain import cinder_keys

T = TypeVar('T')

KEY = 'cindernative_volumes'

#: Maximum number of volumes of all actions of a job: the record of a run can
#: list as many, with shortened reasons.
MOST_VOLUMES = 200

#: Maximum of volumes and actions together: the maximum of actions of a job.
MOST_STEPS = 256

_KEYS = ('ids', 'server', 'all', 'name', 'metadata', 'except')
_EXCEPT_KEYS = ('ids', 'name', 'metadata', 'type', 'boot')
_MOST_SERVERS = 50
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

    @property
    def volume_type(self) -> str | None: ...

    @property
    def is_bootable(self) -> bool: ...

    @property
    def server_ids(self) -> frozenset[str]: ...


@dataclasses.dataclass(frozen=True)
class Exceptions:
    """Volumes that a selection leaves out: each that one of these matches.

    :ivar name: a shell pattern for names, likewise ``volume_type``
    :ivar metadata: pairs that the metadata of a volume must contain
    :ivar boot: whether bootable volumes are left out
    """

    ids: tuple[str, ...] = ()
    name: str | None = None
    metadata: Mapping[str, str] | None = None
    volume_type: str | None = None
    boot: bool = False

    def tests(self) -> Iterator[Callable[[Volume], bool]]:
        """Yield functions that return whether a volume is left out."""
        if self.ids:
            yield lambda volume: volume.id in self.ids
        if self.name is not None:
            name = _pattern(self.name)
            yield lambda volume: bool(name.match(volume.name))
        if self.volume_type is not None:
            of_type = _pattern(self.volume_type)
            yield lambda volume: bool(of_type.match(volume.volume_type or ''))
        if self.metadata is not None:
            pairs = self.metadata.items()
            yield lambda volume: pairs <= volume.metadata.items()
        if self.boot:
            yield lambda volume: volume.is_bootable


@dataclasses.dataclass(frozen=True)
class Resolved:
    """The volumes of a selection at one time.

    :ivar servers_without: IDs of servers to which no volume is attached
    """

    volume_ids: list[str]
    servers_without: list[str]


@dataclasses.dataclass(frozen=True)
class Selection:
    """The volumes of an action.

    With no ``ids``, a volume must meet each condition that is set.

    :ivar ids: the IDs of the volumes; None to search for them
    :ivar servers: IDs of servers; a volume must be attached to one of them
    :ivar name: a shell pattern for the names of volumes
    :ivar metadata: pairs that the metadata of a volume must contain
    """

    ids: tuple[str, ...] | None = None
    servers: tuple[str, ...] | None = None
    name: str | None = None
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    exceptions: Exceptions = Exceptions()

    def among(self, volumes: Iterable[Volume]) -> Resolved:
        """Return the matching volumes, in their order.

        :param volumes: read once, one at a time
        """
        name = _pattern('*' if self.name is None else self.name)
        left_out = list(self.exceptions.tests())
        without = dict.fromkeys(self.servers or ())
        found = []
        for volume in volumes:
            if volume.status in _GOING:
                continue
            attached = volume.server_ids.intersection(self.servers or ())
            for server in attached:
                without.pop(server, None)
            if ((attached or self.servers is None)
                    and name.match(volume.name)
                    and self.metadata.items() <= volume.metadata.items()
                    and not any(test(volume) for test in left_out)):
                found.append(volume.id)
        return Resolved(found, list(without))


def _pattern(text: str) -> re.Pattern[str]:
    """Compile a shell pattern, such as ``db-*``."""
    # Do not use fnmatch, which caches tens of thousands of patterns.
    return re.compile(fnmatch.translate(text))


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
    values = _present(given)
    ways = values.keys() - {'except'}
    if not ways or (ways & {'ids', 'all'} and len(ways) > 1):
        raise cinder_keys.Unusable(
            f'{KEY}: must have either ids, or all, or one or more of server, '
            'name and metadata')
    if 'ids' in ways and 'except' in values:
        raise cinder_keys.Unusable(
            f'{KEY}.except: cannot be combined with ids; leave the volumes '
            'out of ids')
    if 'all' in ways and values['all'] is not True:
        raise cinder_keys.Unusable(f'{KEY}.all: must be true')
    return Selection(
        ids=_optional(values, 'ids', _ids),
        servers=_optional(values, 'server', _servers),
        name=_optional(values, 'name', _text),
        metadata=_optional(values, 'metadata', _pairs) or {},
        exceptions=_optional(values, 'except', _exceptions) or Exceptions())


def _exceptions(where: str, value: object) -> Exceptions:
    if not isinstance(value, Mapping):
        raise cinder_keys.Unusable(f'{where}: must be an object')
    cinder_keys.check_inner_names(where, value, _EXCEPT_KEYS)
    values = _present(value)
    if not values:
        raise cinder_keys.Unusable(
            f'{where}: must have one or more of {", ".join(_EXCEPT_KEYS)}')
    boot = values.get('boot', False)
    if not isinstance(boot, bool):
        raise cinder_keys.Unusable(f'{where}.boot: must be true or false')
    return Exceptions(
        ids=_optional(values, 'ids', _ids, where) or (),
        name=_optional(values, 'name', _text, where),
        metadata=_optional(values, 'metadata', _pairs, where),
        volume_type=_optional(values, 'type', _text, where), boot=boot)


def _present(document: Mapping[str, object]) -> dict[str, object]:
    """Return the keys with a value; null means absence."""
    return {key: value for key, value in document.items()
            if value is not None}


def _optional(values: Mapping[str, object], key: str,
              read_value: Callable[[str, object], T],
              where: str = KEY) -> T | None:
    return read_value(f'{where}.{key}', values[key]) if key in values else None


def _ids(where: str, value: object) -> tuple[str, ...]:
    """Return the IDs of volumes in the format of Cinder, each once."""
    return _all_ids(where, value, MOST_VOLUMES, 'volumes')


def _servers(where: str, value: object) -> tuple[str, ...]:
    """Return the IDs of one server or a list of servers."""
    return _all_ids(where, [value] if isinstance(value, str) else value,
                    _MOST_SERVERS, 'servers')


def _all_ids(where: str, value: object, most: int,
             nouns: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise cinder_keys.Unusable(f'{where}: must be a list of ids')
    found: dict[str, None] = {}
    for number, one in enumerate(value, start=1):
        if not isinstance(one, str) or not cinder_keys.UUID.fullmatch(one):
            raise cinder_keys.Unusable(
                f'{where}: number {number} is not an id')
        found[cinder_keys.plain_id(one)] = None
    if len(found) > most:
        raise cinder_keys.Unusable(
            f'{where}: {len(found)} {nouns}; {most} is the most')
    return tuple(found)


def _pairs(where: str, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping) or not value:
        raise cinder_keys.Unusable(f'{where}: must be an object of texts')
    if len(value) > _MOST_PAIRS:
        raise cinder_keys.Unusable(f'{where}: more than {_MOST_PAIRS} keys')
    return {_text(where, key): _text(where, text, empty=True)
            for key, text in value.items()}


def _text(where: str, value: object, empty: bool = False) -> str:
    if not isinstance(value, str) or not (value or empty):
        raise cinder_keys.Unusable(f'{where}: must be a text')
    if len(value) > cinder_keys.LONGEST_TEXT:
        raise cinder_keys.Unusable(
            f'{where}: longer than {cinder_keys.LONGEST_TEXT} characters')
    return value

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

"""The keys of a cinder-native freezer_action: names, types and actions.

To add a key, add a line to :data:`KEYS`. The module
:mod:`freezer_api.domain.cinder_action` implements their meaning and checks
their combinations.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import datetime
import re
from typing import TypeVar

from freezer_api.domain import agent_keys
from freezer_api.domain import capabilities
from freezer_api.domain import near_keys

T = TypeVar('T')

#: Actions that Cinder carries out.
ACTIONS = capabilities.NATIVE_ACTIONS
BACKUP, RESTORE, ADMIN = 'backup', 'restore', 'admin'

LONGEST_TEXT = 255
MOST_DAYS = 365000
MOST_BACKUPS = 100000

UUID = re.compile(r'[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}')

# Similarity of two keys at which one counts as a misspelling. Lower values
# find "older_than" in "remove_older_than", but also "max_level" in
# "max_priority".
_NEAR = 0.8

# For objects in which every unknown key is refused, and names are short.
_INNER_NEAR = 0.6

# Keys of other services do not begin with this prefix.
_PREFIX = 'cindernative_'


class Unusable(Exception):
    """An action cannot be carried out; the text is for its user.

    If the document is the reason, the text begins with the wrong key and a
    colon.
    """


_Value = str | bool | int | float | datetime.datetime | None


@dataclasses.dataclass(frozen=True)
class Key:
    """A key of a cinder-native action.

    :ivar read: returns the value as the type of the key; null, which always
        means absence, is not read
    :ivar actions: the values of ``action`` for which the key is read
    :ivar help: description for users
    :ivar choices: the allowed texts, empty for any text
    """

    name: str
    read: Callable[[object], _Value]
    actions: tuple[str, ...]
    help: str
    choices: tuple[str, ...] = ()


def plain_id(text: str) -> str:
    """Return an ID that matches :data:`UUID` in the format of Cinder."""
    digits = text.replace('-', '').lower()
    return '-'.join((digits[:8], digits[8:12], digits[12:16], digits[16:20],
                     digits[20:]))


class _Wrong(Exception):
    """A value is invalid; the text is the reason without the key."""


def _text_or_empty(value: object) -> str:
    if not isinstance(value, str):
        raise _Wrong('must be a text')
    if len(value) > LONGEST_TEXT:
        raise _Wrong(f'longer than {LONGEST_TEXT} characters')
    if not value.isprintable():
        raise _Wrong('contains characters that are not printable')
    return value


def _text(value: object) -> str | None:
    """Return a text; an empty one means absence."""
    return None if value == '' else _text_or_empty(value)


def _uuid(value: object) -> str | None:
    """Return an ID in a unique format, to recognise equal volumes."""
    text = _text(value)
    if text is None:
        return None
    if not UUID.fullmatch(text):
        raise _Wrong('not an id')
    return plain_id(text)


# These also accept texts, because agents read them from ini files.

def _flag(value: object) -> bool | None:
    if value == '':
        return None
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ('true', 'false'):
        return value.lower() == 'true'
    raise _Wrong('must be true or false')


def _count(value: object) -> int | None:
    text = _numeric(value)
    if text is None:
        return None
    try:
        number = int(text)
    except ValueError:
        raise _Wrong('must be a whole number') from None
    if not 1 <= number <= MOST_BACKUPS:
        raise _Wrong(f'must be a number from 1 to {MOST_BACKUPS}')
    return number


def _days(value: object) -> float | None:
    text = _numeric(value)
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        raise _Wrong('must be a number') from None
    # This also refuses NaN.
    if not 0 <= number <= MOST_DAYS:
        raise _Wrong(f'must be a number of days from 0 to {MOST_DAYS}')
    return number


def _numeric(value: object) -> str | None:
    if value == '':
        return None
    # Python treats True as a number. Refuse it: false once meant "remove
    # backups older than now".
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _Wrong('must be a number')
    try:
        return str(value)
    except ValueError:
        # Python refuses to print numbers of thousands of digits.
        raise _Wrong('must be a number') from None


def _date(value: object) -> datetime.datetime | None:
    text = _text(value)
    if text is None:
        return None
    try:
        date = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise _Wrong('not an ISO date') from None
    return date if date.tzinfo else date.replace(tzinfo=datetime.UTC)


def _whole(value: object) -> int | None:
    """Return the count of a key that is unknown to other releases."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Wrong('must be a whole number')
    return _count(value)


def _volumes(value: object) -> None:
    """Return nothing: :mod:`freezer_api.domain.cinder_selection` reads it."""


_ALL = ACTIONS
_REMOVAL = (BACKUP, ADMIN)

KEYS: tuple[Key, ...] = (
    Key('action', _text, _ALL, 'backup, restore or admin'),
    Key('mode', _text, _ALL, 'cindernative'),
    Key('cindernative_vol_id', _uuid, _ALL, 'id of the volume'),
    Key('cindernative_volumes', _volumes, _ALL,
        'several volumes, by id, name or metadata'),
    Key('cindernative_backup_id', _uuid, (RESTORE,),
        'the Cinder backup to restore'),
    Key('backup_name', _text, _ALL,
        'name of the Cinder backup, a template'),
    Key('container', _text, _ALL,
        'container in which Cinder stores the backup'),
    Key('cindernative_backup_container', _text_or_empty, _ALL,
        'the same as container, a template'),
    Key('cindernative_backup_az', _text, (BACKUP,),
        'availability zone of the Cinder backup'),
    Key('incremental', _flag, (BACKUP,), 'create an incremental backup'),
    Key('full_every', _whole, (BACKUP,),
        'one of this many backups is a full one'),
    Key('fullbackup_rotation', _count, _REMOVAL,
        'number of full backups to keep'),
    Key('remove_older_than', _days, _REMOVAL,
        'age in days after which backups are removed'),
    Key('remove_before_date', _date, _REMOVAL,
        'remove backups from before this time'),
    Key('remove_from_date', _date, _REMOVAL,
        'old name of remove_before_date'),
    Key('keep_last', _whole, _REMOVAL, 'number of newest backups to keep'),
    *(Key(f'keep_{name}', _whole, _REMOVAL,
          f'number of {periods} of which the newest backup is kept')
      for name, periods in (('daily', 'days'), ('weekly', 'weeks'),
                            ('monthly', 'months'), ('yearly', 'years'))),
    Key('keep_deleted_days', _days, _REMOVAL,
        'days for which backups of a deleted volume stay'),
    Key('retention_scope', _text, _REMOVAL,
        'job or volume: apply the rules to the backups of',
        ('job', 'volume')),
    Key('prune_first', _flag, (BACKUP,),
        'remove old backups before the new one if a quota is exhausted'),
    Key('remove_last_chain', _flag, _REMOVAL,
        'allow the removal of the newest good chain'),
    Key('cindernative_freezer_only', _flag, _REMOVAL,
        'remove only backups of Freezer'),
    Key('restore_from_date', _date, (RESTORE,),
        'restore the newest backup that is not after this time'),
    Key('cindernative_new_volume', _flag, (RESTORE,),
        'restore into a new volume'),
    Key('cindernative_new_volume_name', _text, (RESTORE,),
        'name of the new volume, a template'),
)

NAMES = frozenset(key.name for key in KEYS)

_NAMES = near_keys.Names(NAMES, _NEAR)


def comparisons() -> near_keys.Comparisons:
    """Return the comparisons for the actions of one job, or one request."""
    return near_keys.Comparisons(_NAMES)


def check_names(document: Mapping[str, object],
                compared: near_keys.Comparisons | None) -> None:
    """Refuse a key that is probably a misspelling.

    Keys of an agent or another client pass. Other unknown keys are ignored,
    as in other releases, unless a key is similar to one of cinder-native
    actions or begins like them. Only the first ones are compared.

    :param compared: the comparisons of the actions of the same job; None to
        accept keys that are only similar
    :raises Unusable: if a key is refused; the text suggests a similar key
    """
    for name, value in document.items():
        if value is None or name in NAMES or name in agent_keys.KNOWN:
            continue
        plain = str(name).strip().lower().replace('-', '_')
        meant = compared.meant(plain) if compared else None
        if meant or plain.startswith(_PREFIX):
            hint = f'; did you mean {meant}?' if meant else ''
            raise Unusable(f'{near_keys.shown(name)}: unknown{hint}')


def check_inner_names(where: str, document: Mapping[str, object],
                      known: tuple[str, ...]) -> None:
    """Refuse unknown keys of an object.

    :param where: the key whose value is the object
    :param known: the allowed keys
    :raises Unusable: for the first unknown key; the text suggests a similar
        key, or lists all
    """
    for name in document:
        if name in known:
            continue
        meant = near_keys.Names(known, _INNER_NEAR).nearest(
            str(name).lower())
        hint = (f'did you mean {meant}?' if meant
                else f'it may have {", ".join(known)}')
        raise Unusable(f'{where}.{near_keys.shown(name)}: unknown; {hint}')


class Values:
    """The values of a document's keys, converted to the types of the keys.

    :param document: a freezer_action, with any content
    :param action: the value of ``action``, which determines the keys to read
    :raises Unusable: if a value does not have the type of its key
    """

    def __init__(self, document: Mapping[str, object], action: str) -> None:
        self._document = document
        self._values = {key.name: _read(key, document.get(key.name))
                        for key in KEYS if action in key.actions}

    def not_empty(self, *names: str) -> None:
        """Refuse empty texts, which otherwise mean absence.

        :raises Unusable: for the first one
        """
        for name in names:
            if self._document.get(name) == '':
                raise Unusable(f'{name}: is empty')

    def has(self, name: str) -> bool:
        """Return whether a key has a value."""
        return self._values.get(name) is not None

    def get(self, name: str, kind: type[T]) -> T | None:
        """Return the value of a key, None if it is absent.

        IDs have the format of Cinder, times have a zone, counts are at least
        1 and numbers of days at least 0.

        :param kind: the type of the key
        """
        value = self._values.get(name)
        return value if isinstance(value, kind) else None

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a flag, or the default if it is absent."""
        value = self.get(name, bool)
        return default if value is None else value


def _read(key: Key, value: object) -> _Value:
    if value is None:
        return None
    try:
        found = key.read(value)
    except _Wrong as error:
        raise Unusable(f'{key.name}: {error}') from None
    if key.choices and found is not None and found not in key.choices:
        raise Unusable(f'{key.name}: must be {" or ".join(key.choices)}')
    return found

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

"""A cinder-native action, read through a strict list of keys.

Only what is listed here leaves this module, checked by type and size. Every
other key of a user's document is as if it were not there.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import datetime
import re
import string
import uuid

from freezer_scheduler.engines.cinder import retention

DEFAULT_CONTAINER = 'freezer_backups'
DEFAULT_ROTATION = 1
DEFAULT_NAME = 'freezer_{mode}_{resource_id}'
DEFAULT_NEW_VOLUME = 'freezer_restore_{backup_id}'
MODE = 'cindernative'

_LONGEST = 255
_MOST_DAYS = 365000
_MOST_FULLS = 100000
UUID = re.compile(r'[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}')


class Unusable(Exception):
    """An action cannot be carried out; the text says why, to its user."""


@dataclasses.dataclass(frozen=True)
class Removal:
    """What an action says about backups to be removed."""

    fullbackup_rotation: int | None
    remove_older_than: float | None
    remove_before: datetime.datetime | None
    freezer_only: bool
    last_too: bool

    def rule(self, due: datetime.datetime) -> retention.Rule | None:
        """Return the rule; None where nothing is to be removed.

        :param due: when the run was due; days count back from then
        """
        cutoff = self.remove_before
        if self.remove_older_than is not None:
            cutoff = due - datetime.timedelta(self.remove_older_than)
        if cutoff is None and self.fullbackup_rotation is None:
            return None
        # Age goes before a number.
        keep = self.fullbackup_rotation if cutoff is None else None
        return retention.Rule(keep, cutoff, self.freezer_only, self.last_too)


@dataclasses.dataclass(frozen=True)
class CinderAction:
    """A cinder-native action.

    :ivar name: of the backup in Cinder, template resolved
    :ivar container: in Cinder, template resolved; may be empty
    :ivar full_every: of how many backups one is to be a full one
    :ivar backup_id: Cinder's backup to restore
    :ivar restore_from: restore the newest backup that is no younger
    :ivar new_volume: restore into a new volume
    :ivar new_volume_name: of that one, a template
    """

    action: str
    volume_id: str | None
    name: str
    container: str
    availability_zone: str | None
    incremental: bool
    full_every: int | None
    backup_id: str | None
    restore_from: datetime.datetime | None
    removal: Removal
    project_id: str
    new_volume: bool
    new_volume_name: str

    def name_of_new_volume(self, volume_id: str, backup_id: str) -> str:
        """Return the name of the volume that a backup is restored into.

        :raises Unusable: when it is too long
        """
        return filled(self.new_volume_name, {
            'project_id': self.project_id, 'volume_id': volume_id,
            'backup_id': backup_id})


def read(document: Mapping[str, object], project_id: str) -> CinderAction:
    """Read a freezer_action.

    :raises Unusable: when it cannot be carried out as it stands
    """
    reader = _Reader(document)
    action = reader.text('action') or 'backup'
    if action not in ('backup', 'restore', 'admin'):
        raise Unusable('action: must be backup, restore or admin in mode '
                       'cindernative')
    if reader.text('mode') != MODE:
        raise Unusable('mode: must be cindernative')
    volume_id = reader.uuid('cindernative_vol_id')
    backup_id = (reader.uuid('cindernative_backup_id')
                 if action == 'restore' else None)
    if volume_id is None and backup_id is None:
        raise Unusable('cindernative_vol_id: missing')
    container = reader.text('container') or DEFAULT_CONTAINER
    name = filled(
        reader.text('backup_name') or DEFAULT_NAME,
        {'mode': MODE, 'backup_media': MODE, 'storage': 'swift',
         'container': container, 'project_id': project_id,
         'resource_id': volume_id or ''})
    template = reader.text('cindernative_backup_container', empty=True)
    container = filled(
        container if template is None else template,
        {'project_id': project_id, 'volume_id': volume_id or '',
         'backup_name': name})
    if action == 'backup' and '/' in container:
        raise Unusable('cindernative_backup_container: a container name '
                       'holds no slash')
    return CinderAction(
        action=action, volume_id=volume_id, name=name, container=container,
        availability_zone=reader.text('cindernative_backup_az'),
        incremental=reader.flag('incremental', default=False),
        full_every=reader.whole('full_every'),
        backup_id=backup_id,
        restore_from=(reader.date('restore_from_date')
                      if action == 'restore' else None),
        project_id=project_id,
        new_volume=(action == 'restore' and reader.flag(
            'cindernative_new_volume', default=False)),
        new_volume_name=(reader.text('cindernative_new_volume_name')
                         or DEFAULT_NEW_VOLUME),
        removal=_removal(reader, action))


def _removal(reader: _Reader, action: str) -> Removal:
    before = reader.date('remove_before_date')
    since = reader.date('remove_from_date')
    older = reader.number('remove_older_than')
    if len([key for key in (before, since, older) if key is not None]) > 1:
        raise Unusable('only one of remove_before_date, remove_from_date and '
                       'remove_older_than can be given')
    rotation = reader.count('fullbackup_rotation')
    if action == 'admin' and not (before or since or rotation
                                  or older is not None):
        # One who left a field empty did not ask for the default, which
        # leaves one full backup.
        reader.not_empty('remove_before_date', 'remove_from_date',
                         'remove_older_than', 'fullbackup_rotation')
        rotation = DEFAULT_ROTATION
    return Removal(
        fullbackup_rotation=rotation,
        remove_older_than=older, remove_before=before or since,
        freezer_only=reader.flag('cindernative_freezer_only', default=True),
        last_too=reader.flag('remove_last_chain', default=False))


def filled(template: str, values: Mapping[str, str]) -> str:
    """Fill the ``{field}`` marks of a template.

    A template with an unknown field, or one that is no template, is taken as
    it stands. Fields have neither attributes nor formats here: those would
    let a text reach into the program or grow without end.

    :raises Unusable: when the result is too long
    """
    parts = []
    try:
        for text, field, form, conversion in string.Formatter().parse(
                template):
            parts.append(text)
            if field is not None:
                if form or conversion:
                    raise KeyError(field)
                parts.append(values[field])
    except (KeyError, ValueError):
        parts = [template]
    result = ''.join(parts)
    if len(result) > _LONGEST:
        raise Unusable(f'a name is longer than {_LONGEST} characters')
    return result


class _Reader:
    """Reads single values; null counts as absent."""

    def __init__(self, document: Mapping[str, object]) -> None:
        self._document = document

    def not_empty(self, *keys: str) -> None:
        for key in keys:
            if self._document.get(key) == '':
                raise Unusable(f'{key}: is empty')

    def text(self, key: str, empty: bool = False) -> str | None:
        value = self._document.get(key)
        if value is None or (value == '' and not empty):
            return None
        if not isinstance(value, str):
            raise Unusable(f'{key}: must be a text')
        if len(value) > _LONGEST:
            raise Unusable(f'{key}: longer than {_LONGEST} characters')
        if not value.isprintable():
            raise Unusable(f'{key}: holds characters that cannot be shown')
        return value

    def uuid(self, key: str) -> str | None:
        """Read an id, in the one form that Cinder gives it.

        One and the same volume must not look like two.
        """
        value = self.text(key)
        if value is None:
            return None
        if not UUID.fullmatch(value):
            raise Unusable(f'{key}: not an id')
        return str(uuid.UUID(value))

    def flag(self, key: str, default: bool) -> bool:
        value = self._document.get(key)
        if value is None or value == '':
            return default
        if isinstance(value, bool):
            return value
        # Job files in ini form know only texts.
        if isinstance(value, str) and value.lower() in ('true', 'false'):
            return value.lower() == 'true'
        raise Unusable(f'{key}: must be true or false')

    def whole(self, key: str) -> int | None:
        """Read a number where no other release takes a text for one."""
        value = self._document.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise Unusable(f'{key}: must be a whole number')
        return self.count(key)

    def count(self, key: str) -> int | None:
        text = self._numeric(key)
        if text is None:
            return None
        try:
            value = int(text)
        except ValueError:
            raise Unusable(f'{key}: must be a whole number') from None
        if not 1 <= value <= _MOST_FULLS:
            raise Unusable(f'{key}: must be a number from 1 to {_MOST_FULLS}')
        return value

    def number(self, key: str) -> float | None:
        text = self._numeric(key)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            raise Unusable(f'{key}: must be a number') from None
        # Not a number is in no range either.
        if not 0 <= value <= _MOST_DAYS:
            raise Unusable(f'{key}: must be a number of days from 0 to '
                           f'{_MOST_DAYS}')
        return value

    def _numeric(self, key: str) -> str | None:
        value = self._document.get(key)
        if value is None or value == '':
            return None
        # True is a number to Python, and false once meant "older than now".
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise Unusable(f'{key}: must be a number')
        try:
            return str(value)
        except ValueError:
            # Python refuses to print numbers of thousands of digits.
            raise Unusable(f'{key}: must be a number') from None

    def date(self, key: str) -> datetime.datetime | None:
        value = self.text(key)
        if value is None:
            return None
        try:
            date = datetime.datetime.fromisoformat(value)
        except ValueError:
            raise Unusable(f'{key}: not an ISO date') from None
        return date if date.tzinfo else date.replace(tzinfo=datetime.UTC)

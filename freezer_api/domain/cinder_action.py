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

"""Read a cinder-native action, and check whether it can be carried out.

The API checks when an action or a job is created or changed, and the scheduler
before it acts, so that errors are reported early. Only the keys that are read
here have an effect; :mod:`freezer_api.domain.cinder_keys` defines them.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime
from typing import TypeGuard

from freezer_api.domain import capabilities
from freezer_api.domain import cinder_keys
from freezer_api.domain import cinder_selection
from freezer_api.domain import cinder_templates
from freezer_api.domain import keep_rules
from freezer_api.domain import near_keys
from freezer_api.domain import retention

DEFAULT_ROTATION = 1
DEFAULT_NAME = 'freezer_{mode}_{resource_id}'
DEFAULT_NEW_VOLUME = 'freezer_restore_{backup_id}'
MODE = 'cindernative'

Unusable = cinder_keys.Unusable

# As long as any ID, to compute the length of a name without the volume.
_SOME_ID = '00000000-0000-4000-8000-000000000000'


@dataclasses.dataclass(frozen=True)
class Removal:
    """The backups that an action removes.

    :ivar fullbackup_rotation: number of full backups to keep
    :ivar remove_older_than: age in days
    :ivar remove_before: a time
    :ivar periods: the numbers of days, weeks and so on to keep
    :ivar freezer_only: whether backups of other programs stay
    :ivar last_too: whether the newest good chain can be removed
    :ivar keep_deleted_days: days for which backups of a deleted volume stay
    :ivar whole_volume: whether backups of other jobs are included
    :ivar prune_first: whether old backups are removed before the new backup
        if a quota is exhausted
    """

    fullbackup_rotation: int | None
    remove_older_than: float | None
    remove_before: datetime.datetime | None
    periods: keep_rules.KeepRules | None
    freezer_only: bool
    last_too: bool
    keep_deleted_days: float | None
    whole_volume: bool
    prune_first: bool

    @property
    def is_wanted(self) -> bool:
        """Whether any rule for removal is set."""
        return (self.periods is not None
                or self.remove_before is not None
                or self.remove_older_than is not None
                or self.keep_deleted_days is not None
                or self.fullbackup_rotation is not None)

    def rule(self, due: datetime.datetime,
             zone: datetime.tzinfo = datetime.UTC) -> retention.Rule | None:
        """Return the retention rule; None if none is set.

        :param due: due time of the run, from which days count back
        :param zone: time zone of the schedule, in which days begin
        """
        if self.periods is not None:
            return retention.Rule(
                freezer_only=self.freezer_only, last_too=self.last_too,
                periods=dataclasses.replace(self.periods, zone=zone))
        cutoff = self.remove_before
        if self.remove_older_than is not None:
            cutoff = due - datetime.timedelta(self.remove_older_than)
        if cutoff is None and self.fullbackup_rotation is None:
            return None
        # An age takes precedence over a number.
        keep = self.fullbackup_rotation if cutoff is None else None
        return retention.Rule(keep, cutoff, self.freezer_only, self.last_too)


@dataclasses.dataclass(frozen=True)
class CinderAction:
    """A cinder-native action.

    :ivar name: of the backup in Cinder, with the template resolved
    :ivar container: in Cinder, with the template resolved; empty if not set
    :ivar full_every: one of this many backups is a full one
    :ivar backup_id: Cinder's backup to restore
    :ivar restore_from: restore the newest backup not after this time
    :ivar new_volume: restore into a new volume
    :ivar new_volume_name: name of the new volume, a template
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
        """Return the name of the new volume of a restore.

        :raises Unusable: if it is too long
        """
        return cinder_templates.filled(
            'cindernative_new_volume_name', self.new_volume_name, {
                'project_id': self.project_id, 'volume_id': volume_id,
                'backup_id': backup_id})


def concerns(document: object) -> TypeGuard[Mapping[str, object]]:
    """Return whether a freezer_action is a cinder-native one.

    It is if its mode is cindernative, or if a scheduler would let Cinder carry
    it out, with any spelling of its keys.
    """
    if not isinstance(document, Mapping):
        return False
    action = document.get('action')
    if (document.get('mode') == MODE
            and (action in (None, '') or action in cinder_keys.ACTIONS)):
        return True
    return not capabilities.unsupported(
        capabilities.CINDER_NATIVE, document)


def check(document: Mapping[str, object], project_id: str,
          now: datetime.datetime, new: bool = True,
          compared: near_keys.Comparisons | None = None) -> None:
    """Refuse a freezer_action that cannot be carried out.

    An action of another mode passes.

    :param now: used as the due time of a run
    :param new: also refuse an unknown mark in a template; a stored template
        can have one, and is used without substitution
    :param compared: the comparisons of unknown keys for the actions of the
        same job; None for a single action
    :raises Unusable: if it cannot; the text begins with the key
    """
    if not concerns(document):
        return
    cinder_keys.check_names(document, compared or cinder_keys.comparisons())
    selection = cinder_selection.read(document)
    one = (document if selection is None
           else cinder_selection.single(document, _SOME_ID))
    action = read(one, project_id, now)
    action.name_of_new_volume(_SOME_ID, _SOME_ID)
    if new:
        check_marks(document)


def check_marks(document: Mapping[str, object]) -> None:
    """Refuse an unknown mark in a template of a freezer_action.

    An action of another mode passes.

    :raises Unusable: if there is one; the text begins with the key
    """
    if not concerns(document):
        return
    for key in cinder_templates.MARKS:
        template = document.get(key)
        if isinstance(template, str):
            cinder_templates.check(key, template)


def volumes_named(document: object) -> int:
    """Return the number of volume IDs in ``cindernative_volumes``.

    :param document: a freezer_action that passes :func:`check`
    """
    if (not isinstance(document, Mapping)
            or document.get(cinder_selection.KEY) is None
            or not concerns(document)):
        return 0
    selection = cinder_selection.read(document)
    return 0 if selection is None else len(selection.ids or ())


def check_volumes(named: Sequence[int]) -> None:
    """Refuse a job whose actions have too many volumes together.

    :param named: the result of :func:`volumes_named` for each action
    :raises Unusable: if there are too many; the text has the maximum
    """
    number = sum(named)
    most = cinder_selection.most_volumes(len(named))
    if number > most:
        raise Unusable(
            f'{cinder_selection.KEY}: the actions of the job name {number} '
            f'volumes; {most} is the most')


def read(document: Mapping[str, object], project_id: str,
         due: datetime.datetime) -> CinderAction:
    """Read a freezer_action of one volume.

    A run accepts keys that are similar to known ones. :func:`check` refuses
    them when the action is written, but compares only a limited number.

    :param due: due time of the run, which names may contain
    :raises Unusable: if it cannot be carried out
    """
    cinder_keys.check_names(document, None)
    action = document.get('action') or cinder_keys.BACKUP
    if not isinstance(action, str) or action not in cinder_keys.ACTIONS:
        raise Unusable('action: must be backup, restore or admin in mode '
                       'cindernative')
    if document.get('mode') != MODE:
        raise Unusable('mode: must be cindernative')
    values = cinder_keys.Values(document, action)
    volume_id = values.get('cindernative_vol_id', str)
    backup_id = values.get('cindernative_backup_id', str)
    if volume_id is None and backup_id is None:
        raise Unusable(
            'cindernative_vol_id: missing; write the id of the volume, or '
            'several volumes in cindernative_volumes'
            if action != cinder_keys.RESTORE else
            'cindernative_vol_id: missing; write the id of the volume that '
            'was backed up, or of a Cinder backup in cindernative_backup_id')
    name, container = _names(values, action, project_id, volume_id or '', due)
    return CinderAction(
        action=action, volume_id=volume_id, name=name, container=container,
        availability_zone=values.get('cindernative_backup_az', str),
        incremental=values.flag('incremental'),
        full_every=values.get('full_every', int),
        backup_id=backup_id,
        restore_from=values.get('restore_from_date', datetime.datetime),
        project_id=project_id,
        new_volume=values.flag('cindernative_new_volume'),
        new_volume_name=(values.get('cindernative_new_volume_name', str)
                         or DEFAULT_NEW_VOLUME),
        removal=_removal(values, action))


def _names(values: cinder_keys.Values, action: str, project_id: str,
           volume_id: str, due: datetime.datetime) -> tuple[str, str]:
    """Return the names of backup and container, with templates resolved."""
    container = values.get('container', str) or ''
    name = cinder_templates.filled(
        'backup_name', values.get('backup_name', str) or DEFAULT_NAME,
        {'mode': MODE, 'backup_media': MODE, 'storage': 'swift',
         'container': container, 'project_id': project_id,
         'resource_id': volume_id, **cinder_templates.date_marks(due)})
    key = 'cindernative_backup_container'
    template = values.get(key, str)
    if template is None:
        key, template = 'container', container
    container = cinder_templates.filled(
        'cindernative_backup_container', template,
        {'project_id': project_id, 'volume_id': volume_id,
         'backup_name': name})
    if action == cinder_keys.BACKUP and '/' in container:
        raise Unusable(f'{key}: a container name must not contain a slash')
    return name, container


def _removal(values: cinder_keys.Values, action: str) -> Removal:
    before = values.get('remove_before_date', datetime.datetime)
    since = values.get('remove_from_date', datetime.datetime)
    older = values.get('remove_older_than', float)
    if len([value for value in (before, since, older)
            if value is not None]) > 1:
        raise Unusable('remove_before_date: set only one of it, '
                       'remove_from_date and remove_older_than')
    rotation = values.get('fullbackup_rotation', int)
    periods = _periods(values)
    deleted = values.get('keep_deleted_days', float)
    if action == cinder_keys.ADMIN and deleted is None and not (
            before or since or rotation or periods or older is not None):
        # An empty field must not select the default, which keeps only one
        # full backup.
        values.not_empty('remove_before_date', 'remove_from_date',
                         'remove_older_than', 'fullbackup_rotation')
        rotation = DEFAULT_ROTATION
    return Removal(
        fullbackup_rotation=rotation,
        remove_older_than=older, remove_before=before or since,
        periods=periods,
        freezer_only=values.flag('cindernative_freezer_only', True),
        last_too=values.flag('remove_last_chain'),
        keep_deleted_days=deleted,
        whole_volume=values.get('retention_scope', str) == 'volume',
        prune_first=values.flag('prune_first'))


def _periods(values: cinder_keys.Values) -> keep_rules.KeepRules | None:
    """Return the numbers of ``keep_last``, ``keep_daily`` and so on.

    They say which backups stay, the other rules which ones go.
    """
    numbers = {name: values.get(f'keep_{name}', int) or 0
               for name in keep_rules.NAMES}
    first = next((name for name in numbers if numbers[name]), None)
    if first is None:
        return None
    for other in ('fullbackup_rotation', 'remove_older_than',
                  'remove_before_date', 'remove_from_date'):
        if values.has(other):
            raise Unusable(
                f'keep_{first}: cannot be combined with {other}; set '
                'keep_last to keep a number of backups')
    return keep_rules.KeepRules(
        numbers['last'], numbers['daily'], numbers['weekly'],
        numbers['monthly'], numbers['yearly'])

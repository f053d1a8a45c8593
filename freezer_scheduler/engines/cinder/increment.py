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

"""Whether the next backup of a volume may be an increment, and why not.

Cinder builds an increment on the available backup with the newest data of the
volume: its base, made by any client and stored in any place. An increment on a
base in another place, or of a smaller volume, fails after Cinder accepted it,
or cannot be restored when its base is lost.

A failed increment is deleted, so its base records the failure in its
description. It cannot do so in its metadata: Cinder replaces all metadata at
once, and a hold that a user sets at the same moment would be lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence
import datetime
import enum

from freezer_scheduler.engines.cinder import backup as cinder_backup
from freezer_scheduler.engines.cinder import swift_errors
from freezer_scheduler.engines.cinder import views
from freezer_scheduler.freezer import messages

# Maximum length of Cinder's own words in a stored reason.
_CAUSE = 200
_BEFORE_CAUSE = ': '

_FAILED = 'an incremental backup on this one failed'
# Cinder stores no longer description.
_LONGEST_DESCRIPTION = 255

_NEVER = datetime.datetime.min.replace(tzinfo=datetime.UTC)


class FullReason(enum.StrEnum):
    """Why a backup is full although its action asks for increments.

    The first backup of a volume, and one that ``full_every`` asks for, need
    no such reason.
    """

    EXTENDED = 'extended'
    ZONE = 'zone'
    CONTAINER = 'container'
    SNAPSHOT = 'snapshot'
    FAILED = 'failed'
    REFUSED = 'refused'


_WORDS = {
    FullReason.EXTENDED: 'the volume was extended after its newest backup',
    FullReason.ZONE: 'the newest backup of the volume is in another '
                     'availability zone',
    FullReason.CONTAINER: 'the newest backup of the volume is in another '
                          'container, or may be',
    FullReason.SNAPSHOT: 'the newest backup of the volume is a backup of a '
                         'snapshot in Ceph',
    FullReason.FAILED: 'the last incremental backup failed',
    FullReason.REFUSED: 'Cinder refused an incremental backup',
}


def words(because: str | None) -> str | None:
    """Return a stored reason in words for users; None without one.

    The reason of a newer scheduler is returned as it is stored.
    """
    if because is None:
        return None
    reason, colon, cause = because.partition(_BEFORE_CAUSE)
    known = {str(key): word for key, word in _WORDS.items()}
    return f'full backup, because {known.get(reason, reason)}{colon}{cause}'


def stored(reason: FullReason, cause: str | None) -> str:
    """Return a reason as it is stored.

    :param cause: Cinder's words; None or empty where there are none
    """
    if not cause:
        return reason.value
    return (f'{reason.value}{_BEFORE_CAUSE}'
            f'{messages.shortened(cause, _CAUSE)}')


def base_of(backups: Iterable[views.Backup]) -> views.Backup | None:
    """Return the backup on which Cinder builds an increment of a volume.

    :param backups: of the volume
    """
    return max((backup for backup in backups
                if backup.status == 'available'),
               key=lambda backup: backup.data_at or made_at(backup),
               default=None)


def made_at(backup: views.Backup) -> datetime.datetime:
    """Return when Cinder was asked for a backup."""
    return backup.created_at or _NEVER


def failure(base: views.Backup) -> str | None:
    """Return why an increment on a backup failed.

    :returns: Cinder's words, empty if they are not known; None if the backup
        records no failure
    """
    _before, mark, cause = base.description.partition(_FAILED)
    return cause.removeprefix(_BEFORE_CAUSE) if mark else None


def with_failure(base: views.Backup, cause: str | None) -> str | None:
    """Return a backup's description after an increment on it failed.

    :param cause: Cinder's words, which are cut to the room for them
    :returns: None if there is no room for the failure
    """
    text = '; '.join(filter(None, (base.description, _FAILED)))
    room = _LONGEST_DESCRIPTION - len(text) - len(_BEFORE_CAUSE)
    if cause and room > 0:
        cause = (messages.shortened(cause, max(room, 3)) or '')[:room]
        return f'{text}{_BEFORE_CAUSE}{cause}'
    return text if len(text) <= _LONGEST_DESCRIPTION else None


def full_is_due(newest_first: Iterable[views.Backup],
                every: int | None) -> bool:
    """Return whether the next backup of a volume is to be a full one.

    Backups of other clients count too. If the newest full backup is of no
    use, another full one is due.

    :param newest_first: all backups of the volume, in any state
    :param every: one of so many backups is full; None for only the first
    """
    base = False
    increments = 0
    for backup in newest_first:
        base = base or backup.status == 'available'
        if base and every is None:
            return False
        usable = backup.status in cinder_backup.USABLE
        if every is not None and not backup.is_incremental:
            return not base or not usable or increments >= every - 1
        increments += usable
    return True


def obstacle(backups: Sequence[views.Backup],
             volume: views.Volume | None, job_id: str,
             container: str, zone: str | None) -> str | None:
    """Return the reason against an increment, as it is stored.

    A failed increment on the same base forbids another one until a full backup
    succeeds, unless a full backup would fail for the same reason.

    :param backups: all backups of the volume
    :param volume: as Cinder shows it; None if Cinder does not show it
    :param job_id: of the job that asks
    :param container: as the action names it; empty without one
    :param zone: as the action names it; without one Cinder takes the zone of
        the volume
    :returns: None if an increment is possible
    """
    base = base_of(backups)
    if base is None:
        return None
    cause = failure(base)
    for failed in cinder_backup.failed_of_job(backups, job_id):
        if (failed.is_incremental and made_at(failed) >= made_at(base)
                and swift_errors.full_may_help(failed.fail_reason)):
            cause = cause or failed.fail_reason or ''
    if cause is not None:
        return stored(FullReason.FAILED, cause)
    return _place(base, backups, volume, container, zone)


def _place(base: views.Backup, backups: Sequence[views.Backup],
           volume: views.Volume | None, container: str,
           zone: str | None) -> FullReason | None:
    """Return why the action could not have made this base."""
    if base.is_snapshot_in_ceph:
        return FullReason.SNAPSHOT
    if volume is not None and (volume.size or 0) > (base.size or 0) > 0:
        return FullReason.EXTENDED
    wanted = zone or (None if volume is None else volume.availability_zone)
    if wanted and base.availability_zone not in (None, wanted):
        return FullReason.ZONE
    if not _in_container(base, container, backups):
        return FullReason.CONTAINER
    return None


def _in_container(base: views.Backup, asked: str,
                  backups: Iterable[views.Backup]) -> bool:
    """Return whether a backup is in the container that the action asks for.

    Which container Cinder takes by itself, only two kinds of backups show:
    those with our mark of no container, and those of drivers that make a
    container for each backup, named after it. For others it is not known.
    """
    if asked:
        return base.container in (None, asked)
    if _mark(base) is not None:
        return _mark(base) == ''
    return base.container in (
        None, f'{base.id[:2]}/{base.id[2:4]}/{base.id}') or any(
            base.container == backup.container for backup in backups
            if _mark(backup) == '')


def _mark(backup: views.Backup) -> str | None:
    """Return the container that Freezer asked for; None if another asked."""
    if backup.metadata.get('created_by') != 'freezer':
        return None
    return backup.metadata.get(cinder_backup.CONTAINER_MARK)

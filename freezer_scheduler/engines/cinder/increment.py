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
volume, whoever made it and wherever it is stored. An increment upon one that
lies in another place, or is of a smaller volume, fails after Cinder accepted
it, or cannot be restored where its base is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence
import enum

from freezer_scheduler.engines.cinder import backup as cinder_backup
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import failed_backups as cinder_failed
from freezer_scheduler.engines.cinder import increment_base
from freezer_scheduler.engines.cinder import swift_errors
from freezer_scheduler.freezer import messages

# Characters of Cinder's own words.
_CAUSE = 200
_BEFORE_CAUSE = ': '


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

    One that a newer scheduler stored is told as it is.
    """
    if because is None:
        return None
    stored, colon, cause = because.partition(_BEFORE_CAUSE)
    known = next((word for reason, word in _WORDS.items()
                  if reason == stored), stored)
    return f'full backup, because {known}{colon}{cause}'


def stored(reason: FullReason, cause: str | None) -> str:
    """Return a reason as it is stored.

    :param cause: Cinder's words; None or empty where there are none
    """
    if not cause:
        return reason.value
    return (f'{reason.value}{_BEFORE_CAUSE}'
            f'{messages.shortened(cause, _CAUSE)}')


def full_is_due(newest_first: Iterable[cinder_client.CinderBackup],
                every: int | None) -> bool:
    """Return whether the next backup of a volume is to be a full one.

    Each backup counts, whoever made it. Where the newest full one is of no
    use, there is to be another.

    :param newest_first: all backups of the volume, in whatever state
    :param every: of how many backups one is full; None for no more than
        the first
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


def obstacle(backups: Sequence[cinder_client.CinderBackup],
             volume: cinder_client.CinderVolume | None, job_id: str,
             container: str, zone: str | None) -> str | None:
    """Return what forbids an increment, as it is stored.

    A failed increment on the same base forbids another one until a full backup
    succeeds, unless a full backup would fail for the same reason.

    :param backups: all backups of the volume
    :param volume: as Cinder shows it; None where it does not
    :param job_id: of the job that asks
    :param container: that the action names; empty where it names none
    :param zone: that the action names; None where it names none: then Cinder
        takes the zone of the volume
    :returns: None where nothing does
    """
    base = increment_base.of(backups)
    if base is None:
        return None
    cause = increment_base.failure(base)
    for failed in cinder_failed.of_job(backups, job_id):
        if (failed.is_incremental
                and (increment_base.made_at(failed)
                     >= increment_base.made_at(base))
                and swift_errors.full_may_help(failed.fail_reason)):
            cause = cause or failed.fail_reason or ''
    if cause is not None:
        return stored(FullReason.FAILED, cause)
    return _place(base, backups, volume, container, zone)


def _place(base: cinder_client.CinderBackup,
           backups: Sequence[cinder_client.CinderBackup],
           volume: cinder_client.CinderVolume | None,
           container: str, zone: str | None) -> FullReason | None:
    """Return why the action could not have made a base."""
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


def _in_container(base: cinder_client.CinderBackup, asked: str,
                  backups: Iterable[cinder_client.CinderBackup]) -> bool:
    """Return whether a backup lies where the action has Cinder store one.

    Which container Cinder takes where none is asked for, only backups show
    that were made so: those with our mark, and those of drivers that make a
    container for each backup, named after it. For any other it is not known.
    """
    if asked:
        return base.container in (None, asked)
    if _mark(base) is not None:
        return _mark(base) == ''
    return base.container in (
        None, f'{base.id[:2]}/{base.id[2:4]}/{base.id}') or any(
            base.container == backup.container for backup in backups
            if _mark(backup) == '')


def _mark(backup: cinder_client.CinderBackup) -> str | None:
    """Return which container Freezer asked for; None for others' backups."""
    if backup.metadata.get('created_by') != 'freezer':
        return None
    return backup.metadata.get(cinder_backup.CONTAINER_MARK)

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

"""Duplicates: several backups for one purpose, of which one is to stay.

Cinder has no request that may be sent twice. A request that is delayed until
its sender gives up makes a second backup beside the one that was asked for
instead. Every observer makes the same choice: the oldest usable backup stays,
the others go.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses

from oslo_log import log as logging

from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import backup as cinder_backup
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import failed_backups
from freezer_scheduler.engines.cinder import increment as cinder_increment
from freezer_scheduler.engines.cinder import views
from freezer_scheduler.freezer import messages

LOG = logging.getLogger(__name__)

_DELETABLE = frozenset(('available', 'error'))
_PASSING = frozenset(('creating', 'deleting'))

_State = messages.StepState


@dataclasses.dataclass(frozen=True)
class Duplicates:
    """The backups that were made for one action of one run.

    :ivar kept: the backup that stays
    :ivar others: the backups to be deleted, youngest first
    """

    kept: views.Backup
    others: tuple[views.Backup, ...]

    @property
    def passing(self) -> bool:
        """Whether Cinder works on one, so that it cannot be judged yet."""
        return any(backup.status in _PASSING for backup in self.others)


def choose(backups: Iterable[views.Backup]) -> Duplicates | None:
    """Choose among backups with the same marks; None without a choice."""
    oldest_first = sorted(backups, key=lambda backup: (
        cinder_increment.made_at(backup), backup.id))
    kept = next((backup for backup in oldest_first
                 if backup.status in cinder_backup.USABLE), None)
    if kept is None or len(oldest_first) < 2:
        return None
    return Duplicates(kept, tuple(backup for backup in reversed(oldest_first)
                                  if backup is not kept))


def among(backups: Iterable[views.Backup]) -> Iterator[Duplicates]:
    """Yield the duplicates among a volume's backups, of any run."""
    alike: dict[tuple[str, ...], list[views.Backup]] = {}
    for backup in backups:
        marks = tuple(str(backup.metadata.get(key) or '')
                      for key in cinder_backup.MARKS)
        if all(marks) and marks[0] == 'freezer':
            alike.setdefault(marks, []).append(backup)
    yield from filter(None, map(choose, alike.values()))


def delete(found: Duplicates, client: cinder_client.CinderClient,
           only: Callable[[views.Backup], bool]) -> list[views.Backup]:
    """Delete the duplicates that can be deleted.

    The base of another backup stays; Cinder would refuse its deletion.

    :param only: whether a backup may be deleted now
    :returns: those whose deletion Cinder accepted
    """
    accepted = []
    for backup in filter(only, found.others):
        if backup.status not in _DELETABLE:
            continue
        try:
            stays = None
            if backup.has_dependents:
                stays = 'other backups build on it'
            elif backup.status == 'error':
                stays = failed_backups.released(
                    client, backup, client.backups(backup.volume_id))
            if stays is None:
                client.delete(backup.id)
                accepted.append(backup)
        except cinder_client.Refused as error:
            stays = str(error)
        kept = f'a duplicate of {found.kept.id}'
        LOG.warning('Backup %s of volume %s is %s', backup.id,
                    backup.volume_id, f'deleted: it is {kept}'
                    if stays is None else f'{kept} and stays: {stays}')
    return accepted


class OrphanCleanup(cinder_backup.BackupOperation):
    """One call about what this process made for a run that it has lost.

    A scheduler that is stopped between its last check of the lease and the
    request has Cinder make a backup when it continues, beside that of the new
    holder. It may report nothing of the run then. But the scheduler that made
    the younger backup deletes it.
    """

    def look(self) -> base.Progress | None:
        """Delete the duplicate, if there is one.

        :returns: when to look again; None when there is nothing left to do
        """
        engine_state, why = self._engine_state, 'did not show in time'
        if not engine_state.asked or engine_state.deleting or not (
                self._in_doubt or self._step.state is _State.SUBMITTED):
            return None
        try:
            if not self._too_long:
                return self._look()
        except (cinder_client.NotSent, cinder_client.Unknown):
            return self._again()
        except cinder_client.CinderError as error:
            why = f'is not known: {error}'
        LOG.error('Whether the backup of volume %s is a duplicate %s',
                  self._volume_id, why)
        return None

    def _look(self) -> base.Progress | None:
        made = self._made()
        if len(made) < 2:
            # A request may still arrive.
            return (self._again() if self._in_doubt and not self._settled()
                    else None)
        found = choose(made)
        # Without a finished backup the new holder goes on with the oldest.
        if (found is None or delete(found, self._client, self._is_own)
                or any(backup.status == 'creating' and self._is_own(backup)
                       for backup in found.others)):
            return self._again()
        return None

    def _is_own(self, backup: views.Backup) -> bool:
        """Return whether this process asked for it, as far as it knows."""
        return self._step.cinder_backup_id in (None, backup.id)

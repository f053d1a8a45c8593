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

Cinder knows no request that may be sent twice. One that was held up on its
way, until nobody waited for it any more, makes a second backup beside the one
that was asked for instead. Everybody who looks comes to the same choice: the
oldest usable one stays, the others go.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import datetime

from oslo_log import log as logging

from freezer_scheduler.engines.cinder import backup as cinder_backup
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import failed_backups as cinder_failed

LOG = logging.getLogger(__name__)

_DELETABLE = frozenset(('available', 'error'))
_PASSING = frozenset(('creating', 'deleting'))
_ALWAYS = datetime.datetime.min.replace(tzinfo=datetime.UTC)


@dataclasses.dataclass(frozen=True)
class Duplicates:
    """The backups that were made for one action of one run.

    :ivar kept: the one that stays
    :ivar others: the ones to be deleted, youngest first
    """

    kept: cinder_client.CinderBackup
    others: tuple[cinder_client.CinderBackup, ...]

    @property
    def passing(self) -> bool:
        """Whether Cinder works on one, so that it cannot be judged yet."""
        return any(backup.status in _PASSING for backup in self.others)


def choose(backups: Iterable[cinder_client.CinderBackup],
           ) -> Duplicates | None:
    """Choose among backups with the same marks; None without a choice."""
    oldest_first = sorted(
        backups, key=lambda backup: (backup.created_at or _ALWAYS, backup.id))
    kept = next((backup for backup in oldest_first
                 if backup.status in cinder_backup.USABLE), None)
    if kept is None or len(oldest_first) < 2:
        return None
    return Duplicates(kept, tuple(backup for backup in reversed(oldest_first)
                                  if backup is not kept))


def among(backups: Iterable[cinder_client.CinderBackup],
          ) -> Iterator[Duplicates]:
    """Yield the duplicates among a volume's backups, of whatever run."""
    alike: dict[tuple[str, ...], list[cinder_client.CinderBackup]] = {}
    for backup in backups:
        marks = tuple(str(backup.metadata.get(key) or '')
                      for key in cinder_backup.MARKS)
        if all(marks) and marks[0] == 'freezer':
            alike.setdefault(marks, []).append(backup)
    for made in alike.values():
        found = choose(made)
        if found is not None:
            yield found


def delete(found: Duplicates, client: cinder_client.CinderClient,
           run_id: str,
           only: Callable[[cinder_client.CinderBackup], bool] = lambda _: True,
           ) -> list[cinder_client.CinderBackup]:
    """Delete the duplicates that can be deleted.

    What another backup builds on stays; Cinder would refuse anyway.

    :param only: which of them
    :returns: those whose deletion Cinder took on
    """
    taken = []
    for backup in filter(only, found.others):
        if backup.status not in _DELETABLE:
            continue
        try:
            if backup.has_dependents:
                raise cinder_client.Refused(
                    400, 'other backups build on it')
            stays = (cinder_failed.released(
                client, backup, client.backups(backup.volume_id))
                if backup.status == 'error' else None)
            if stays is not None:
                raise cinder_client.Refused(400, stays)
            client.delete(backup.id)
        except cinder_client.Refused as error:
            LOG.warning('Run %s: backup %s of volume %s is a duplicate of %s '
                        'and stays: %s', run_id, backup.id, backup.volume_id,
                        found.kept.id, error)
        else:
            taken.append(backup)
            LOG.warning('Run %s: backup %s of volume %s is deleted: it is a '
                        'duplicate of %s', run_id, backup.id,
                        backup.volume_id, found.kept.id)
    return taken

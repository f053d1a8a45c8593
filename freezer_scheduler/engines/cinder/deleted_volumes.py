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

"""Volumes that a job once backed up, and that are deleted.

Their backups stay in Cinder, and no selection of volumes finds them any more.
They are found by the mark of the job, in Cinder's list of the project's
backups. To bound the cost, a search reads only a part of a long list, and the
search of another run reads another part.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import datetime
import hashlib
import itertools

from oslo_log import log as logging

from freezer_api.domain import cinder_action
from freezer_api.domain import retention
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import views

LOG = logging.getLogger(__name__)

# Backups that one search reads, for an action of several volumes and of one
# volume. A project may have thousands of actions of one volume.
FOR_SEVERAL = 2000
FOR_ONE = 200

# Volumes about which one search asks Cinder.
_MOST_ASKED = 50

# Volumes that one action prunes.
MOST_FOUND = 20

_Backups = Mapping[str, list[views.Backup]]


@dataclasses.dataclass(frozen=True)
class Search:
    """A search for deleted volumes of which old backups are to be removed.

    :ivar removal: what the action says of old backups
    :ivar due: the time from which their age counts back
    :ivar gone_jobs: returns those of some marks whose jobs are gone
    :ivar looked_at: maximum number of the project's backups to read
    """

    client: cinder_client.CinderClient
    context: base.ActionContext
    removal: cinder_action.Removal
    due: datetime.datetime
    gone_jobs: Callable[[frozenset[str]], frozenset[str]]
    looked_at: int

    def find(self, existing: Collection[str],
             most: int = MOST_FOUND) -> tuple[str, ...]:
        """Return ids of such volumes; none if Cinder does not say.

        :param existing: volumes to ignore
        """
        rule = self.removal.rule(self.due, self.context.zone)
        if most < 1 or (rule is None
                        and self.removal.keep_deleted_days is None):
            return ()
        try:
            return tuple(itertools.islice(
                self._found(rule, existing), min(most, MOST_FOUND)))
        except cinder_client.CinderError as error:
            LOG.warning('Does not look for deleted volumes: %s', error)
            return ()

    def _found(self, rule: retention.Rule | None,
               existing: Collection[str]) -> Iterator[str]:
        candidates = self._candidates(existing)
        scope = self._scope(candidates)
        asked = 0
        for volume_id, backups in candidates.items():
            deleted = retention.of_deleted(
                rule, backups, self.removal.keep_deleted_days, self.due,
                scope, self.removal.freezer_only)
            if deleted is None or not retention.plan(
                    backups, deleted, scope).deletions:
                continue
            asked += 1
            if asked > _MOST_ASKED:
                return
            if self.client.volume_if_there(volume_id) is None:
                yield volume_id

    def _candidates(self, existing: Collection[str]) -> _Backups:
        """Return backups by volume, of volumes that the job backed up.

        Each run has another order of the volumes, so that none is left out
        forever.
        """
        by_volume: dict[str, list[views.Backup]] = {}
        ours = set()
        for backup in itertools.islice(self.client.project_backups(
                self._offset()), self.looked_at):
            if backup.volume_id in existing:
                continue
            by_volume.setdefault(backup.volume_id, []).append(backup)
            if (retention.mark_of(backup) == self.context.job_id
                    and backup.metadata.get('created_by') == retention.OWNER):
                ours.add(backup.volume_id)
        return {volume_id: by_volume[volume_id]
                for volume_id in sorted(ours, key=self._chance)}

    def _offset(self) -> int:
        """Return the beginning of the part of the list to read."""
        parts = -(-self.client.count_backups() // self.looked_at)
        return self._chance('') % max(1, parts) * self.looked_at

    def _chance(self, text: str) -> int:
        """Return a number that depends on the run and a text alone."""
        digest = hashlib.sha256(f'{self.context.run_id}{text}'.encode())
        return int.from_bytes(digest.digest()[:8])

    def _scope(self, candidates: _Backups) -> retention.Scope:
        if self.removal.whole_volume:
            return retention.Scope(now=self.due)
        marks = retention.other_marks(
            itertools.chain.from_iterable(candidates.values()),
            self.context.job_id)
        return retention.Scope(marks - self.gone_jobs(marks)
                               if marks else frozenset(), now=self.due)

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

"""What is left to do for a run that has gone to another scheduler.

A scheduler that was stopped between its last look at the lease and the
request has Cinder make a backup when it wakes, beside that of the new holder.
Nothing of the run may be told then. But who made the younger one deletes it.
"""

from __future__ import annotations

from oslo_log import log as logging

from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import backup as cinder_backup
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import duplicates as cinder_duplicates
from freezer_scheduler.freezer import messages

LOG = logging.getLogger(__name__)

_State = messages.StepState


class OrphanCleanup(cinder_backup.BackupStep):
    """One look at what this process made for a run that it has lost."""

    def look(self) -> base.Progress | None:
        """Delete what is a duplicate.

        :returns: when to look again; None when there is nothing left to do
        """
        engine_state = self._engine_state
        if not engine_state.asked or engine_state.deleting or not (
                self._in_doubt or self._step.state is _State.SUBMITTED):
            return None
        if self._too_long(engine_state.wait):
            LOG.error('Run %s: whether its backup of volume %s is a duplicate '
                      'did not show in time', self._context.run_id,
                      self._step.volume_id)
            return None
        try:
            return self._look()
        except (cinder_client.NotSent, cinder_client.Unknown):
            return self._again()
        except cinder_client.CinderError as error:
            LOG.error('Run %s: whether its backup of volume %s is a duplicate '
                      'is not known: %s', self._context.run_id,
                      self._step.volume_id, error)
        return None

    def _look(self) -> base.Progress | None:
        made = self._made()
        if len(made) < 2:
            return self._only_one()
        found = cinder_duplicates.choose(made)
        if found is None:
            # None is finished. The new holder goes on with the oldest.
            return self._again()
        if cinder_duplicates.delete(found, self._client, self._context.run_id,
                                    self._is_own) or any(
                backup.status == 'creating' and self._is_own(backup)
                for backup in found.others):
            return self._again()
        return None

    def _only_one(self) -> base.Progress | None:
        """Wait for what may still be on its way, where that is not known."""
        if not self._in_doubt:
            return None
        since = self._engine_state.nothing_since
        if since is None:
            return self._again(nothing_since=self._now())
        return self._again() if (
            self._now() - since < self._limits.settle) else None

    def _is_own(self, backup: cinder_client.CinderBackup) -> bool:
        """Whether this process asked for it, as far as it knows."""
        own = self._step.cinder_backup_id
        return own is None or backup.id == own

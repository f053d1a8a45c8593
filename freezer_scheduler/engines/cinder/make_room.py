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

"""Making room in a full quota before a backup, where the user wants that.

What is removed here would be removed after the new backup, too, so that the
rule holds as soon as that is good. The newest good chain is never removed.
"""

from __future__ import annotations

import dataclasses

from freezer_api.domain import cinder_action
from freezer_api.domain import retention
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import backup as cinder_backup
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import increment as cinder_increment
from freezer_scheduler.engines.cinder import prune
from freezer_scheduler.engines.cinder import step as cinder_step
from freezer_scheduler.freezer import messages

_State = messages.StepState


class MakeRoom(prune.Prune):
    """One call about the old backups that are in the way of a new one."""

    def _plan(self, backups: list[cinder_client.CinderBackup],
              rule: retention.Rule, scope: retention.Scope,
              ) -> retention.Plan[cinder_client.CinderBackup]:
        action = self._action()
        full = (not action.incremental
                or self._step.full_because is not None
                or cinder_increment.full_is_due(backups, action.full_every))
        return retention.make_room(backups, rule, full, scope)

    def _is_deleted(self, volume_id: str,
                    removal: cinder_action.Removal) -> bool:
        return False

    def _another_volume(self, kept: tuple[retention.Kept, ...],
                        ) -> base.Progress:
        return self._end(_State.SUCCESS, None)

    def _end(self, state: _State, why: str | None,
             retry: bool = False) -> base.Progress:
        """Go on with the backup, whatever room there is now."""
        step = dataclasses.replace(self._step, removing=None,
                                   removing_record=None)
        if state is not _State.ABORTED:
            return base.Progress(
                dataclasses.replace(step, state=_State.PENDING, reason=why),
                engine_state=cinder_backup.EngineState(
                    cinder_step.Wait(self._now()), made_room=True))
        reason = 'nothing was submitted'
        if step.removed:
            reason += f'; old backups removed: {step.removed}'
        self._step = step
        return base.Progress(
            self._ended(state, f'aborted: {reason}'),
            backups=(messages.Backup(step.backup_id or '', 'deleted',
                                     {'fail_reason': reason}),))

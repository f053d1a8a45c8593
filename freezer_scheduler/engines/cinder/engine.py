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

"""The cinder-native engine: Cinder does the work, the engine polls it.

To add an action, write a module with an :class:`.operation.Operation`, and
register it in :data:`ACTIONS`. To offer it to users, add it to
:data:`freezer_api.domain.capabilities.NATIVE_ACTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses

from freezer_api.domain import capabilities
from freezer_api.domain import cinder_selection
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import backup as cinder_backup
from freezer_scheduler.engines.cinder import duplicates as cinder_duplicates
from freezer_scheduler.engines.cinder import failed_backups
from freezer_scheduler.engines.cinder import increment as cinder_increment
from freezer_scheduler.engines.cinder import operation
from freezer_scheduler.engines.cinder import poll as cinder_poll
from freezer_scheduler.engines.cinder import prune as cinder_prune
from freezer_scheduler.engines.cinder import restore as cinder_restore
from freezer_scheduler.engines.cinder import submit as cinder_submit
from freezer_scheduler.engines.cinder import volumes as cinder_volumes
from freezer_scheduler.freezer import messages

_State = messages.StepState

# Creates the operation of one call.
Action = Callable[[operation.Dependencies, base.ActionContext],
                  operation.Operation]

_OF_BACKUP: Mapping[_State, Action] = {
    _State.PENDING: cinder_submit.Submit,
    _State.SUBMITTING: cinder_submit.Submit,
    _State.SUBMITTED: cinder_poll.Poll,
    _State.CLEARING: failed_backups.Clear,
    _State.MAKING_ROOM: cinder_prune.MakeRoom,
    _State.PRUNING: cinder_prune.Prune,
}


def _backup(dependencies: operation.Dependencies,
            context: base.ActionContext) -> operation.Operation:
    return _OF_BACKUP[context.step.state](dependencies, context)


def _restore(dependencies: operation.Dependencies,
             context: base.ActionContext) -> operation.Operation:
    # Both begin in the same way, and store which one it is.
    into = (cinder_restore.RestoreIntoNewVolume if context.step.new_volume
            else cinder_restore.Restore)
    return into(dependencies, context)


ACTIONS: Mapping[str, Action] = {
    'backup': _backup, 'restore': _restore, 'admin': cinder_prune.Prune}


class CinderEngine:
    """Backs up and restores volumes, and removes backups, through Cinder.

    :param carried_out: creates the operation of a step, by its action
    """

    def __init__(self, dependencies: operation.Dependencies,
                 carried_out: Mapping[str, Action] = ACTIONS) -> None:
        self._dependencies = dependencies
        self._actions = carried_out
        self.offers = dataclasses.replace(
            capabilities.CINDER_NATIVE, actions=tuple(carried_out))

    def start(self, context: base.ActionContext) -> base.Progress:
        if context.step.parts or (
                context.step.state is _State.PENDING
                and context.freezer_action.get(cinder_selection.KEY)
                is not None):
            return self._volumes(context).go_on()
        return self._one(context)

    poll = start

    def abort(self, context: base.ActionContext) -> base.Progress:
        return self.start(dataclasses.replace(context, aborting=True))

    def clean_up(self, context: base.ActionContext) -> base.Progress | None:
        match context.engine_state:
            case cinder_volumes.EngineState():
                return self._volumes(context).clean_up(self.clean_up)
            case cinder_backup.EngineState():
                return cinder_duplicates.OrphanCleanup(
                    self._dependencies, context).look()
        return None

    def left(self, context: base.ActionContext) -> base.Progress | None:
        # Cinder goes on, and the next holder of the run polls it.
        return None

    def _volumes(self, context: base.ActionContext) -> cinder_volumes.Volumes:
        return cinder_volumes.Volumes(self._dependencies, context, self._one)

    def _one(self, context: base.ActionContext) -> base.Progress:
        """Go on with a single volume.

        The reason of a success says why the backup is a full one, if the
        action asks for increments.
        """
        action = self._actions[context.step.action]
        progress = action(self._dependencies, context).go_on()
        step = progress.step
        why = cinder_increment.words(step.full_because)
        if step.state is not _State.SUCCESS or why is None:
            return progress
        return dataclasses.replace(progress, step=dataclasses.replace(
            step, reason='; '.join(filter(None, (why, step.reason)))))

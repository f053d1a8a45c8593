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

"""The cinder-native engine: Cinder does the work, this follows it."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses

from freezer_api.domain import capabilities
from freezer_api.domain import cinder_selection
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import actions
from freezer_scheduler.engines.cinder import backup as cinder_backup
from freezer_scheduler.engines.cinder import increment as cinder_increment
from freezer_scheduler.engines.cinder import orphan_cleanup
from freezer_scheduler.engines.cinder import step as cinder_step
from freezer_scheduler.engines.cinder import volumes as cinder_volumes
from freezer_scheduler.freezer import messages

_State = messages.StepState


class CinderEngine:
    """Backups and restores of volumes, and their removal, through Cinder.

    :param carried_out: what goes on with a step, by its action
    """

    def __init__(self, dependencies: cinder_step.Dependencies,
                 carried_out: Mapping[str, actions.Action] = actions.ACTIONS,
                 ) -> None:
        self._dependencies = dependencies
        self._actions = carried_out
        self.offers = dataclasses.replace(
            capabilities.CINDER_NATIVE, actions=tuple(carried_out))

    def start(self, context: base.ActionContext) -> base.Progress:
        return self._go_on(context, aborting=False)

    def poll(self, context: base.ActionContext) -> base.Progress:
        return self._go_on(context, aborting=False)

    def abort(self, context: base.ActionContext) -> base.Progress:
        return self._go_on(context, aborting=True)

    def clean_up(self, context: base.ActionContext) -> base.Progress | None:
        engine_state = context.engine_state
        if isinstance(engine_state, cinder_volumes.EngineState):
            return cinder_volumes.Volumes(self._dependencies, context,
                                          self._one).clean_up(self.clean_up)
        if not isinstance(engine_state, cinder_backup.EngineState):
            return None
        return orphan_cleanup.OrphanCleanup(
            self._dependencies, context, aborting=False).look()

    def left(self, context: base.ActionContext) -> base.Progress | None:
        # Cinder goes on, and whoever is handed the run looks after it.
        return None

    def _go_on(self, context: base.ActionContext,
               aborting: bool) -> base.Progress:
        if context.step.parts or (
                context.step.state is _State.PENDING
                and context.freezer_action.get(cinder_selection.KEY)
                is not None):
            return cinder_volumes.Volumes(self._dependencies, context,
                                          self._one).go_on(aborting)
        return self._one(context, aborting)

    def _one(self, context: base.ActionContext,
             aborting: bool) -> base.Progress:
        """Go on with a single volume."""
        action = self._actions[context.step.action]
        return _told(action(self._dependencies, context, aborting).go_on())


def _told(progress: base.Progress) -> base.Progress:
    """Say of a success why it is a full backup, where that was not asked."""
    step = progress.step
    why = cinder_increment.words(step.full_because)
    if step.state is not _State.SUCCESS or why is None:
        return progress
    reason = why if step.reason is None else f'{why}; {step.reason}'
    return dataclasses.replace(progress, step=dataclasses.replace(
        step, reason=reason))

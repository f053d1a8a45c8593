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

from freezer_scheduler import documents
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import action as cinder_action
from freezer_scheduler.engines.cinder import backup as cinder_backup
from freezer_scheduler.engines.cinder import follow as cinder_follow
from freezer_scheduler.engines.cinder import forsaken as cinder_forsaken
from freezer_scheduler.engines.cinder import new_volume as cinder_new_volume
from freezer_scheduler.engines.cinder import prune as cinder_prune
from freezer_scheduler.engines.cinder import restore as cinder_restore
from freezer_scheduler.engines.cinder import selection as cinder_selection
from freezer_scheduler.engines.cinder import step as cinder_step
from freezer_scheduler.engines.cinder import submit as cinder_submit
from freezer_scheduler.engines.cinder import volumes as cinder_volumes

_State = documents.StepState
_Phase = cinder_backup.Phase

# Where a process begins that knows of a step only what is stored.
_TAKEN_OVER = {_State.SUBMITTING: _Phase.RESOLVE,
               _State.SUBMITTED: _Phase.FOLLOW}


class CinderEngine:
    """Backups and restores of volumes, and their removal, through Cinder."""

    def __init__(self, tools: cinder_step.Tools) -> None:
        self._tools = tools

    def start(self, order: base.Order) -> base.Progress:
        return self._go_on(order, aborting=False)

    def poll(self, order: base.Order) -> base.Progress:
        return self._go_on(order, aborting=False)

    def abort(self, order: base.Order) -> base.Progress:
        return self._go_on(order, aborting=True)

    def forsaken(self, order: base.Order) -> base.Progress | None:
        memory = order.memory
        if isinstance(memory, cinder_volumes.Memory):
            return cinder_volumes.Volumes(self._tools, order,
                                          self._one).forsaken(self.forsaken)
        if not isinstance(memory, cinder_backup.Memory):
            return None
        return cinder_forsaken.Forsaken(self._tools, order, memory,
                                        aborting=False).look()

    def left(self, order: base.Order) -> base.Progress | None:
        # Cinder goes on, and whoever is handed the run looks after it.
        return None

    def _go_on(self, order: base.Order, aborting: bool) -> base.Progress:
        if order.step.parts or (
                order.step.state is _State.PENDING
                and order.freezer_action.get(cinder_selection.KEY)
                is not None):
            return cinder_volumes.Volumes(self._tools, order,
                                          self._one).go_on(aborting)
        return self._one(order, aborting)

    def _one(self, order: base.Order, aborting: bool) -> base.Progress:
        """Go on with a single volume."""
        kind = _kind(order)
        if kind == 'restore':
            into = (cinder_new_volume.CinderNewVolumeStep
                    if _into_new_volume(order)
                    else cinder_restore.CinderRestoreStep)
            return into(self._tools, order, aborting).go_on()
        if kind == 'admin':
            return cinder_prune.Prune(self._tools, order, aborting).go_on()
        return self._backup(order, aborting)

    def _backup(self, order: base.Order, aborting: bool) -> base.Progress:
        memory = order.memory
        if not isinstance(memory, cinder_backup.Memory):
            memory = cinder_backup.Memory(
                cinder_step.Wait(self._tools.clock.monotonic()),
                _TAKEN_OVER.get(order.step.state, _Phase.BEGIN))
        if memory.phase in (_Phase.FOLLOW, _Phase.DELETE):
            return cinder_follow.Follow(self._tools, order, memory,
                                        aborting).go_on()
        return cinder_submit.Submit(self._tools, order, memory,
                                    aborting).go_on()


def _kind(order: base.Order) -> str:
    """Return which action it is.

    What is under way is what it was when it began, however the action was
    changed meanwhile; only backups have a record of ours.
    """
    if order.step.state is _State.PRUNING:
        return 'admin'
    if order.step.state is not _State.PENDING:
        return 'backup' if order.step.backup_id else 'restore'
    try:
        return cinder_action.read(order.freezer_action,
                                  order.project_id).action
    except cinder_action.Unusable:
        # The way of a backup says so, and ends what there is of a record.
        return 'backup'


def _into_new_volume(order: base.Order) -> bool:
    """Return whether a restore makes a volume.

    One that has none although it was begun makes one, however the action was
    changed meanwhile.
    """
    step = order.step
    if step.state is not _State.PENDING and step.volume_id is None:
        return True
    try:
        return cinder_action.read(order.freezer_action,
                                  order.project_id).new_volume
    except cinder_action.Unusable:
        return False

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

"""The actions of the cinder-native engine.

To add an action, write a module with a :class:`.volume_step.VolumeStep`, and
register it in :data:`ACTIONS`. To offer it to users, add it to
:data:`freezer_api.domain.capabilities.NATIVE_ACTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping

from freezer_api.domain import cinder_action
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import failed_backups as cinder_failed
from freezer_scheduler.engines.cinder import make_room
from freezer_scheduler.engines.cinder import new_volume
from freezer_scheduler.engines.cinder import poll as cinder_poll
from freezer_scheduler.engines.cinder import prune as cinder_prune
from freezer_scheduler.engines.cinder import restore as cinder_restore
from freezer_scheduler.engines.cinder import step as cinder_step
from freezer_scheduler.engines.cinder import submit as cinder_submit
from freezer_scheduler.engines.cinder import volume_step
from freezer_scheduler.freezer import messages

_State = messages.StepState

# Creates the object that carries a step on by one call; the last argument
# says whether the run is aborted.
Action = Callable[[cinder_step.Dependencies, base.ActionContext, bool],
                  volume_step.VolumeStep]

_OF_BACKUP: Mapping[_State, Action] = {
    _State.PENDING: cinder_submit.Submit,
    _State.SUBMITTING: cinder_submit.Submit,
    _State.SUBMITTED: cinder_poll.Poll,
    _State.CLEARING: cinder_failed.Clear,
    _State.MAKING_ROOM: make_room.MakeRoom,
    _State.PRUNING: cinder_prune.Prune,
}


def _backup(dependencies: cinder_step.Dependencies,
            context: base.ActionContext,
            aborting: bool) -> volume_step.VolumeStep:
    return _OF_BACKUP[context.step.state](dependencies, context, aborting)


def _restore(dependencies: cinder_step.Dependencies,
             context: base.ActionContext,
             aborting: bool) -> volume_step.VolumeStep:
    into = (new_volume.CinderNewVolumeStep
            if _makes_volume(dependencies, context)
            else cinder_restore.CinderRestoreStep)
    return into(dependencies, context, aborting)


def _makes_volume(dependencies: cinder_step.Dependencies,
                  context: base.ActionContext) -> bool:
    if context.step.state is not _State.PENDING:
        # The stored step decides, since the action may have been edited.
        return context.step.new_volume
    try:
        return cinder_step.action_of(context, dependencies.clock).new_volume
    except cinder_action.Unusable:
        return False


ACTIONS: Mapping[str, Action] = {
    'backup': _backup, 'restore': _restore, 'admin': cinder_prune.Prune}

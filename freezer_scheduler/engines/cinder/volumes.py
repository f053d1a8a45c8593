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

"""An action of several volumes: each is backed up on its own.

The volumes are chosen once in a run, and stored with the first answer. From
then on each is a part of the step, with tries, a record and an end of its own.
A call goes on with one of them, so that each intent is stored before its
request. Volumes that only wait use no slot, and no more are begun than there
are slots.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

from oslo_log import log as logging

from freezer_api.domain import cinder_action
from freezer_api.domain import cinder_keys
from freezer_api.domain import cinder_selection
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import deleted_volumes
from freezer_scheduler.engines.cinder import operation
from freezer_scheduler.freezer import messages

LOG = logging.getLogger(__name__)

# Failures whose reasons are shown in the reason of the whole.
_TOLD = 4
_REASON = 180

_NONE_FITS = f'{cinder_selection.KEY}: no volume of the project fits'
_NO_VOLUME = '00000000-0000-0000-0000-000000000000'

# A part that is under way takes more room in the stored step.
_MOST_UNDER_WAY = 50

_NOTHING = 'aborted: nothing was submitted'

_State = messages.StepState


@dataclasses.dataclass(frozen=True)
class Child:
    """What this process knows of one part.

    :ivar due: time of its next call, in seconds of the monotonic clock
    :ivar engine_state: of the operation on its volume
    """

    due: float
    engine_state: object = None


@dataclasses.dataclass(frozen=True)
class EngineState(operation.EngineState):
    """What this process knows beyond the stored step.

    :ivar children: of the parts that have not ended, by their number
    :ivar aborting: whether each of them is to be ended at once
    """

    children: Mapping[int, Child] = dataclasses.field(default_factory=dict)
    aborting: bool = False


class Volumes(operation.Operation):
    """One call about an action of several volumes.

    :param one: goes on with a single volume
    """

    _known = EngineState
    _engine_state: EngineState

    def __init__(
            self, dependencies: operation.Dependencies,
            context: base.ActionContext,
            one: Callable[[base.ActionContext], base.Progress]) -> None:
        super().__init__(dependencies, context)
        self._one = one
        if not isinstance(context.engine_state, EngineState):
            # After a reclaim. A volume that waits for its next try goes on
            # waiting.
            now, wall = self._now(), dependencies.clock.wall()
            self._engine_state = EngineState(operation.Wait(now), {
                number: Child(now + context.retries.left(part, wall))
                for number, part in enumerate(self._step.parts)
                if not part.state.final})

    def _next(self) -> base.Progress:
        if self._step.parts:
            return self._drive()
        if self._aborting:
            return base.Progress(self._ended(_State.ABORTED, _NOTHING))
        return self._choose()

    # -- which volumes --

    def _choose(self) -> base.Progress:
        parts = self._parts()
        LOG.info('Action %s is of %d volumes', self._step.action_id,
                 len(parts))
        step = dataclasses.replace(
            self._step, parts=parts, reason=None, volume_id=None,
            backup_id=None, cinder_backup_id=None, started_at=self._epoch())
        return base.Progress(step, engine_state=dataclasses.replace(
            self._engine_state,
            children={number: Child(0) for number, part in enumerate(parts)
                      if not part.state.final}))

    def _parts(self) -> tuple[messages.Step, ...]:
        """Return a part for each volume, also for some that are deleted.

        :raises freezer_api.domain.cinder_action.Unusable: when the action
            cannot be carried out
        """
        chosen, unattached = self._chosen()
        some = chosen[0] if chosen else _NO_VOLUME
        # The document has the same errors for each volume.
        action = cinder_action.read(
            self._document(some), self._context.project_id, self._due())
        deleted = deleted_volumes.Search(
            self._client, self._context, action.removal, self._due(),
            self._gone_jobs, deleted_volumes.FOR_SEVERAL).find(
                chosen, self._context.room - len(chosen))
        if not chosen and not deleted and not unattached:
            raise cinder_action.Unusable(_NONE_FITS)
        return (*map(self._part, chosen), *(dataclasses.replace(
            self._part(volume_id), action=cinder_keys.ADMIN,
            volume_deleted=True)
            for volume_id in deleted), *(dataclasses.replace(
                self._part(None), state=_State.FAIL, ended_at=self._epoch(),
                reason=f'{cinder_selection.KEY}.server: no volume is attached '
                       f'to server {server}')
                for server in unattached))

    def _chosen(self) -> tuple[list[str], list[str]]:
        """Return the IDs of the volumes, and of servers that have none.

        :raises freezer_api.domain.cinder_action.Unusable: if there are too
            many
        """
        selection = cinder_selection.read(self._context.freezer_action)
        if selection is None:
            raise cinder_action.Unusable(f'{cinder_selection.KEY}: missing')
        room = self._context.room
        found = (cinder_selection.Resolved(list(selection.ids), [])
                 if selection.ids else selection.among(self._client.volumes()))
        # Cinder may show a volume twice, if others are made meanwhile.
        chosen = list(dict.fromkeys(found.volume_ids))
        number = len(chosen) + len(found.servers_without)
        if number > room:
            raise cinder_action.Unusable(
                f'{cinder_selection.KEY}: {number} volumes; '
                f'{max(0, room)} is the most that this action can have, as '
                f'all actions of a job together have '
                f'{cinder_selection.MOST_VOLUMES} at most')
        return chosen, found.servers_without

    def _part(self, volume_id: str | None) -> messages.Step:
        return dataclasses.replace(
            messages.Step(self._step.action_id, self._step.position),
            engine=self._step.engine, action=self._step.action,
            volume_id=volume_id)

    def _document(self, volume_id: str | None) -> Mapping[str, object]:
        """Return the action as if it were about this volume alone."""
        return cinder_selection.single(self._context.freezer_action, volume_id)

    # -- going on --

    def _drive(self) -> base.Progress:
        parts = list(self._step.parts)
        if self._aborting and not self._engine_state.aborting:
            self._abort(parts)
        children = dict(self._engine_state.children)
        number = self._turn(parts, children)
        backups: tuple[messages.Backup, ...] = ()
        if number is not None:
            progress = self._advance(parts[number], children[number])
            parts[number], children[number] = self._taken(progress)
            backups = progress.backups
            if parts[number].state.final:
                del children[number]
        step = self._summed_up(tuple(parts))
        if step.state.final:
            return base.Progress(step, backups=backups)
        return base.Progress(
            step, after=self._after(parts, children, number is None),
            backups=backups, engine_state=dataclasses.replace(
                self._engine_state, children=children))

    def _abort(self, parts: list[messages.Step]) -> None:
        """Have every part ended now; those not begun are over at once."""
        children = {}
        for number, child in self._engine_state.children.items():
            part = parts[number]
            if part.state is _State.PENDING and not part.tries:
                parts[number] = self._ended(_State.ABORTED, _NOTHING, part)
            else:
                children[number] = dataclasses.replace(child, due=0)
        self._engine_state = dataclasses.replace(
            self._engine_state, children=children, aborting=True)

    def _turn(self, parts: Sequence[messages.Step],
              children: Mapping[int, Child]) -> int | None:
        """Return the number of the part to go on with; None without one.

        Parts under way come first. Another part begins, or is checked whether
        it may begin, only with a slot for it. It needs none to be ended.
        """
        now = self._now()
        due = sorted((number for number, child in children.items()
                      if child.due <= now),
                     key=lambda number: (not parts[number].under_way,
                                         children[number].due, number))
        if not due:
            return None
        if self._aborting or parts[due[0]].under_way:
            return due[0]
        others = len([part for part in parts if part.under_way])
        if not others or (others < _MOST_UNDER_WAY
                          and self._context.reserve_slot()):
            return due[0]
        return None

    def _advance(self, part: messages.Step, child: Child) -> base.Progress:
        if (part.state is _State.PENDING and not self._aborting
                and child.engine_state is None):
            part = part.begun()
        return self._one(self._context_of(part, child))

    def _context_of(self, part: messages.Step,
                    child: Child) -> base.ActionContext:
        return dataclasses.replace(
            self._context, step=part, engine_state=child.engine_state,
            alone=False, freezer_action=self._document(part.volume_id))

    def _taken(self, progress: base.Progress) -> tuple[messages.Step, Child]:
        """Return a part after its call, and when it is due again."""
        part = progress.step
        if part.state is _State.FAIL and progress.retry and not self._aborting:
            again = self._context.retries.after(
                part, self._dependencies.clock.wall())
            if again is not None:
                LOG.warning('Volume %s, %s', part.volume_id,
                            messages.shortened(again.reason, _REASON))
                return again, Child(
                    self._now() + self._context.retries.interval)
        # A part that goes on at once goes on before all others.
        due = self._now() + progress.after if progress.after else 0
        return part, Child(due, progress.engine_state)

    def _after(self, parts: Sequence[messages.Step],
               children: Mapping[int, Child], blocked: bool) -> float:
        """Return the seconds until the next call.

        :param blocked: whether a part is due and there was no slot for it; one
            may be free at the next call for a part that is under way
        """
        now = self._now()
        return max(0.0, min(
            child.due for number, child in children.items()
            if not blocked or parts[number].under_way or child.due > now)
            - now)

    def clean_up(
        self,
        look: Callable[[base.ActionContext], base.Progress | None],
    ) -> base.Progress | None:
        """Clear up for one volume, after the run was lost.

        :param look: does so for a single volume
        """
        children = {number: child
                    for number, child in self._engine_state.children.items()
                    if child.engine_state is not None}
        if not children:
            return None
        number = min(children, key=lambda number: children[number].due)
        if children[number].due <= self._now():
            child = children.pop(number)
            progress = look(self._context_of(self._step.parts[number], child))
            if progress is not None:
                children[number] = Child(self._now() + progress.after,
                                         progress.engine_state)
        if not children:
            return None
        return base.Progress(
            self._step, after=self._after(self._step.parts, children, False),
            engine_state=dataclasses.replace(self._engine_state,
                                             children=children))

    # -- the whole --

    def _summed_up(self, parts: tuple[messages.Step, ...]) -> messages.Step:
        """Return the step with these parts, and what follows from them."""
        step = dataclasses.replace(
            self._step, parts=parts,
            tries=max(self._step.tries, *(part.tries for part in parts)))
        states = {part.state for part in parts}
        if all(state.final for state in states):
            if (states == {_State.SUCCESS}
                    and self._step.action != cinder_keys.ADMIN
                    and all(part.volume_deleted for part in parts)):
                return self._ended(_State.FAIL, '; '.join(filter(None, (
                    _NONE_FITS, _reason(parts, _State.SUCCESS)))), step)
            for state in (_State.ABORTED, _State.FAIL, _State.SUCCESS):
                if state in states:
                    return self._ended(state, _reason(parts, state), step)
        if _State.SUBMITTING in states:
            return dataclasses.replace(step, state=_State.SUBMITTING)
        under_way = any(part.under_way for part in parts)
        return dataclasses.replace(step, state=(
            _State.SUBMITTED if under_way else _State.PENDING))


def _reason(parts: Sequence[messages.Step],
            state: messages.StepState) -> str | None:
    """Return how many parts did not succeed, and the first of the reasons.

    If all succeeded, return the notes on some.
    """
    bad = [part for part in parts if part.state is not _State.SUCCESS]
    shown = bad or [part for part in parts if part.reason]
    told = [': '.join(filter(None, (
        part.volume_id, messages.shortened(part.reason, _REASON))))
        for part in shown[:_TOLD]]
    text = '; '.join(told + ['...'] * (len(shown) > _TOLD))
    if not bad:
        return text or None
    words = 'aborted' if state is _State.ABORTED else 'failed'
    return f'{len(bad)} of {len(parts)} volumes {words}: {text}'

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

Which volumes these are is found out once in a run, and stored with the first
answer. From then on each is a part of the step, with tries, a record and an
end of its own, and a call goes on with one of them, so that each intent is
stored before its request. Volumes that only wait hold no place, and no more
are begun than there are places for.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

from oslo_log import log as logging

from freezer_api.domain import cinder_action
from freezer_api.domain import cinder_keys
from freezer_api.domain import cinder_selection
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import deleted_volumes
from freezer_scheduler.engines.cinder import step as cinder_step
from freezer_scheduler.freezer import messages
from freezer_scheduler.runs import result

LOG = logging.getLogger(__name__)

# Failures whose reasons are told with the whole.
_TOLD = 4
_REASON = 180

_NONE_FITS = f'{cinder_selection.KEY}: no volume of the project fits'
_NO_VOLUME = '00000000-0000-0000-0000-000000000000'

_CHANGED = 'the action was changed while it was carried out'

# What is under way takes more room in what is stored.
_MOST_UNDER_WAY = 50

_State = messages.StepState


@dataclasses.dataclass(frozen=True)
class Child:
    """What this process knows of one part.

    :ivar due: when it is to be gone on with, by the monotonic clock
    :ivar engine_state: of the step of a single volume
    """

    due: float
    engine_state: object = None


@dataclasses.dataclass(frozen=True)
class EngineState:
    """What this process knows beyond the stored step.

    :ivar children: of the parts that have not ended, by their number
    :ivar aborting: whether each of them is to be ended at once
    """

    wait: cinder_step.Wait
    children: Mapping[int, Child] = dataclasses.field(default_factory=dict)
    aborting: bool = False


class Volumes(cinder_step.CinderStep):
    """One call about an action of several volumes.

    :param one: goes on with a single volume
    """

    def __init__(
            self, dependencies: cinder_step.Dependencies,
            context: base.ActionContext,
            one: Callable[[base.ActionContext, bool], base.Progress]) -> None:
        super().__init__(dependencies, context)
        self._one = one

    def go_on(self, aborting: bool) -> base.Progress:
        """Choose the volumes, or go on with one of them."""
        if self._step.parts:
            return self._drive(aborting)
        if aborting:
            return base.Progress(self._ended(
                _State.ABORTED, 'aborted: nothing was submitted'))
        return self._choose()

    # -- which volumes --

    def _choose(self) -> base.Progress:
        engine_state = self._context.engine_state
        wait = (engine_state.wait if isinstance(engine_state, EngineState)
                else cinder_step.Wait(self._now()))
        try:
            parts = self._parts()
        except cinder_action.Unusable as error:
            return base.Progress(self._ended(_State.FAIL, str(error)))
        except (cinder_client.NotSent, cinder_client.Unknown) as error:
            if (not isinstance(error, cinder_client.NoEndpoint)
                    and self._waited(wait) <= self._limits.busy_timeout):
                return base.Progress(
                    self._step, after=wait.after, engine_state=EngineState(
                        wait.longer(self._limits.poll_interval)))
            return base.Progress(self._ended(_State.FAIL, str(error)),
                                 retry=True)
        except cinder_client.CinderError as error:
            return base.Progress(
                self._ended(_State.FAIL, str(error)),
                retry=isinstance(error, cinder_client.Refused))
        LOG.info('Run %s: action %s is of %d volumes (project %s, job %s)',
                 self._context.run_id, self._step.action_id, len(parts),
                 self._context.project_id, self._context.job_id)
        step = dataclasses.replace(
            self._step, parts=parts, reason=None, volume_id=None,
            backup_id=None, cinder_backup_id=None, started_at=self._epoch(),
            chosen_by=cinder_selection.digest(self._context.freezer_action))
        return base.Progress(step, engine_state=EngineState(
            wait, {number: Child(0) for number in range(len(parts))}))

    def _parts(self) -> tuple[messages.Step, ...]:
        """Return a part for each volume, also for some that are deleted."""
        chosen = self._chosen()
        some = chosen[0] if chosen else _NO_VOLUME
        # What is wrong for one is wrong for each.
        action = cinder_action.read(
            self._document(some), self._context.project_id, self._due())
        deleted = deleted_volumes.Search(
            self._client, self._context, action.removal, self._due(),
            self._gone_jobs, deleted_volumes.FOR_SEVERAL).find(
                chosen, self._context.room - len(chosen))
        if not chosen and not deleted:
            raise cinder_action.Unusable(_NONE_FITS)
        return (*map(self._part, chosen), *(dataclasses.replace(
            self._part(volume_id), action=cinder_keys.ADMIN,
            volume_deleted=True)
            for volume_id in deleted))

    def _gone_jobs(self, marks: frozenset[str]) -> frozenset[str]:
        return self._dependencies.gone_jobs(self._context.run_id,
                                            self._context.fence, marks)

    def _chosen(self) -> Sequence[str]:
        """Return the ids of the volumes, each once."""
        selection = cinder_selection.read(self._context.freezer_action)
        if selection is None:
            raise cinder_action.Unusable(f'{cinder_selection.KEY}: missing')
        room = self._context.room
        found: Iterable[str] = selection.ids or selection.among(
            self._client.volumes())
        # What is shown twice, where volumes are made meanwhile, counts once.
        chosen = list(dict.fromkeys(found))
        if len(chosen) > room:
            raise cinder_action.Unusable(
                f'{cinder_selection.KEY}: {len(chosen)} volumes; '
                f'{max(0, room)} is the most that this action can have, as '
                f'all actions of a job together have '
                f'{cinder_selection.MOST_VOLUMES} at most')
        return chosen

    def _part(self, volume_id: str) -> messages.Step:
        return dataclasses.replace(
            messages.Step(self._step.action_id, self._step.position),
            engine=self._step.engine, action=self._step.action,
            volume_id=volume_id)

    def _document(self, volume_id: str | None) -> Mapping[str, object]:
        """Return the action as if it were about this volume alone."""
        return cinder_selection.single(self._context.freezer_action, volume_id)

    # -- going on --

    def _drive(self, aborting: bool) -> base.Progress:
        engine_state = self._engine_state()
        parts = list(self._step.parts)
        if aborting and not engine_state.aborting:
            engine_state = self._abort(parts, engine_state)
        children = dict(engine_state.children)
        number = self._turn(parts, children, aborting)
        backups: tuple[messages.Backup, ...] = ()
        blocked = number is None
        if number is not None:
            progress = self._part_of_its_own(parts[number], children[number],
                                             aborting)
            part, child = self._taken(progress, aborting)
            parts[number], backups = part, progress.backups
            children[number] = child
            if part.state.final:
                del children[number]
        step = self._summed_up(tuple(parts))
        if step.state.final:
            return base.Progress(step, backups=backups)
        return base.Progress(
            step, after=self._after(parts, children, blocked),
            backups=backups,
            engine_state=dataclasses.replace(engine_state, children=children))

    def _engine_state(self) -> EngineState:
        """Return what is remembered; after a take-over, only what is stored.

        Then a volume that waits for its next try goes on waiting.
        """
        engine_state = self._context.engine_state
        if isinstance(engine_state, EngineState):
            return engine_state
        now, wall = self._now(), self._dependencies.clock.wall()
        return EngineState(cinder_step.Wait(now), {
            number: Child(now + self._context.retries.left(part, wall))
            for number, part in enumerate(self._step.parts)
            if not part.state.final})

    def _abort(self, parts: list[messages.Step],
               engine_state: EngineState) -> EngineState:
        """Have every part ended now; those not begun are over at once."""
        children = {}
        for number, child in engine_state.children.items():
            part = parts[number]
            if part.state is _State.PENDING and not part.tries:
                parts[number] = cinder_step.ended(
                    part, _State.ABORTED, 'aborted: nothing was submitted',
                    self._dependencies.clock)
            else:
                children[number] = dataclasses.replace(child, due=0)
        return dataclasses.replace(engine_state, children=children,
                                   aborting=True)

    def _turn(self, parts: Sequence[messages.Step],
              children: Mapping[int, Child], aborting: bool) -> int | None:
        """Return whose turn it is.

        What is under way comes first. Another is begun, or looked at where
        it may begin, only with a place for it. To be ended it needs none.
        """
        now = self._now()
        due = sorted((number for number, child in children.items()
                      if child.due <= now),
                     key=lambda number: (not parts[number].under_way,
                                         children[number].due, number))
        if not due:
            return None
        if aborting or parts[due[0]].under_way:
            return due[0]
        others = len([part for part in parts if part.under_way])
        if not others or (others < _MOST_UNDER_WAY
                          and self._context.reserve_slot()):
            return due[0]
        return None

    def _part_of_its_own(self, part: messages.Step, child: Child,
                         aborting: bool) -> base.Progress:
        if part.state is _State.PENDING and not aborting:
            # What the action says now need not be meant for these volumes.
            if self._step.chosen_by != cinder_selection.digest(
                    self._context.freezer_action):
                return base.Progress(
                    cinder_step.ended(part, _State.FAIL, _CHANGED,
                                      self._dependencies.clock),
                    backups=result.closed([part], _CHANGED))
            if child.engine_state is None:
                part = part.begun()
        return self._one(self._order_of(part, child), aborting)

    def _order_of(self, part: messages.Step,
                  child: Child) -> base.ActionContext:
        return dataclasses.replace(
            self._context, step=part, engine_state=child.engine_state,
            alone=False, freezer_action=self._document(part.volume_id))

    def _taken(self, progress: base.Progress,
               aborting: bool) -> tuple[messages.Step, Child]:
        """Return a part after its call, and when it is due again."""
        part = progress.step
        if (part.state is _State.FAIL and progress.retry and not aborting):
            again = self._context.retries.after(
                part, self._dependencies.clock.wall())
            if again is not None:
                LOG.warning('Run %s: volume %s, %s', self._context.run_id,
                            part.volume_id,
                            messages.shortened(again.reason, _REASON))
                return again, Child(
                    self._now() + self._context.retries.interval)
        # What is to go on at once goes on before all else.
        due = self._now() + progress.after if progress.after else 0
        return part, Child(due, progress.engine_state)

    def _after(self, parts: Sequence[messages.Step],
               children: Mapping[int, Child], blocked: bool) -> float:
        """Return the seconds until the next call.

        :param blocked: whether there was no place for what is due; one may
            be free at the next look at something that is under way
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
        engine_state = self._engine_state()
        children = {number: child
                    for number, child in engine_state.children.items()
                    if child.engine_state is not None}
        if not children:
            return None
        number = min(children, key=lambda number: children[number].due)
        if children[number].due <= self._now():
            child = children.pop(number)
            progress = look(self._order_of(self._step.parts[number], child))
            if progress is not None:
                children[number] = Child(self._now() + progress.after,
                                         progress.engine_state)
        if not children:
            return None
        after = min(child.due for child in children.values()) - self._now()
        return base.Progress(
            self._step, after=max(0.0, after),
            engine_state=dataclasses.replace(engine_state, children=children))

    # -- the whole --

    def _summed_up(self, parts: tuple[messages.Step, ...]) -> messages.Step:
        step = dataclasses.replace(
            self._step, parts=parts,
            tries=max(self._step.tries, *(part.tries for part in parts)))
        states = {part.state for part in parts}
        if (states == {_State.SUCCESS}
                and self._step.action != cinder_keys.ADMIN
                and all(part.volume_deleted for part in parts)):
            self._step = step
            return self._ended(_State.FAIL, '; '.join(filter(None, (
                _NONE_FITS, _told([part for part in parts if part.reason])))))
        for state in (_State.ABORTED, _State.FAIL, _State.SUCCESS):
            if state in states and all(one.final for one in states):
                self._step = step
                return self._ended(state, _reason(parts, state))
        if _State.SUBMITTING in states:
            state = _State.SUBMITTING
        elif any(part.under_way for part in parts):
            state = _State.SUBMITTED
        else:
            state = _State.PENDING
        return dataclasses.replace(step, state=state)


def _reason(parts: Sequence[messages.Step],
            state: messages.StepState) -> str | None:
    """Return how many did not succeed, and the first of the reasons.

    Where all did, there may be notes on some.
    """
    bad = [part for part in parts if part.state is not _State.SUCCESS]
    if not bad:
        return _told([part for part in parts if part.reason]) or None
    words = 'aborted' if state is _State.ABORTED else 'failed'
    return f'{len(bad)} of {len(parts)} volumes {words}: {_told(bad)}'


def _told(parts: Sequence[messages.Step]) -> str:
    told = [f'{part.volume_id}: {messages.shortened(part.reason, _REASON)}'
            for part in parts[:_TOLD]]
    return '; '.join(told + ['...'] * (len(parts) > _TOLD))

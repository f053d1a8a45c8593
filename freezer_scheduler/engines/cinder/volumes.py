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

from freezer_scheduler import documents
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import action as cinder_action
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import selection as cinder_selection
from freezer_scheduler.engines.cinder import step as cinder_step
from freezer_scheduler import outcome

LOG = logging.getLogger(__name__)

# Failures whose reasons are told with the whole.
_TOLD = 4
_REASON = 180

_CHANGED = 'the action was changed while it was carried out'

# What is under way takes more room in what is stored.
_MOST_UNDER_WAY = 50

_State = documents.StepState


@dataclasses.dataclass(frozen=True)
class Child:
    """What this process knows of one part.

    :ivar due: when it is to be gone on with, by the monotonic clock
    :ivar memory: of the step of a single volume
    """

    due: float
    memory: object = None


@dataclasses.dataclass(frozen=True)
class Memory:
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

    def __init__(self, tools: cinder_step.Tools, order: base.Order,
                 one: Callable[[base.Order, bool], base.Progress]) -> None:
        super().__init__(tools, order)
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
        memory = self._order.memory
        wait = (memory.wait if isinstance(memory, Memory)
                else cinder_step.Wait(self._now()))
        try:
            parts = tuple(self._part(volume_id)
                          for volume_id in self._chosen())
        except cinder_action.Unusable as error:
            return base.Progress(self._ended(_State.FAIL, str(error)))
        except (cinder_client.NotSent, cinder_client.Unknown) as error:
            if (not isinstance(error, cinder_client.NoEndpoint)
                    and self._waited(wait) <= self._limits.busy_timeout):
                return base.Progress(
                    self._step, after=wait.after,
                    memory=Memory(wait.longer(self._limits.poll_interval)))
            return base.Progress(self._ended(_State.FAIL, str(error)),
                                 retry=True)
        except cinder_client.CinderError as error:
            return base.Progress(
                self._ended(_State.FAIL, str(error)),
                retry=isinstance(error, cinder_client.Refused))
        LOG.info('Run %s: action %s is of %d volumes (project %s, job %s)',
                 self._order.run_id, self._step.action_id, len(parts),
                 self._order.project_id, self._order.job_id)
        step = dataclasses.replace(
            self._step, parts=parts, reason=None, volume_id=None,
            backup_id=None, cinder_backup_id=None, started_at=self._epoch(),
            chosen_by=cinder_selection.digest(self._order.freezer_action))
        return base.Progress(step, memory=Memory(
            wait, {number: Child(0) for number in range(len(parts))}))

    def _chosen(self) -> Sequence[str]:
        """Return the ids of the volumes, each once."""
        selection = cinder_selection.read(self._order.freezer_action)
        if selection is None:
            raise cinder_action.Unusable(f'{cinder_selection.KEY}: missing')
        room = self._order.room
        found: Iterable[str] = selection.ids or selection.among(
            self._client.volumes())
        # What is shown twice, where volumes are made meanwhile, counts once.
        chosen = list(dict.fromkeys(found))
        if not chosen:
            raise cinder_action.Unusable(
                f'{cinder_selection.KEY}: no volume of the project fits')
        if len(chosen) > room:
            raise cinder_action.Unusable(
                f'{cinder_selection.KEY}: {len(chosen)} volumes; '
                f'{max(0, room)} is the most that this action can have, as '
                f'all actions of a job together have '
                f'{documents.MOST_PARTS} at most')
        # What is wrong for one is wrong for each.
        cinder_action.read(self._document(chosen[0]), self._order.project_id)
        return chosen

    def _part(self, volume_id: str) -> documents.Step:
        return documents.Step(self._step.action_id, self._step.position,
                              volume_id=volume_id)

    def _document(self, volume_id: str | None) -> Mapping[str, object]:
        """Return the action as if it were about this volume alone."""
        return {**{key: value for key, value
                   in self._order.freezer_action.items()
                   if key != cinder_selection.KEY},
                'cindernative_vol_id': volume_id}

    # -- going on --

    def _drive(self, aborting: bool) -> base.Progress:
        memory = self._memory()
        parts = list(self._step.parts)
        if aborting and not memory.aborting:
            memory = self._abort(parts, memory)
        children = dict(memory.children)
        number = self._turn(parts, children, aborting)
        backups: tuple[documents.Backup, ...] = ()
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
            memory=dataclasses.replace(memory, children=children))

    def _memory(self) -> Memory:
        """Return what is remembered; after a take-over, only what is stored.

        Then a volume that waits for its next try goes on waiting.
        """
        memory = self._order.memory
        if isinstance(memory, Memory):
            return memory
        now, wall = self._now(), self._tools.clock.wall()
        return Memory(cinder_step.Wait(now), {
            number: Child(now + self._order.retries.left(part, wall))
            for number, part in enumerate(self._step.parts)
            if not part.state.final})

    def _abort(self, parts: list[documents.Step],
               memory: Memory) -> Memory:
        """Have every part ended now; those not begun are over at once."""
        children = {}
        for number, child in memory.children.items():
            part = parts[number]
            if part.state is _State.PENDING and not part.tries:
                parts[number] = cinder_step.ended(
                    part, _State.ABORTED, 'aborted: nothing was submitted',
                    self._tools.clock)
            else:
                children[number] = dataclasses.replace(child, due=0)
        return dataclasses.replace(memory, children=children, aborting=True)

    def _turn(self, parts: Sequence[documents.Step],
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
        if not others or (others < _MOST_UNDER_WAY and self._order.place()):
            return due[0]
        return None

    def _part_of_its_own(self, part: documents.Step, child: Child,
                         aborting: bool) -> base.Progress:
        if part.state is _State.PENDING and not aborting:
            # What the action says now need not be meant for these volumes.
            if self._step.chosen_by != cinder_selection.digest(
                    self._order.freezer_action):
                return base.Progress(
                    cinder_step.ended(part, _State.FAIL, _CHANGED,
                                      self._tools.clock),
                    backups=outcome.closed([part], _CHANGED))
            if child.memory is None:
                part = part.begun()
        return self._one(self._order_of(part, child), aborting)

    def _order_of(self, part: documents.Step, child: Child) -> base.Order:
        return dataclasses.replace(
            self._order, step=part, memory=child.memory,
            freezer_action=self._document(part.volume_id))

    def _taken(self, progress: base.Progress,
               aborting: bool) -> tuple[documents.Step, Child]:
        """Return a part after its call, and when it is due again."""
        part = progress.step
        if (part.state is _State.FAIL and progress.retry and not aborting):
            again = self._order.retries.after(part, self._tools.clock.wall())
            if again is not None:
                LOG.warning('Run %s: volume %s, %s', self._order.run_id,
                            part.volume_id,
                            documents.shortened(again.reason, _REASON))
                return again, Child(
                    self._now() + self._order.retries.interval)
        # What is to go on at once goes on before all else.
        due = self._now() + progress.after if progress.after else 0
        return part, Child(due, progress.memory)

    def _after(self, parts: Sequence[documents.Step],
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

    def forsaken(self, look: Callable[[base.Order], base.Progress | None],
                 ) -> base.Progress | None:
        """Clear up for one volume, after the run was lost.

        :param look: does so for a single volume
        """
        memory = self._memory()
        children = {number: child
                    for number, child in memory.children.items()
                    if child.memory is not None}
        if not children:
            return None
        number = min(children, key=lambda number: children[number].due)
        if children[number].due <= self._now():
            child = children.pop(number)
            progress = look(self._order_of(self._step.parts[number], child))
            if progress is not None:
                children[number] = Child(self._now() + progress.after,
                                         progress.memory)
        if not children:
            return None
        after = min(child.due for child in children.values()) - self._now()
        return base.Progress(
            self._step, after=max(0.0, after),
            memory=dataclasses.replace(memory, children=children))

    # -- the whole --

    def _summed_up(self, parts: tuple[documents.Step, ...]) -> documents.Step:
        step = dataclasses.replace(
            self._step, parts=parts,
            tries=max(self._step.tries, *(part.tries for part in parts)))
        states = {part.state for part in parts}
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


def _reason(parts: Sequence[documents.Step],
            state: documents.StepState) -> str | None:
    """Return how many did not succeed, and the first of the reasons.

    Where all did, there may be notes on some.
    """
    bad = [part for part in parts if part.state is not _State.SUCCESS]
    if not bad:
        return _told([part for part in parts if part.reason]) or None
    words = 'aborted' if state is _State.ABORTED else 'failed'
    return f'{len(bad)} of {len(parts)} volumes {words}: {_told(bad)}'


def _told(parts: Sequence[documents.Step]) -> str:
    told = [f'{part.volume_id}: {documents.shortened(part.reason, _REASON)}'
            for part in parts[:_TOLD]]
    return '; '.join(told + ['...'] * (len(parts) > _TOLD))

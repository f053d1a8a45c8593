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

"""How a run ends, from the states of its steps."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses

from freezer_api.domain import cinder_selection
from freezer_scheduler.engines import registry
from freezer_scheduler.freezer import messages

_State = messages.StepState

# What is not known of a cinder-native step, by its action and its state;
# empty where all is known.
_UNKNOWN = {
    ('backup', _State.SUBMITTING):
        'whether Cinder made a backup is not known',
    ('backup', _State.SUBMITTED): 'what became of Cinder\'s backup '
        '{step.cinder_backup_id} is not known',
    ('backup', _State.CLEARING):
        'Cinder\'s backup {step.cinder_backup_id} failed',
    ('backup', _State.MAKING_ROOM): '',
    ('backup', _State.PRUNING):
        'Cinder\'s backup {step.cinder_backup_id} is available',
    ('restore', _State.SUBMITTING):
        'whether Cinder began to restore is not known',
    ('restore', _State.SUBMITTED): 'how the restore ended is not known',
    ('admin', _State.PRUNING): '',
}


def current(steps: Sequence[messages.Step]) -> int | None:
    """Return the position of the action to go on with."""
    return next((position for position, step in enumerate(steps)
                 if not step.state.final), None)


def of_run(steps: Sequence[messages.Step],
           ) -> tuple[messages.RunState, str | None]:
    """Return a run's state and the reason for it.

    The last action that failed or was aborted says how the run ended.
    """
    if any(not step.state.final for step in steps):
        return messages.RunState.RUNNING, None
    for step in reversed(steps):
        if step.state in (_State.FAIL, _State.ABORTED):
            return (messages.RunState(str(step.state)),
                    _placed(step, steps))
    # What was done or not done besides is worth a word too.
    noted = [step for step in steps if step.reason
             and step.state is _State.SUCCESS]
    return (messages.RunState.SUCCESS,
            _placed(noted[-1], steps) if noted else None)


def _placed(step: messages.Step,
            steps: Sequence[messages.Step]) -> str | None:
    if len(steps) == 1:
        return step.reason
    return f'action {step.position + 1} of {len(steps)}: {step.reason}'


def unknown(step: messages.Step) -> str:
    """Return what is not known of a step that nobody follows any more.

    :returns: words to be put behind a reason; empty where all is known, and
        where it is the parts that say so
    """
    if step.parts or not step.under_way or step.volume_deleted:
        return ''
    words = 'how far action {step.action} came is not known'
    if step.engine == registry.NATIVE:
        words = _UNKNOWN.get((step.action, step.state), words)
    return words and '; ' + words.format(step=step)


def closed(steps: Iterable[messages.Step],
           reason: str) -> tuple[messages.Backup, ...]:
    """Return the ends of the records of steps that nobody follows.

    A step that removes old backups has told of its own already.
    """
    return tuple(
        messages.Backup(step.backup_id, 'error',
                        {'fail_reason': reason + unknown(step)})
        for parent in steps for step in parent.leaves
        if step.backup_id and not step.state.final
        and step.state is not _State.PRUNING)


def broken_off(step: messages.Step, reason: str,
               now: int) -> messages.Step:
    """Return a step as failed, with all of its parts that had not ended."""
    if step.state.final:
        return step
    return dataclasses.replace(
        step, state=_State.FAIL, reason=reason + unknown(step), ended_at=now,
        retry_at=None, parts=tuple(broken_off(part, reason, now)
                                   for part in step.parts))


def report_broken_off(steps: Sequence[messages.Step], reason: str, now: int,
                      unstored: Iterable[messages.Backup],
                      ) -> messages.Report:
    """Return the report of a run that nobody goes on with.

    :param unstored: what a report that was refused told of records; they are
        told of at their shortest
    """
    backups = closed(steps, reason)
    known = {backup.backup_id for backup in backups}
    backups += tuple(
        messages.Backup(backup.backup_id, backup.status, {})
        for backup in unstored if backup.backup_id not in known)
    return messages.Report(
        messages.RunState.FAIL, reason,
        tuple(broken_off(step, reason, now) for step in steps), backups)


def room(steps: Sequence[messages.Step]) -> int:
    """Return how many volumes one more action of a run may be of.

    All that is stored of a run has to fit into one cell.
    """
    parts = sum(len(step.parts) for step in steps)
    return cinder_selection.most_volumes(len(steps)) - parts

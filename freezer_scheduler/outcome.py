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

from freezer_scheduler import documents
from freezer_scheduler import runs

_State = documents.StepState


def current(steps: Sequence[documents.Step]) -> int | None:
    """Return the position of the action to go on with."""
    return next((position for position, step in enumerate(steps)
                 if not step.state.final), None)


def of_run(steps: Sequence[documents.Step],
           ) -> tuple[documents.RunState, str | None]:
    """Return a run's state and the reason for it.

    The last action that failed or was aborted says how the run ended.
    """
    if any(not step.state.final for step in steps):
        return documents.RunState.RUNNING, None
    for step in reversed(steps):
        if step.state in (_State.FAIL, _State.ABORTED):
            return (documents.RunState(str(step.state)),
                    _placed(step, steps))
    # What was done or not done besides is worth a word too.
    noted = [step for step in steps if step.reason
             and step.state is _State.SUCCESS]
    return (documents.RunState.SUCCESS,
            _placed(noted[-1], steps) if noted else None)


def _placed(step: documents.Step,
            steps: Sequence[documents.Step]) -> str | None:
    if len(steps) == 1:
        return step.reason
    return f'action {step.position + 1} of {len(steps)}: {step.reason}'


def unknown(step: documents.Step) -> str:
    """Return what is not known of a step that nobody follows any more.

    :returns: words to be put behind a reason; empty where all is known, and
        where it is the parts that say so
    """
    if step.parts:
        return ''
    if step.state is _State.SUBMITTED:
        if step.backup_id is None:
            return '; how the restore ended is not known'
        return (f'; what became of Cinder\'s backup {step.cinder_backup_id} '
                f'is not known')
    if step.state is _State.PRUNING and step.backup_id is not None:
        return f'; Cinder\'s backup {step.cinder_backup_id} is available'
    if step.state is _State.SUBMITTING and step.backup_id is not None:
        return '; whether Cinder made a backup is not known'
    if step.state is _State.SUBMITTING and step.cinder_backup_id is not None:
        return '; whether Cinder began to restore is not known'
    return ''


def closed(steps: Iterable[documents.Step],
           reason: str) -> tuple[documents.Backup, ...]:
    """Return the ends of the records of steps that nobody follows.

    A step that removes old backups has told of its own already.
    """
    return tuple(
        documents.Backup(step.backup_id, 'error',
                         {'fail_reason': reason + unknown(step)})
        for parent in steps for step in parent.leaves
        if step.backup_id and not step.state.final
        and step.state is not _State.PRUNING)


def pass_over(held: runs.HeldRun, now: int) -> None:
    """Skip the actions that are not to be begun.

    :param now: epoch seconds
    """
    stopped = None
    for position, step in enumerate(held.steps):
        fresh = (step.state is _State.PENDING and not step.tries
                 and held.memory is None)
        if step.state in (_State.FAIL, _State.ABORTED):
            stopped = step.state
        elif not fresh:
            if not step.state.final:
                return
        elif held.event is documents.Event.ABORT:
            first = stopped is not _State.ABORTED
            held.steps[position] = dataclasses.replace(
                step, ended_at=now, reason='aborted before it began',
                state=_State.ABORTED if first else _State.SKIPPED)
            stopped = _State.ABORTED
        elif stopped and not held.actions[position].mandatory:
            held.steps[position] = dataclasses.replace(
                step, ended_at=now, state=_State.SKIPPED,
                reason='an action before it ' + (
                    'was aborted' if stopped is _State.ABORTED else 'failed'))
        else:
            return


def broken_off(step: documents.Step, reason: str,
               now: int) -> documents.Step:
    """Return a step as failed, with all of its parts that had not ended."""
    if step.state.final:
        return step
    return dataclasses.replace(
        step, state=_State.FAIL, reason=reason + unknown(step), ended_at=now,
        retry_at=None, parts=tuple(broken_off(part, reason, now)
                                   for part in step.parts))


def report_broken_off(steps: Sequence[documents.Step], reason: str, now: int,
                      unstored: Iterable[documents.Backup],
                      ) -> documents.Report:
    """Return the report of a run that nobody goes on with.

    :param unstored: what a report that was refused told of records; they are
        told of at their shortest
    """
    backups = closed(steps, reason)
    known = {backup.backup_id for backup in backups}
    backups += tuple(
        documents.Backup(backup.backup_id, backup.status, {})
        for backup in unstored if backup.backup_id not in known)
    return documents.Report(
        documents.RunState.FAIL, reason,
        tuple(broken_off(step, reason, now) for step in steps), backups)

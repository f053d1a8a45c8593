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

"""Removing old backups of a volume, one after the other.

Which one is next is decided anew before each, from what Cinder lists then. It
is stored before Cinder is asked to delete it, so that the record goes with it
whoever goes on. To ask for a deletion twice does no harm.
"""

from __future__ import annotations

import dataclasses

from oslo_log import log as logging

from freezer_scheduler import documents
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import backup as cinder_backup
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import retention
from freezer_scheduler.engines.cinder import step as cinder_step
from freezer_scheduler.engines.cinder import volume_step

LOG = logging.getLogger(__name__)

_State = documents.StepState


@dataclasses.dataclass(frozen=True)
class Memory(volume_step.Memory):
    """What this process knows beyond the stored step.

    :ivar ready: the deletion is stored and was not asked for yet
    :ivar sent: Cinder took the deletion on
    :ivar gone_at: when the last backup was found gone
    """

    ready: bool = False
    sent: bool = False
    gone_at: float | None = None


class Prune(volume_step.VolumeStep):
    """One call about the old backups of a volume.

    They are removed by an action of their own, or after a backup, which then
    is good already: there is no other try that would make another one.
    """

    _memory: Memory

    def __init__(self, tools: cinder_step.Tools, order: base.Order,
                 aborting: bool) -> None:
        super().__init__(tools, order, aborting)
        memory = order.memory
        self._memory = (memory if isinstance(memory, Memory)
                        else Memory(cinder_step.Wait(self._now())))

    def _over(self) -> bool:
        wait = self._memory.wait
        if self._memory.sent:
            return self._too_long(wait)
        return self._waited(wait) > self._limits.busy_timeout

    def _next(self) -> base.Progress:
        if self._aborting and (self._step.removing is None
                               or self._memory.ready):
            return self._end(_State.ABORTED, 'aborted')
        if self._step.state is _State.PENDING:
            return self._begin()
        if self._step.removing is None:
            return self._choose()
        if self._memory.ready:
            return self._delete()
        return self._look()

    def _begin(self) -> base.Progress:
        """Begin what only removes; an earlier try may have been a backup."""
        return base.Progress(dataclasses.replace(
            self._step, state=_State.PRUNING, reason=None,
            backup_id=None, cinder_backup_id=None,
            volume_id=self._step.volume_id or self._action().volume_id,
            started_at=self._step.started_at or self._epoch()))

    def _choose(self) -> base.Progress:
        """Choose the next backup, and store what is meant to be done."""
        rule = self._action().removal.rule(self._due())
        if rule is None:
            # The user took the wish back.
            return self._end(_State.SUCCESS, None)
        plan = retention.plan(
            self._client.backups(self._step.volume_id or ''), rule,
            made=self._step.cinder_backup_id)
        if plan.deletions:
            old = plan.deletions[0]
            return self._go(dataclasses.replace(
                self._step, removing=old.id,
                removing_record=self._record_of(old)), ready=True)
        gone_at = self._memory.gone_at
        if (gone_at is not None and any(one.unclear for one in plan.kept)
                and self._now() - gone_at < self._limits.settle):
            # Cinder deletes a backup first, and then counts it out of what
            # it was made upon.
            return self._again()
        return self._end(_State.SUCCESS, _told(plan.kept))

    def _record_of(self, old: cinder_client.CinderBackup) -> str | None:
        """Return the record that goes with a backup, but for our own."""
        record = cinder_backup.record_of(old)
        return None if record == self._step.backup_id else record

    def _delete(self) -> base.Progress:
        """Ask Cinder for the deletion. It is stored by now."""
        old = self._step.removing or ''
        self._client.login()
        if not self._may_write():
            return self._again()
        LOG.info('Run %s: deletes old backup %s of volume %s (project %s, '
                 'job %s)', self._order.run_id, old, self._step.volume_id,
                 self._order.project_id, self._order.job_id)
        try:
            self._client.delete(old)
        except cinder_client.Refused as error:
            refused = error
        else:
            return self._go(self._step, sent=True)
        status = self._status(old)
        if status is None:
            return self._gone()
        if status == 'deleting':
            return self._go(self._step, sent=True)
        return self._end(_State.FAIL, f'backup {old} stays: {refused}',
                         retry=True)

    def _look(self) -> base.Progress:
        """See what became of a deletion."""
        old = self._step.removing or ''
        status = self._status(old)
        if status is None:
            return self._gone()
        if status == 'deleting':
            if self._too_long(self._memory.wait):
                return self._end(
                    _State.FAIL, f'backup {old} is still being deleted after '
                    f'{self._limits.backup_timeout:.0f} seconds')
            return self._again()
        if not self._memory.sent:
            # Taken over: it may not have been asked for.
            return self._go(dataclasses.replace(
                self._step, removing=None, removing_record=None))
        return self._end(
            _State.FAIL, f'Cinder did not delete backup {old}, which is '
            f'{status} now', retry=True)

    def _status(self, backup_id: str) -> str | None:
        """Return a backup's status, in error with its reason; None if gone."""
        try:
            backup = self._client.backup(backup_id)
        except cinder_client.Refused as error:
            if error.status != 404:
                raise
            return None
        if backup.status.startswith('error') and backup.fail_reason:
            return f'{backup.status} ({backup.fail_reason})'
        return backup.status

    def _gone(self) -> base.Progress:
        step = self._step
        records: tuple[documents.Backup, ...] = ()
        if step.removing_record is not None:
            # With Cinder's id the API sees whether the record is of this
            # backup, or of another try's.
            records = (documents.Backup(
                step.removing_record, 'deleted',
                {'cinder_backup_id': step.removing}),)
        progress = self._go(dataclasses.replace(
            step, removing=None, removing_record=None,
            removed=step.removed + 1), gone_at=self._now())
        return dataclasses.replace(progress, backups=records)

    # -- going on and ends --

    def _go(self, step: documents.Step, ready: bool = False,
            sent: bool = False, gone_at: float | None = None,
            ) -> base.Progress:
        """Come to the next stage."""
        wait = cinder_step.Wait(self._now())
        return base.Progress(
            step, after=wait.after if sent else 0,
            memory=Memory(wait, ready, sent, gone_at))

    def _give_up(self, reason: str, retry: bool) -> base.Progress:
        return self._end(_State.FAIL, reason, retry)

    def _end(self, state: _State, why: str | None,
             retry: bool = False) -> base.Progress:
        """End, and say what was done and what not.

        An action that only removes says so even where there was nothing.
        """
        removed, made = self._step.removed, self._step.backup_id is not None
        words = []
        if made and state is not _State.SUCCESS:
            words.append(f'Cinder\'s backup {self._step.cinder_backup_id} is '
                         'available')
        if removed or not made or (why and state is not _State.SUCCESS):
            words.append(f'old backups removed: {removed}')
        if why:
            words.append(why)
        if state is _State.ABORTED:
            words.insert(0, words.pop())
        step = dataclasses.replace(
            self._ended(state, '; '.join(words) or None), removing=None,
            removing_record=None, removed=0)
        return base.Progress(step, retry=retry and not made)


def _told(kept: tuple[retention.Kept, ...]) -> str | None:
    """Return why backups stay that the rule names; the first says it."""
    if not kept:
        return None
    first = kept[0]
    what = ('all stay' if first.first is None
            else f'the chain of backup {first.first} stays')
    more = f', and {len(kept) - 1} more' if len(kept) > 1 else ''
    return f'{what}{more}: {first.reason}'

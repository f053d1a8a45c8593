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

A backup that Cinder does not delete stays, and what it depends on; the others
go on. The next run tries it again.
"""

from __future__ import annotations

import dataclasses
import typing

from oslo_log import log as logging

from freezer_api.domain import cinder_action
from freezer_api.domain import cinder_keys
from freezer_api.domain import retention
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import backup as cinder_backup
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import deleted_volumes
from freezer_scheduler.engines.cinder import failed_backups as cinder_failed
from freezer_scheduler.engines.cinder import prune_memory
from freezer_scheduler.engines.cinder import step as cinder_step
from freezer_scheduler.engines.cinder import volume_step
from freezer_scheduler.freezer import messages

LOG = logging.getLogger(__name__)

# How often Cinder is asked to delete a backup whose status does not change.
_MOST_REQUESTS = 3

_State = messages.StepState
_Memory = prune_memory.EngineState


class Prune(volume_step.VolumeStep):
    """One call about the old backups of a volume.

    They are removed by an action of their own, or after a backup, which then
    is good already: whatever becomes of old ones, it has succeeded.
    """

    _known = _Memory
    _engine_state: _Memory

    def _over(self) -> bool:
        wait = self._engine_state.wait
        if self._engine_state.sent:
            return self._too_long(wait)
        return self._waited(wait) > self._limits.busy_timeout

    def _next(self) -> base.Progress:
        if self._aborting and (self._step.removing is None
                               or self._engine_state.ready):
            return self._end(_State.ABORTED, 'aborted')
        if self._step.state is _State.PENDING:
            return self._begin()
        if self._step.removing is None:
            return self._choose()
        if self._engine_state.ready:
            return self._delete()
        return self._look()

    def _begin(self) -> base.Progress:
        """Begin what only removes; an earlier try may have been a backup."""
        return base.Progress(dataclasses.replace(
            self._step, state=_State.PRUNING, reason=None,
            backup_id=None, cinder_backup_id=None,
            volume_id=self._step.volume_id or self._action().volume_id,
            started_at=self._step.started_at or self._epoch()))

    @property
    def _made(self) -> bool:
        """Whether this comes after a backup that is good."""
        return (self._step.action == cinder_keys.BACKUP
                and not self._step.volume_deleted)

    @property
    def _volume_id(self) -> str:
        """The volume whose backups are looked at now."""
        return self._engine_state.known.volume or self._step.volume_id or ''

    # -- which one --

    def _choose(self) -> base.Progress:
        """Choose the next backup, and store what is meant to be done."""
        removal = self._action().removal
        known, volume_id = self._engine_state.known, self._volume_id
        backups = list(self._client.backups(volume_id))
        marks = frozenset[str]()
        if not removal.whole_volume:
            marks = retention.other_marks(backups, self._context.job_id)
            known = known.asked(marks, self._gone_jobs)
        scope = retention.Scope(
            known.living(marks), known.refused.keys(),
            None if known.volume else self._step.cinder_backup_id)
        rule = removal.rule(self._due())
        if self._is_deleted(volume_id, removal):
            rule = retention.of_deleted(
                rule, backups, removal.keep_deleted_days, self._due(), scope,
                removal.freezer_only)
        self._engine_state = dataclasses.replace(self._engine_state,
                                                 known=known)
        plan = retention.Plan[cinder_client.CinderBackup]()
        if rule is not None:
            plan = self._plan(backups, rule, scope)
        if plan.deletions:
            old = plan.deletions[0]
            self._step = dataclasses.replace(
                self._step, removing=old.id,
                removing_record=self._record_of(old))
            stays = (cinder_failed.released(self._client, old, backups)
                     if old.status == 'error' else None)
            if stays is not None:
                return self._skip(stays)
            return self._go(self._step, ready=True)
        gone_at = self._engine_state.gone_at
        if (gone_at is not None and any(one.unclear for one in plan.kept)
                and self._now() - gone_at < self._limits.settle):
            # Cinder deletes a backup first, and then subtracts it from the
            # count of its parent.
            return self._again()
        return self._another_volume(plan.kept)

    def _plan(self, backups: list[cinder_client.CinderBackup],
              rule: retention.Rule, scope: retention.Scope,
              ) -> retention.Plan[cinder_client.CinderBackup]:
        return retention.plan(backups, rule, scope)

    def _gone_jobs(self, marks: frozenset[str]) -> frozenset[str]:
        return self._dependencies.gone_jobs(self._context.run_id,
                                            self._context.fence, marks)

    def _is_deleted(self, volume_id: str,
                    removal: cinder_action.Removal) -> bool:
        """Return whether a volume is deleted, where that matters."""
        made = (self._step.cinder_backup_id is not None
                and not self._engine_state.known.volume)
        return (removal.keep_deleted_days is not None and not made
                and deleted_volumes.is_deleted(self._client, volume_id))

    def _another_volume(self, kept: tuple[retention.Kept, ...],
                        ) -> base.Progress:
        """Go on with volumes that the job once backed up, or end."""
        known = self._engine_state.known.after_volume(kept)
        for _backup in (one for chain in kept for one in chain.failed):
            self._dependencies.old_backup(False)
        if known.volumes is None:
            found: tuple[str, ...] = ()
            if self._context.alone:
                found = deleted_volumes.Search(
                    self._client, self._context, self._action().removal,
                    self._due(), self._gone_jobs,
                    deleted_volumes.FOR_ONE).find(
                        (self._step.volume_id or '',))
            known = dataclasses.replace(known, volumes=found)
        else:
            known = dataclasses.replace(known, volumes=known.volumes[1:])
        self._engine_state = dataclasses.replace(self._engine_state,
                                                 known=known)
        if known.volumes:
            return self._go(self._step)
        return self._end(_State.SUCCESS, known.told())

    def _record_of(self, old: cinder_client.CinderBackup) -> str | None:
        """Return the record that goes with a backup, but for our own."""
        record = cinder_backup.record_of(old)
        return None if record == self._step.backup_id else record

    # -- its deletion --

    def _delete(self) -> base.Progress:
        """Ask Cinder for the deletion. It is stored by now."""
        old = self._step.removing or ''
        self._client.login()
        if not self._may_write():
            return self._again()
        LOG.info('Run %s: deletes old backup %s of volume %s (project %s, '
                 'job %s)', self._context.run_id, old, self._volume_id,
                 self._context.project_id, self._context.job_id)
        try:
            self._client.delete(old)
        except cinder_client.Refused as error:
            refused = error
        except cinder_client.Unknown as error:
            return self._go(self._step, asked=self._engine_state.asked + 1,
                            trouble=str(error))
        else:
            return self._go(self._step, sent=True)
        status = self._status(old)
        if status is None:
            return self._gone()
        if status == 'deleting':
            return self._go(self._step, sent=True)
        return self._skip(str(refused))

    def _look(self) -> base.Progress:
        """See what became of a deletion."""
        old = self._step.removing or ''
        status = self._status(old)
        if status is None:
            return self._gone()
        if status == 'deleting':
            if not self._too_long(self._engine_state.wait):
                return self._again()
            return self._skip(
                f'it is still being deleted after '
                f'{self._limits.backup_timeout:.0f} seconds')
        if self._engine_state.sent:
            return self._skip(f'Cinder did not delete it, and it is {status} '
                              'now')
        if not self._engine_state.asked:
            # Taken over: it may not have been asked for.
            return self._go(dataclasses.replace(
                self._step, removing=None, removing_record=None))
        if self._waited(self._engine_state.wait) < self._limits.settle:
            # What was sent may still arrive.
            return self._again()
        if self._engine_state.asked < _MOST_REQUESTS:
            return self._go(self._step, ready=True,
                            asked=self._engine_state.asked)
        return self._skip(self._engine_state.trouble)

    def _status(self, backup_id: str) -> str | None:
        """Return a backup's status, in error with its reason; None if gone."""
        backup = self._client.backup_if_there(backup_id)
        if backup is None:
            return None
        if backup.status.startswith('error') and backup.fail_reason:
            return f'{backup.status} ({backup.fail_reason})'
        return backup.status

    def _gone(self) -> base.Progress:
        step = self._step
        records: tuple[messages.Backup, ...] = ()
        if step.removing_record is not None:
            # With Cinder's id the API sees whether the record is of this
            # backup, or of another try's.
            records = (messages.Backup(
                step.removing_record, 'deleted',
                {'cinder_backup_id': step.removing}),)
        self._dependencies.old_backup(True)
        progress = self._go(dataclasses.replace(
            step, removing=None, removing_record=None,
            removed=step.removed + 1), gone_at=self._now())
        return dataclasses.replace(progress, backups=records)

    def _skip(self, why: str) -> base.Progress:
        """Go on without a backup that Cinder does not delete."""
        old = self._step.removing or ''
        LOG.warning('Run %s: old backup %s of volume %s stays, and what it '
                    'depends on: %s', self._context.run_id, old,
                    self._volume_id, why)
        self._dependencies.old_backup(False)
        self._engine_state = dataclasses.replace(
            self._engine_state, known=self._engine_state.known.without(
                old, why))
        return self._go(dataclasses.replace(
            self._step, removing=None, removing_record=None))

    # -- going on and ends --

    def _go(self, step: messages.Step, **stage: typing.Any) -> base.Progress:
        """Come to the next stage, see :class:`.prune_memory.EngineState`."""
        wait = cinder_step.Wait(self._now())
        return base.Progress(
            step,
            after=wait.after if stage.get('sent') else 0, engine_state=_Memory(
                wait, known=self._engine_state.known, **stage))

    def _give_up(self, reason: str, retry: bool) -> base.Progress:
        if self._made or self._step.volume_deleted:
            return self._end(_State.SUCCESS, f'old backups stay: {reason}')
        return self._end(_State.FAIL, reason, retry)

    def _end(self, state: _State, why: str | None,
             retry: bool = False) -> base.Progress:
        """End, and say what was done and what not.

        An action that only removes says so even where there was nothing.
        """
        removed, made = self._step.removed, self._made
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
        if self._step.reason is not None and state is _State.SUCCESS:
            # There was no volume to back up.
            state = _State.FAIL
            words.insert(0, self._step.reason)
        step = dataclasses.replace(
            self._ended(state, '; '.join(words) or None), removing=None,
            removing_record=None, removed=0)
        return base.Progress(step, retry=retry and not made)

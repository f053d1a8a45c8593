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

"""Polling a backup that Cinder makes, to its end or to its removal."""

from __future__ import annotations

import dataclasses

from oslo_log import log as logging

from freezer_api.domain import cinder_action
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import backup as cinder_backup
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import duplicates as cinder_duplicates
from freezer_scheduler.engines.cinder import failed_backups
from freezer_scheduler.engines.cinder import increment as cinder_increment
from freezer_scheduler.engines.cinder import operation
from freezer_scheduler.engines.cinder import swift_errors
from freezer_scheduler.engines.cinder import views
from freezer_scheduler.freezer import messages

LOG = logging.getLogger(__name__)

_State = messages.StepState


class Poll(cinder_backup.BackupOperation):
    """From a submitted step to an ended one."""

    def _next(self) -> base.Progress:
        cinder_id = self._step.cinder_backup_id or ''
        backup = self._client.backup_if_there(cinder_id)
        if backup is None:
            return self._missing(cinder_id)
        if not self._of_this_run(backup):
            return self._another() or self._fail(
                f'Cinder\'s backup {cinder_id} is not one of this run')
        if self._aborting:
            return self._abort(backup)
        return self._judge(backup)

    def _missing(self, cinder_id: str) -> base.Progress:
        """Handle Cinder's 404 for the backup that it makes.

        The list is read as well: one of several Cinders may be behind.
        """
        if not self._too_long and any(
                backup.id == cinder_id for backup in self._made()):
            return self._again()
        if self._aborting:
            return self._leave('its backup is deleted')
        return self._another() or self._fail(
            f'Cinder\'s backup {cinder_id} was deleted before it was '
            f'finished')

    def _judge(self, backup: views.Backup) -> base.Progress:
        if backup.status in cinder_backup.USABLE:
            return self._alone(backup)
        if backup.status == 'error':
            return self._another() or self._failed(backup)
        if backup.status in ('deleting', 'error_deleting'):
            return self._another() or self._fail(
                f'Cinder\'s backup {backup.id} is being deleted by somebody')
        if self._too_long:
            return self._fail(
                f'Cinder\'s backup {backup.id} is still {backup.status} '
                f'after {self._limits.backup_timeout:.0f} seconds')
        return self._again()

    def _failed(self, backup: views.Backup) -> base.Progress:
        """Store why it failed, to have it deleted after that."""
        said = backup.fail_reason or 'no reason given'
        LOG.info('Cinder\'s backup %s ended in error: %s', backup.id, said)
        refused = swift_errors.read(said)
        if refused is not None:
            said = refused.meaning or said
        reason = f'Cinder\'s backup {backup.id} ended in error: {said}'
        if backup.is_incremental and swift_errors.full_may_help(
                backup.fail_reason):
            self._step = dataclasses.replace(
                self._step,
                full_because=cinder_increment.stored(
                    cinder_increment.FullReason.FAILED, backup.fail_reason))
            another = ('run' if self._step.tries > self._context.retries.most
                       else 'try')
            reason += f'; the next {another} makes a full backup'
        self._step = dataclasses.replace(self._step, state=_State.CLEARING,
                                         reason=reason)
        return self._at_once(*self._record('error', fail_reason=reason),
                             wait=operation.Wait(self._now()))

    def _alone(self, backup: views.Backup) -> base.Progress:
        """End with one backup, however many were made for this action."""
        found = cinder_duplicates.choose(self._made())
        if found is None:
            return self._done(backup)
        self._step = dataclasses.replace(self._step,
                                         cinder_backup_id=found.kept.id)
        waits = found.passing or not self._may_write()
        waits |= bool(cinder_duplicates.delete(
            found, self._client, lambda _: self._may_write()))
        if waits and not self._too_long:
            return self._again()
        return self._done(found.kept)

    def _another(self) -> base.Progress | None:
        """Go on with another backup of this action, if one exists."""
        other = self._oldest_promising([
            backup for backup in self._made()
            if backup.id != self._step.cinder_backup_id
            and backup.status in cinder_backup.PROMISING])
        if other is None:
            return None
        self._step = dataclasses.replace(self._step,
                                         cinder_backup_id=other.id)
        return self._again()

    def _done(self, backup: views.Backup) -> base.Progress:
        # From here on the backup is good, whatever happens to old ones.
        try:
            prunes = self._action().removal.is_wanted
        except cinder_action.Unusable:
            # A scheduler of another release asked for the backup. Pruning ends
            # with the reason, and in success.
            prunes = True
        step = dataclasses.replace(
            self._step, state=_State.PRUNING, reason=None,
        ) if prunes else self._ended(_State.SUCCESS, None)
        return base.Progress(step, backups=self._finished(backup))

    def _finished(self, backup: views.Backup) -> tuple[messages.Backup, ...]:
        now = self._epoch()
        return self._record(
            'available', cinder_backup_id=backup.id, size=backup.size,
            **({'container': backup.container} if backup.container else {}),
            is_incremental=backup.is_incremental,
            curr_backup_level=1 if backup.is_incremental else 0,
            # The clock may have been put back.
            duration=max(0, now - (self._step.started_at or now)),
            cindernative_backup_az=backup.availability_zone or '',
            fail_reason='')

    def _abort(self, backup: views.Backup) -> base.Progress:
        """Delete the backup as soon as Cinder accepts that."""
        if backup.status == 'deleting' and not self._too_long:
            return self._again(deleting=True)
        if backup.status == 'deleting' or self._engine_state.deleting:
            # Cinder accepted the deletion, and does not end it or gave up.
            return self._stays(backup)
        if backup.status == 'available':
            # It is good, and an abort does not delete a finished backup.
            return base.Progress(
                self._ended(_State.ABORTED,
                            f'aborted: Cinder finished backup {backup.id} '
                            f'before it could be stopped'),
                backups=self._finished(backup))
        if not self._may_write():
            return self._again()
        if backup.status == 'error':
            why = failed_backups.released(
                self._client, backup, self._client.backups(backup.volume_id))
            if why is not None:
                return self._stays(backup, f': {why}')
        try:
            self._client.delete(backup.id)
        except cinder_client.Refused as error:
            if backup.status != 'creating' or self._too_long:
                return self._stays(backup, f': {error}')
            return self._again()
        return self._again(deleting=True, wait=operation.Wait(self._now()))

    def _stays(self, backup: views.Backup, why: str = '') -> base.Progress:
        return self._leave(f'Cinder\'s backup {backup.id} stays '
                           f'{backup.status}{why}', left=True)

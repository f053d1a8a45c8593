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

"""Following a backup that Cinder makes, to its end or to its removal."""

from __future__ import annotations

import dataclasses

from oslo_log import log as logging

from freezer_api.domain import cinder_action
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import backup as cinder_backup
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import duplicates as cinder_duplicates
from freezer_scheduler.engines.cinder import failed_backups as cinder_failed
from freezer_scheduler.engines.cinder import increment as cinder_increment
from freezer_scheduler.engines.cinder import step as cinder_step
from freezer_scheduler.engines.cinder import swift_errors
from freezer_scheduler.freezer import messages

LOG = logging.getLogger(__name__)

_State = messages.StepState


class Poll(cinder_backup.BackupStep):
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
        """Go on after Cinder did not know the backup that it makes.

        The list is asked as well: one of several Cinders may be behind.
        """
        there = self._made()
        if any(backup.id == cinder_id for backup in there) and (
                not self._too_long(self._engine_state.wait)):
            return self._again()
        if self._aborting:
            return self._leave('its backup is deleted')
        return self._another() or self._fail(
            f'Cinder\'s backup {cinder_id} was deleted before it was '
            f'finished')

    def _judge(self, backup: cinder_client.CinderBackup) -> base.Progress:
        if backup.status in cinder_backup.USABLE:
            return self._alone(backup)
        if backup.status == 'error':
            return self._another() or self._failed(backup)
        if backup.status in ('deleting', 'error_deleting'):
            return self._another() or self._fail(
                f'Cinder\'s backup {backup.id} is being deleted by somebody')
        if self._too_long(self._engine_state.wait):
            return self._fail(
                f'Cinder\'s backup {backup.id} is still {backup.status} '
                f'after {self._limits.backup_timeout:.0f} seconds')
        return self._again()

    def _failed(self, backup: cinder_client.CinderBackup) -> base.Progress:
        """Store why it failed, and have it deleted after that."""
        said = backup.fail_reason or 'no reason given'
        refused = swift_errors.read(said)
        if refused is not None and refused.meaning is not None:
            LOG.info('Run %s: Cinder\'s backup %s ended in error: %s',
                     self._context.run_id, backup.id, said)
            said = refused.meaning
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
        return base.Progress(
            self._step, engine_state=dataclasses.replace(
                self._engine_state, wait=cinder_step.Wait(self._now())),
            backups=self._record('error', fail_reason=reason))

    def _alone(self, backup: cinder_client.CinderBackup) -> base.Progress:
        """End with one backup, however many were made for this action."""
        found = cinder_duplicates.choose(self._made())
        if found is None:
            return self._done(backup)
        self._step = dataclasses.replace(
            self._step, cinder_backup_id=found.kept.id)
        waits = found.passing or not self._may_write()
        waits |= bool(cinder_duplicates.delete(
            found, self._client, self._context.run_id,
            lambda _: self._may_write()))
        if waits and not self._too_long(self._engine_state.wait):
            return self._again()
        return self._done(found.kept)

    def _another(self) -> base.Progress | None:
        """Go on with another backup of this action, if there is one."""
        other = self._oldest_promising([
            backup for backup in self._made()
            if backup.id != self._step.cinder_backup_id
            and backup.status in cinder_backup.PROMISING])
        if other is None:
            return None
        self._step = dataclasses.replace(self._step,
                                         cinder_backup_id=other.id)
        return self._again()

    def _done(self, backup: cinder_client.CinderBackup) -> base.Progress:
        step = self._ended(_State.SUCCESS, None)
        if self._removal_wanted():
            # From here on the backup is good, whatever becomes of old ones.
            step = dataclasses.replace(self._step, state=_State.PRUNING,
                                       reason=None)
        return base.Progress(step, backups=self._finished(backup))

    def _removal_wanted(self) -> bool:
        try:
            removal = self._action().removal
        except cinder_action.Unusable:
            # It could be read when the backup was made.
            LOG.warning('Run %s: action %s was changed meanwhile',
                        self._context.run_id, self._step.action_id)
            return False
        return removal.is_wanted

    def _finished(self, backup: cinder_client.CinderBackup,
                  ) -> tuple[messages.Backup, ...]:
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

    def _abort(self, backup: cinder_client.CinderBackup) -> base.Progress:
        """Delete the backup as soon as Cinder lets us."""
        if backup.status == 'deleting':
            if self._too_long(self._engine_state.wait):
                return self._stays(backup)
            return self._again(deleting=True)
        if self._engine_state.deleting:
            # Cinder took the deletion on, and gave it up.
            return self._stays(backup)
        if backup.status == 'available':
            # It is good, and to throw a finished one away was not asked for.
            return base.Progress(
                self._ended(_State.ABORTED,
                            f'aborted: Cinder finished backup {backup.id} '
                            f'before it could be stopped'),
                backups=self._finished(backup))
        if not self._may_write():
            return self._again()
        if backup.status == 'error':
            why = cinder_failed.released(
                self._client, backup, self._client.backups(backup.volume_id))
            if why is not None:
                return self._stays(backup, f': {why}')
        try:
            self._client.delete(backup.id)
        except cinder_client.Refused as error:
            if (backup.status != 'creating'
                    or self._too_long(self._engine_state.wait)):
                return self._stays(backup, f': {error}')
            return self._again()
        return self._again(deleting=True,
                           wait=cinder_step.Wait(self._now()))

    def _stays(self, backup: cinder_client.CinderBackup,
               why: str = '') -> base.Progress:
        return self._leave(f'Cinder\'s backup {backup.id} stays '
                           f'{backup.status}{why}', left=True)

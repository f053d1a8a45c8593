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

"""One cinder-native restore, into the volume itself or into a new volume.

A restore leaves no mark of its run in Cinder. If the outcome of a request for
a restore into the volume itself is unknown, the volume is watched for as long
as the request could still arrive. Then the action fails and says so: only the
user may decide to begin another restore.

A new volume is made first, empty and with the marks of its run, so that it can
be found if it is unknown whether Cinder made it. No user knows it yet, so a
second restore into it does no harm. Cinder could make and fill a volume with
one request, but replaces the marks when it fills the volume.
"""

from __future__ import annotations

import dataclasses

from oslo_log import log as logging

from freezer_api.domain import cinder_action
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import operation
from freezer_scheduler.engines.cinder import views
from freezer_scheduler.freezer import messages

LOG = logging.getLogger(__name__)

_State = messages.StepState
_RESTORING = 'restoring-backup'
_BUSY_BACKUP = frozenset(('creating', 'restoring'))


class Restore(operation.Operation):
    """One call about a restore into the volume itself."""

    def _next(self) -> base.Progress:
        state = self._step.state
        if self._aborting and (state is _State.PENDING
                               or self._engine_state.ready):
            return self._leave()
        if state is _State.PENDING:
            return self._begin()
        if state is _State.SUBMITTED:
            return self._poll()
        if self._engine_state.ready:
            return self._ask()
        return self._resolve()

    def _leave(self) -> base.Progress:
        return self._end(_State.ABORTED, 'aborted: nothing was restored')

    # -- the beginning --

    def _begin(self) -> base.Progress:
        """Choose the backup, check the volume, store the intent."""
        action = self._action()
        backup = self._choose(action)
        if backup.status in _BUSY_BACKUP:
            return self._busy(f'backup {backup.id} is {backup.status}')
        if backup.status != 'available':
            raise cinder_action.Unusable(
                f'cindernative_backup_id: the backup is {backup.status}')
        volume_id = None
        if action.new_volume:
            # An unusable name fails before anything is made.
            action.name_of_new_volume(backup.volume_id, backup.id)
        else:
            volume_id = action.volume_id or backup.volume_id
            status = self._client.volume_status(volume_id)
            if status in operation.BUSY:
                return self._busy(f'the volume is {status}')
            if status != 'available':
                return self._end(
                    _State.FAIL, f'the volume is {status}: it must be '
                    'available (detached) to be restored into')
        self._step = dataclasses.replace(
            self._step, state=_State.SUBMITTING, reason=None,
            volume_id=volume_id, new_volume=action.new_volume, posts=1,
            backup_id=None, cinder_backup_id=backup.id,
            started_at=self._step.started_at or self._epoch())
        return self._at_once(ready=True, nothing_since=None,
                             wait=operation.Wait(self._now()))

    def _choose(self, action: cinder_action.CinderAction) -> views.Backup:
        if action.backup_id is not None:
            return self._client.backup(action.backup_id)
        for backup in self._client.backups(action.volume_id or '',
                                           'available'):
            if action.restore_from is None or (
                    backup.created_at is not None
                    and backup.created_at <= action.restore_from):
                return backup
        if action.restore_from is not None:
            raise cinder_action.Unusable(
                'restore_from_date: the volume has no available backup that '
                'is old enough')
        raise cinder_action.Unusable(
            f'volume {action.volume_id} has no available backup')

    def _busy(self, what: str) -> base.Progress:
        """Wait until Cinder is done with what it works on."""
        waited = self._waited
        if waited > self._limits.busy_timeout:
            return self._end(_State.FAIL, f'{what} for {waited:.0f} seconds',
                             retry=True)
        self._step = dataclasses.replace(
            self._step, state=_State.PENDING, reason=f'waits: {what}')
        return self._again(ready=False)

    # -- the request --

    def _ask(self) -> base.Progress:
        """Ask for the restore. The intent is stored by now."""
        self._client.login()
        if not self._may_write():
            return self._again()
        try:
            self._client.restore(self._step.cinder_backup_id or '',
                                 self._volume_id)
        except cinder_client.Unknown:
            return self._resolve_soon()
        except cinder_client.Refused as error:
            if error.status == 400:
                status = self._client.volume_status(self._volume_id)
                if status in operation.BUSY:
                    return self._busy(f'the volume is {status}')
            return self._refused(error)
        return self._submitted()

    def _refused(self, error: cinder_client.Refused) -> base.Progress:
        """Fail. A refusal is certain, so asking again is safe."""
        return self._end(_State.FAIL, str(error),
                         retry=error.status not in (404, 406))

    def _submitted(self) -> base.Progress:
        LOG.info('Cinder restores backup %s into volume %s',
                 self._step.cinder_backup_id, self._volume_id)
        return base.Progress(
            dataclasses.replace(self._step, state=_State.SUBMITTED), after=1,
            engine_state=operation.EngineState(
                operation.Wait(self._now())))

    def _resolve(self) -> base.Progress:
        """Find out whether Cinder began to restore."""
        status = self._client.volume_status(self._volume_id)
        if status == _RESTORING:
            return self._submitted()
        if not self._settled():
            return self._again()
        return self._end(
            _State.FAIL, f'whether backup {self._step.cinder_backup_id} was '
            f'restored is not known; the volume is {status}')

    # -- the restore --

    def _poll(self) -> base.Progress:
        cinder_id = self._step.cinder_backup_id or ''
        status = self._client.volume_status(self._volume_id)
        if status == _RESTORING:
            if self._too_long:
                return self._end(
                    _State.FAIL, 'the volume is still being restored after '
                    f'{self._limits.backup_timeout:.0f} seconds')
            return self._again()
        if status.startswith('error'):
            # Cinder gives no reason. Its Ceph driver restores from one pool
            # only.
            backup = self._client.backup_if_there(cinder_id)
            where = (f' (in container {backup.container})'
                     if backup is not None and backup.container else '')
            return self._end(
                _State.FAIL, f'restoring backup {cinder_id}{where} left the '
                f'volume in status {status} after {self._waited:.0f} seconds; '
                'Cinder tells the reason only in the log of cinder-backup: '
                'ask the operator')
        if self._client.backup(cinder_id).status == 'restoring':
            return self._again()
        return self._done(status)

    def _done(self, status: str) -> base.Progress:
        if self._aborting:
            return self._end(
                _State.ABORTED, 'aborted: Cinder does not stop a restore; '
                f'it ended and the volume is {status}')
        return self._end(_State.SUCCESS, None)

    def _give_up(self, reason: str, retry: bool) -> base.Progress:
        """Fail without another try, which would restore a second time."""
        if self._step.state is _State.SUBMITTED:
            reason += '; how the restore ended is not known'
        return self._end(_State.FAIL, reason)

    def _end(self, state: _State, reason: str | None,
             retry: bool = False) -> base.Progress:
        return base.Progress(self._ended(state, reason), retry=retry)


class RestoreIntoNewVolume(Restore):
    """One call about a restore into a new volume."""

    def _next(self) -> base.Progress:
        if (self._step.state is not _State.SUBMITTING
                or self._step.volume_id is not None):
            return super()._next()
        if not self._engine_state.ready:
            return self._find()
        return self._leave() if self._aborting else self._create()

    # -- the volume --

    def _create(self) -> base.Progress:
        """Ask for the volume. The intent is stored by now."""
        backup = self._client.backup(self._step.cinder_backup_id or '')
        name = self._action().name_of_new_volume(backup.volume_id, backup.id)
        # An encrypted backup can only be restored into a volume of its type.
        source = self._client.volume_if_there(backup.volume_id)
        self._client.login()
        if not self._may_write():
            return self._again()
        try:
            return self._made(self._client.create_volume(
                name, backup.size or 1,
                None if source is None else source.volume_type,
                self._marks()))
        except cinder_client.Unknown:
            return self._resolve_soon()
        except cinder_client.Refused as error:
            return self._refused(error)

    def _made(self, volume_id: str) -> base.Progress:
        LOG.info('Cinder makes volume %s to restore backup %s into',
                 volume_id, self._step.cinder_backup_id)
        self._step = dataclasses.replace(self._step, volume_id=volume_id,
                                         posts=1)
        return self._again(ready=True, nothing_since=None,
                           wait=operation.Wait(self._now()))

    def _find(self) -> base.Progress:
        """Find out whether Cinder made the volume."""
        made = self._ours()
        if made:
            return self._made(made[0].id)
        if not self._settled():
            return self._again()
        if self._aborting:
            return self._leave()
        return self._once_more('made no volume')

    def _once_more(self, failed: str) -> base.Progress:
        """Store the intent of one more request, unless there were enough.

        :param failed: what Cinder has not done
        """
        posts = self._step.posts
        if posts >= operation.MOST_POSTS:
            return self._end(
                _State.FAIL, f'Cinder was asked {posts} times and {failed}',
                retry=True)
        self._step = dataclasses.replace(self._step, posts=posts + 1)
        return self._again(ready=True, nothing_since=None)

    def _ours(self) -> list[views.Volume]:
        """Return the volumes of this try, without those restored into."""
        return [volume for volume in self._client.volumes(
            {'freezer_run_id': self._context.run_id})
            if self._has_marks(volume)]

    # -- the restore --

    def _ask(self) -> base.Progress:
        status = self._client.volume_status(self._volume_id)
        if status.startswith('error'):
            return self._end(_State.FAIL, 'Cinder could not make the new '
                             'volume', retry=True)
        if status == 'available':
            return super()._ask()
        if self._too_long:
            return self._end(_State.FAIL, f'the new volume stayed {status}')
        return self._again()

    def _resolve(self) -> base.Progress:
        volume = self._client.volume(self._volume_id)
        if (volume.status == _RESTORING or volume.metadata.get(
                'src_backup_id') == self._step.cinder_backup_id):
            return self._submitted()
        if volume.status.startswith('error') or self._settled():
            # The volume is ours alone, and no request can arrive any more.
            return self._once_more('did not begin to restore')
        return self._again()

    def _over(self) -> bool:
        # Until the volume is there, Cinder makes it.
        return self._too_long if self._step.volume_id else super()._over()

    def _done(self, status: str) -> base.Progress:
        volume_id = self._volume_id
        for late in self._ours():
            if late.id != volume_id:
                LOG.warning('Volume %s is deleted: it is a duplicate of %s',
                            late.id, volume_id)
                self._discard(late.id)
        state, reason = _State.SUCCESS, f'restored into new volume {volume_id}'
        if self._aborting:
            state, reason = _State.ABORTED, (
                'aborted: Cinder does not stop a restore; it ended, and the '
                f'new volume {volume_id} holds the backup')
        return super()._end(state, reason)

    def _end(self, state: _State, reason: str | None,
             retry: bool = False) -> base.Progress:
        """End, and leave no useless volume behind."""
        volume_id = self._step.volume_id
        if volume_id is not None and state is not _State.SUCCESS:
            deleted = self._discard(volume_id)
            reason = (f'{reason}; the new volume {volume_id} '
                      f'{"is deleted" if deleted else "stays"}')
            retry = retry and deleted
        return super()._end(state, reason, retry)

    def _discard(self, volume_id: str) -> bool:
        """Delete a volume of ours that nothing was restored into.

        :returns: whether Cinder deletes it, or it is gone
        """
        if not self._may_write():
            return False
        try:
            volume = self._client.volume_if_there(volume_id)
            if volume is not None:
                if not self._has_marks(volume):
                    return False
                self._client.delete_volume(volume_id)
        except cinder_client.CinderError as error:
            LOG.warning('Volume %s stays: %s', volume_id, error)
            return False
        return True

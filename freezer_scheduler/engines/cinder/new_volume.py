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

"""One cinder-native restore into a new volume.

The volume is made first, empty and with the marks of its run, so that it can
be found where nobody knows whether Cinder made it. Cinder itself could make
and fill it with one request, but it replaces the marks when it fills a volume.
"""

from __future__ import annotations

import dataclasses

from oslo_log import log as logging

from freezer_api.domain import cinder_action
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import restore as cinder_restore
from freezer_scheduler.engines.cinder import step as cinder_step
from freezer_scheduler.engines.cinder import volume_step
from freezer_scheduler.freezer import messages

LOG = logging.getLogger(__name__)

_RESTORING = 'restoring-backup'

_State = messages.StepState


class CinderNewVolumeStep(cinder_restore.CinderRestoreStep):
    """One call about a restore into a new volume."""

    def _next(self) -> base.Progress:
        if (self._step.state is not _State.SUBMITTING
                or self._step.volume_id is not None):
            return super()._next()
        if not self._engine_state.ready:
            return self._find()
        return self._leave() if self._aborting else self._create()

    def _target(self, action: cinder_action.CinderAction,
                backup: cinder_client.CinderBackup) -> None:
        # Where a name cannot be made, that is said before anything is.
        action.name_of_new_volume(backup.volume_id, backup.id)

    # -- the volume --

    def _create(self) -> base.Progress:
        """Ask for the volume. The intent is stored by now."""
        backup = self._client.backup(self._step.cinder_backup_id or '')
        new = cinder_client.NewVolume(
            name=self._action().name_of_new_volume(backup.volume_id,
                                                   backup.id),
            size=backup.size or 1, volume_type=self._type(backup.volume_id),
            metadata=self._marks())
        self._client.login()
        if not self._may_write():
            return self._again()
        try:
            made = self._client.create_volume(new)
        except cinder_client.Unknown:
            return self._resolve_soon()
        except cinder_client.Refused as error:
            refused = error
        else:
            return self._made(made)
        return self._end(_State.FAIL, str(refused),
                         retry=refused.status not in (404, 406))

    def _type(self, volume_id: str) -> str | None:
        """Return the type of the volume that was backed up, if it is there.

        An encrypted backup goes only into a volume of its own type.
        """
        try:
            return self._client.volume(volume_id).volume_type
        except cinder_client.Refused:
            return None

    def _made(self, volume_id: str) -> base.Progress:
        LOG.info('Run %s: Cinder makes volume %s to restore backup %s into '
                 '(project %s, job %s)', self._context.run_id, volume_id,
                 self._step.cinder_backup_id, self._context.project_id,
                 self._context.job_id)
        self._step = dataclasses.replace(self._step, volume_id=volume_id,
                                         posts=1)
        return self._again(ready=True, idle_since=None,
                           wait=cinder_step.Wait(self._now()))

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
        if posts >= volume_step.MOST_POSTS:
            return self._end(
                _State.FAIL, f'Cinder was asked {posts} times and {failed}',
                retry=True)
        self._step = dataclasses.replace(self._step, posts=posts + 1)
        return self._again(ready=True, idle_since=None)

    def _ours(self) -> list[cinder_client.CinderVolume]:
        """Return the volumes of this try that nothing was restored into."""
        return [volume for volume in self._client.volumes(
            {'freezer_run_id': self._context.run_id}) if self._is_ours(volume)]

    def _is_ours(self, volume: cinder_client.CinderVolume) -> bool:
        return all(volume.metadata.get(key) == value
                   for key, value in self._marks().items())

    def _marks(self) -> dict[str, str]:
        step = self._step
        return {
            'created_by': 'freezer', 'freezer_run_id': self._context.run_id,
            'freezer_job_id': self._context.job_id, 'freezer_action_id':
                step.action_id, 'freezer_step': f'{step.position}.{step.tries}'
        }

    # -- the restore --

    def _ask(self) -> base.Progress:
        status = self._client.volume_status(self._step.volume_id or '')
        if status.startswith('error'):
            return self._end(_State.FAIL, 'Cinder could not make the new '
                             'volume', retry=True)
        if status == 'available':
            return super()._ask()
        if self._too_long(self._engine_state.wait):
            return self._end(_State.FAIL, f'the new volume stayed {status}')
        return self._again()

    def _resolve(self) -> base.Progress:
        volume = self._client.volume(self._step.volume_id or '')
        if (volume.status == _RESTORING or volume.metadata.get(
                'src_backup_id') == self._step.cinder_backup_id):
            return self._submitted()
        if volume.status.startswith('error') or self._settled():
            # It is ours alone, and certainly nothing is on its way to it.
            return self._once_more('did not begin to restore')
        return self._again()

    def _over(self) -> bool:
        # Until it is there, Cinder makes it.
        return (self._too_long(self._engine_state.wait) if self._step.volume_id
                else super()._over())

    def _done(self, status: str) -> base.Progress:
        volume_id = self._step.volume_id
        for late in self._ours():
            if late.id != volume_id:
                LOG.warning('Run %s: volume %s is deleted: it is a duplicate '
                            'of %s', self._context.run_id, late.id, volume_id)
                self._discard(late.id)
        state, reason = _State.SUCCESS, f'restored into new volume {volume_id}'
        if self._aborting:
            state, reason = _State.ABORTED, (
                'aborted: Cinder does not stop a restore; it ended, and the '
                f'new volume {volume_id} holds the backup')
        return super()._end(state, reason)

    def _end(self, state: _State, reason: str | None,
             retry: bool = False) -> base.Progress:
        """End, and leave no volume behind that is of no use."""
        volume_id = self._step.volume_id
        if volume_id is not None and state is not _State.SUCCESS:
            deleted = self._discard(volume_id)
            reason = (f'{reason}; the new volume {volume_id} '
                      f'{"is deleted" if deleted else "stays"}')
            retry = retry and deleted
        return super()._end(state, reason, retry)

    def _discard(self, volume_id: str) -> bool:
        """Delete a volume that nothing was restored into.

        :returns: whether Cinder took that on
        """
        if not self._may_write():
            return False
        try:
            if not self._is_ours(self._client.volume(volume_id)):
                return False
            self._client.delete_volume(volume_id)
        except cinder_client.CinderError as error:
            LOG.warning('Run %s: volume %s stays: %s', self._context.run_id,
                        volume_id, error)
            return False
        return True

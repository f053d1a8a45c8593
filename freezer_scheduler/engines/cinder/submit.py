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

"""Asking Cinder for a backup: once, whatever happens.

The intent is stored before the POST. A POST with an unknown outcome, of this
process or of one that died, is resolved by listing the volume's backups and
looking for its marks. A POST is sent again only if the list proves that Cinder
made nothing, and if no request can arrive any more.
"""

from __future__ import annotations

import dataclasses
import sys
import uuid

from oslo_log import log as logging

from freezer_api.domain import cinder_action
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import backup as cinder_backup
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import duplicates as cinder_duplicates
from freezer_scheduler.engines.cinder import failed_backups
from freezer_scheduler.engines.cinder import increment as cinder_increment
from freezer_scheduler.engines.cinder import operation
from freezer_scheduler.engines.cinder import quota as cinder_quota
from freezer_scheduler.engines.cinder import views
from freezer_scheduler.freezer import messages
from freezer_scheduler import version

LOG = logging.getLogger(__name__)

# The API takes no report about many more records.
_MOST_CORRECTED = 100

# Failed backups that one call deletes.
_CLEARED_AT_ONCE = 10

# Values of a record that have no meaning in this mode. Clients of the API
# print them and sort by them.
_NOT_USED: dict[str, object] = {
    **dict.fromkeys((
        'always_level', 'max_level', 'container_segments', 'dry_run',
        'path_to_backup', 'log_file', 'storage', 'engine_name', 'proxy',
        'compression', 'ssh_key', 'ssh_username', 'ssh_host', 'ssh_port',
        'consistency_checksum', 'nova_inst_id', 'cinder_vol_id',
        'cinderbrick_vol_id', 'glance_image_id'), ''),
    'curr_backup_level': 0, 'fs_real_path': None, 'vol_snap_path': None,
    'client_os': sys.platform}

_State = messages.StepState
_Blocked = cinder_backup.Blocked


class Submit(cinder_backup.BackupOperation):
    """From a pending step to a submitted one."""

    def _next(self) -> base.Progress:
        if self._in_doubt:
            return self._resolve()
        if self._aborting:
            self._clear_last_try()
            return self._leave('nothing was submitted')
        try:
            if self._engine_state.ready:
                return self._post()
            if self._engine_state.blocked is not None:
                return self._blocked(self._engine_state.blocked)
            return self._begin()
        except cinder_action.Unusable as error:
            return self._fail(str(error))

    # -- before the request --

    def _begin(self) -> base.Progress:
        """Read the action, clear up after the last try, store the intent."""
        action = self._action()
        self._container(action)
        self._clear_last_try()
        there = list(self._client.backups(action.volume_id or ''))
        full = self._engine_state.full or self._step.full_because is not None
        if action.incremental and not full and any(
                backup.status == 'creating' and backup.is_incremental
                and not self._has_marks(backup, *cinder_backup.MARKS)
                for backup in there):
            # The last increment may still fail.
            self._step = dataclasses.replace(
                self._step, volume_id=action.volume_id,
                reason='waits: Cinder makes another backup of the volume')
            return self._again(blocked=_Blocked.VOLUME)
        return self._intend(action, there, operation.Wait(self._now()))

    def _blocked(self, blocked: _Blocked) -> base.Progress:
        """Wait until Cinder is done with the volume or with a deletion.

        The volume may be busy with a backup of an earlier request of this try,
        or with an increment of another run, which failed. The quota is full
        while Cinder deletes a backup.
        """
        action = self._action()
        if blocked is _Blocked.VOLUME:
            status = self._client.volume_status(self._volume_id)
            if status in operation.BUSY:
                waited = self._waited
                if waited <= self._limits.busy_timeout:
                    return self._again()
                return self._fail(f'the volume stayed {status} for '
                                  f'{waited:.0f} seconds', retry=True)
        there = list(self._client.backups(self._volume_id))
        if blocked is _Blocked.QUOTA and self._gets_room(there):
            return self._again()
        return self._intend(action, there, self._engine_state.wait)

    def _gets_room(self, there: list[views.Backup]) -> bool:
        """Return whether to wait until Cinder has deleted a backup of ours."""
        return self._waited <= self._limits.busy_timeout and any(
            backup.status == 'deleting'
            and backup.metadata.get('created_by') == 'freezer'
            for backup in there)

    def _intend(self, action: cinder_action.CinderAction,
                there: list[views.Backup],
                wait: operation.Wait) -> base.Progress:
        """Judge the existing backups, and store the intent.

        :param there: all backups of the volume
        :param wait: until the request is possible
        """
        made = self._oldest_promising([
            backup for backup in there
            if self._has_marks(backup, *cinder_backup.MARKS)])
        if made is not None:
            # A request of an earlier try came late.
            return self._submitted(made.id)
        corrected = self._clear_duplicates(there)
        full = (self._engine_state.full or not action.incremental
                or cinder_increment.full_is_due(there, action.full_every))
        because = self._step.full_because
        if not full and because is None:
            because = cinder_increment.obstacle(
                there, self._client.volume_if_there(action.volume_id or ''),
                self._context.job_id, self._container(action),
                action.availability_zone)
            if because is not None:
                LOG.info('Volume %s: %s', action.volume_id,
                         cinder_increment.words(because))
        failed = cinder_backup.failed_of_job(there, self._context.job_id)
        self._step = dataclasses.replace(
            self._step, state=_State.SUBMITTING, reason=None,
            volume_id=action.volume_id,
            backup_id=self._step.backup_id or uuid.uuid4().hex,
            cinder_backup_id=None, full_because=because,
            posts=self._step.posts + 1,
            started_at=self._step.started_at or self._epoch())
        return self._at_once(
            *corrected, *self._intent(action), ready=True, blocked=None,
            full=full or because is not None, nothing_since=None, wait=wait,
            failed=tuple(backup.id for backup in failed))

    def _intent(self, action: cinder_action.CinderAction,
                ) -> tuple[messages.Backup, ...]:
        """Return the record as it is before Cinder knows of the backup."""
        container = self._container(action)
        return self._record('creating', **{
            **_NOT_USED, 'time_stamp': self._epoch(),
            'hostname': self._dependencies.hostname,
            'client_version': version.version_string(),
            'action': 'backup', 'mode': cinder_action.MODE,
            'backup_media': cinder_action.MODE, 'backup_name': action.name,
            'container': container, 'cindernative_vol_id': action.volume_id,
            'cindernative_backup_az': action.availability_zone or '',
            'cindernative_backup_container': container,
            'cinder_backup_id': '', 'fail_reason': ''})

    def _container(self, action: cinder_action.CinderAction) -> str:
        """Return the container to ask for; empty for none.

        :raises Unusable: if the operator does not accept it
        """
        return self._dependencies.containers().chosen(action)

    # -- clearing up --

    def _clear_last_try(self) -> None:
        """Delete what an earlier try left in error; it is of no use."""
        failed = self._step.cinder_backup_id
        if failed is not None and self._may_write():
            self._delete_failed(failed)

    def _clear_failed(self) -> base.Progress:
        """Delete some failed backups, of this run and of earlier ones."""
        failed, stay = self._engine_state.failed, self._engine_state.stay
        for cinder_id in failed[:_CLEARED_AT_ONCE]:
            if not self._may_write():
                break
            failed = failed[1:]
            why = self._delete_failed(cinder_id)
            if why is not None:
                stay = f'{cinder_id}: {why}'
        return self._at_once(failed=failed, stay=stay)

    def _delete_failed(self, cinder_id: str) -> str | None:
        """Return why a failed backup stays; None if Cinder deletes it."""
        try:
            why = failed_backups.delete(self._client, cinder_id,
                                        self._context.job_id)
        except cinder_client.NotSent as error:
            why = str(error)
        LOG.info('Failed backup %s of volume %s %s', cinder_id,
                 self._volume_id,
                 'is deleted' if why is None else f'stays: {why}')
        return why

    def _clear_duplicates(self, there: list[views.Backup],
                          ) -> list[messages.Backup]:
        """Delete what requests that came late have made beside others.

        :param there: the volume's backups; the deleted ones are removed
        :returns: the corrected records of this job
        """
        corrected: list[messages.Backup] = []
        for found in list(cinder_duplicates.among(there)):
            if len(corrected) == _MOST_CORRECTED:
                break
            gone = cinder_duplicates.delete(
                found, self._client, lambda _: self._may_write())
            there[:] = [backup for backup in there if backup not in gone]
            record = cinder_backup.record_of(found.kept)
            if gone and record is not None and found.kept.metadata.get(
                    'freezer_job_id') == self._context.job_id:
                corrected.append(messages.Backup(
                    record, 'available',
                    {'cinder_backup_id': found.kept.id}))
        return corrected

    # -- the request --

    def _post(self) -> base.Progress:
        """Ask Cinder for the backup. The intent is stored by now."""
        if self._engine_state.failed and self._may_write():
            return self._clear_failed()
        with self._dependencies.volume_lock.alone(self._volume_id) as alone:
            return self._request() if alone else self._again()

    def _request(self) -> base.Progress:
        action = self._action()
        container = self._container(action)
        self._client.login()
        if not self._may_write():
            return self._again()
        self._engine_state = dataclasses.replace(
            self._engine_state, asked=True)
        try:
            return self._submitted(self._client.create_backup(
                self._volume_id, action.name, container,
                action.availability_zone,
                action.incremental and not self._engine_state.full,
                {**self._marks(), cinder_backup.CONTAINER_MARK: container}))
        except cinder_client.Refused as error:
            return self._refused(action, error)
        except cinder_client.Unknown as error:
            LOG.warning('%s to the request for a backup of volume %s; '
                        'looking for it', error, self._volume_id)
        return self._resolve_soon()

    def _refused(self, action: cinder_action.CinderAction,
                 error: cinder_client.Refused) -> base.Progress:
        """Handle a refusal. It is certain, so asking again is safe."""
        if error.status == 404:
            return self._volume_is_gone(
                action, f'{error}: the volume is not there')
        if error.status == 413:
            return self._over_quota(action, error)
        if error.status != 400:
            return self._fail(str(error), retry=error.status != 406)
        status = self._client.volume_status(self._volume_id)
        if status in operation.BUSY:
            return self._wait(_Blocked.VOLUME, f'the volume is {status}')
        if action.incremental and not self._engine_state.full:
            self._step = dataclasses.replace(
                self._step, full_because=cinder_increment.stored(
                    cinder_increment.FullReason.REFUSED, str(error)))
            LOG.info('Volume %s: %s', self._volume_id,
                     cinder_increment.words(self._step.full_because))
            return self._again(full=True)
        return self._fail(str(error), retry=True)

    def _over_quota(self, action: cinder_action.CinderAction,
                    error: cinder_client.Refused) -> base.Progress:
        """Wait until Cinder has deleted a backup, make room, or fail."""
        there = list(self._client.backups(self._volume_id))
        if self._gets_room(there):
            return self._wait(_Blocked.QUOTA, 'Cinder deletes backups, and '
                              'the quota is full')
        if action.removal.prune_first and not self._engine_state.made_room:
            LOG.info('Makes room for a backup of volume %s: %s',
                     self._volume_id, error)
            return base.Progress(dataclasses.replace(
                self._step, state=_State.MAKING_ROOM, reason=None,
                posts=self._step.posts - 1))
        return self._fail(cinder_quota.reason(
            str(error), there, self._context.job_id, action.removal,
            self._engine_state.stay), retry=True)

    def _wait(self, blocked: _Blocked, what: str) -> base.Progress:
        """Wait after a request that was refused."""
        self._step = dataclasses.replace(
            self._step, state=_State.PENDING, reason=f'waits: {what}',
            posts=self._step.posts - 1)
        return self._again(blocked=blocked, ready=False)

    def _volume_is_gone(self, action: cinder_action.CinderAction,
                        reason: str) -> base.Progress:
        """End as failed, after old backups of the volume are removed."""
        failed = self._fail(reason)
        if not action.removal.is_wanted:
            return failed
        return base.Progress(dataclasses.replace(
            failed.step, state=_State.PRUNING, volume_deleted=True,
            cinder_backup_id=None, ended_at=None), backups=failed.backups)

    def _submitted(self, cinder_id: str) -> base.Progress:
        self._step = dataclasses.replace(
            self._step, state=_State.SUBMITTED, cinder_backup_id=cinder_id)
        LOG.info('Cinder makes backup %s of volume %s', cinder_id,
                 self._volume_id)
        wait = operation.Wait(self._now())
        return base.Progress(
            self._step, after=wait.after, engine_state=dataclasses.replace(
                self._engine_state, ready=False, blocked=None, wait=wait),
            backups=self._record('creating', cinder_backup_id=cinder_id))

    def _resolve(self) -> base.Progress:
        """Resolve the unknown outcome of a POST."""
        if self._too_long:
            return self._give_up('Cinder did not show in time what it did',
                                 retry=False)
        made = self._oldest_promising(self._made())
        if made is not None:
            return self._submitted(made.id)
        if not self._settled():
            return self._again()
        # Cinder answers, and a request had enough time to arrive.
        if self._aborting:
            return self._leave('nothing was submitted')
        if self._step.posts >= operation.MOST_POSTS:
            return self._fail(f'Cinder was asked {self._step.posts} times and '
                              'made no backup', retry=True)
        self._step = dataclasses.replace(self._step, state=_State.PENDING)
        return self._at_once(wait=operation.Wait(self._now()))

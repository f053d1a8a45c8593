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

"""Removing backups of ours that ended in error.

They are of no use and count in the project's quota, so that a job that fails
a few times could never succeed again. The failure is stored first, with its
reason and the intent to delete the backup. If this process ends in between,
the next holder of the run deletes it, or else the next run of the job.

The base of a failed increment records the failure before the increment is
deleted. Otherwise the next run would ask for another increment on that base.
"""

from __future__ import annotations

from collections.abc import Iterable

from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import backup as cinder_backup
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import increment as cinder_increment
from freezer_scheduler.engines.cinder import operation
from freezer_scheduler.engines.cinder import swift_errors
from freezer_scheduler.engines.cinder import views


def released(client: cinder_client.CinderClient, failed: views.Backup,
             backups: Iterable[views.Backup]) -> str | None:
    """Prepare the deletion of a failed backup; a second time does no harm.

    :param backups: all backups of the volume
    :returns: why the backup must stay; None if it may be deleted
    :raises NotSent: when Cinder cannot be asked
    :raises Unknown: when Cinder does not say what it did
    """
    there = list(backups)
    for backup in there:
        if backup.is_snapshot_in_ceph and backup.status != 'error':
            return (f'Cinder could delete the data of backup {backup.id}, '
                    f'which is of a snapshot in Ceph, with it')
    if not failed.is_incremental or not swift_errors.full_may_help(
            failed.fail_reason):
        return None
    made_at = cinder_increment.made_at
    newest = cinder_increment.base_of(
        backup for backup in there if made_at(backup) <= made_at(failed))
    if newest is None or cinder_increment.failure(newest) is not None:
        return None
    why = _recorded(client, newest, failed.fail_reason)
    # Cinder builds no increment on a base that is not the newest one.
    return why if newest is cinder_increment.base_of(there) else None


def _recorded(client: cinder_client.CinderClient, newest: views.Backup,
              cause: str | None) -> str | None:
    """Record on a base that an increment failed.

    :returns: why that is impossible; None if it is done
    """
    keeps = f'it keeps the next backup from being an increment on {newest.id}'
    description = cinder_increment.with_failure(newest, cause)
    if description is None:
        return f'{keeps}, whose description is full'
    try:
        client.describe(newest.id, description)
    except (cinder_client.Refused, cinder_client.TrustRefused) as error:
        return f'{keeps}, whose description cannot be changed: {error}'
    return None


def delete(client: cinder_client.CinderClient, backup_id: str,
           job_id: str) -> str | None:
    """Ask Cinder to delete a failed backup of the job.

    Its status is read just before: an operator may have made it available.

    :returns: why it stays; None if Cinder deletes it, or it is gone, or it is
        no failed backup of the job any more
    :raises NotSent: when nothing was asked for
    """
    try:
        for failed in cinder_backup.failed_of_job(
                [client.backup(backup_id)], job_id):
            why = released(client, failed, client.backups(failed.volume_id))
            if why is not None:
                return why
            client.delete(backup_id)
    except cinder_client.NotSent:
        raise
    except cinder_client.CinderError as error:
        try:
            # A 404 may also mean a backup service that is gone.
            gone = client.backup_if_there(backup_id) is None
        except cinder_client.CinderError:
            gone = False
        return None if gone else str(error)
    return None


class Clear(cinder_backup.BackupOperation):
    """From a backup that failed, and is stored so, to the end of the try."""

    def _over(self) -> bool:
        return self._waited > self._limits.busy_timeout

    def _give_up(self, reason: str, retry: bool) -> base.Progress:
        return self._end(f'whether it is deleted is not known: {reason}',
                         retry=retry)

    def _next(self) -> base.Progress:
        cinder_id = self._step.cinder_backup_id or ''
        backup = self._client.backup_if_there(cinder_id)
        if backup is None:
            return self._end(None)
        if backup.status == 'deleting' and not self._over():
            return self._again(deleting=True)
        if (backup.status != 'error' or self._engine_state.deleting
                or not self._of_this_run(backup)):
            return self._end(f'it stays in Cinder, {backup.status}')
        if not self._may_write():
            return self._again()
        why = delete(self._client, cinder_id, self._context.job_id)
        if why is not None:
            return self._end(f'it stays in Cinder: {why}')
        return self._again(deleting=True, wait=operation.Wait(self._now()))

    def _end(self, left: str | None, retry: bool = True) -> base.Progress:
        """End the try, which failed before this began.

        :param left: why the backup still exists, as far as is known
        """
        reason = self._step.reason or (
            f'Cinder\'s backup {self._step.cinder_backup_id} ended in error')
        if left is not None:
            reason = f'{reason}; {left}'
        if self._aborting:
            return self._leave(reason, left=left is not None)
        return self._fail(reason, retry=retry)

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
a few times could never succeed again. What failed is stored first, with its
reason and the intent to delete it. Where this process ends in between,
whoever goes on with the run deletes it, or else the next run of the job.

That an increment failed is written on its base before it goes. Otherwise the
next run would ask for another one on that base.
"""

from __future__ import annotations

from collections.abc import Iterable

from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import backup as cinder_backup
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import increment_base
from freezer_scheduler.engines.cinder import step as cinder_step
from freezer_scheduler.engines.cinder import swift_errors


def of_job(backups: Iterable[cinder_client.CinderBackup], job_id: str,
           ) -> tuple[cinder_client.CinderBackup, ...]:
    """Return those that the job made and that surely failed."""
    return tuple(
        backup for backup in backups if backup.status == 'error'
        and backup.metadata.get('created_by') == 'freezer'
        and backup.metadata.get('freezer_job_id') == job_id)


def spared(there: Iterable[cinder_client.CinderBackup]) -> str | None:
    """Return why failed backups must not be deleted; None if they may.

    :param there: all backups of the volume
    """
    for backup in there:
        if backup.is_snapshot_in_ceph and backup.status != 'error':
            return (f'Cinder could delete the data of backup {backup.id}, '
                    f'which is of a snapshot in Ceph, with it')
    return None


def released(client: cinder_client.CinderClient,
             failed: cinder_client.CinderBackup,
             backups: Iterable[cinder_client.CinderBackup]) -> str | None:
    """See to it that a failed backup may be deleted.

    To do it twice does no harm.

    :param backups: all backups of the volume
    :returns: why it must stay; None where it need not
    :raises NotSent: when Cinder cannot be asked
    :raises Unknown: when Cinder does not say what it did
    """
    there = list(backups)
    why = spared(there)
    if (why is not None or not failed.is_incremental
            or not swift_errors.full_may_help(failed.fail_reason)):
        return why
    made_at = increment_base.made_at
    base = increment_base.of(backup for backup in there
                             if made_at(backup) <= made_at(failed))
    if base is None or increment_base.failure(base) is not None:
        return None
    why = _told(client, base, failed.fail_reason)
    # On a base that is not the newest one no increment is built.
    return why if base is increment_base.of(there) else None


def _told(client: cinder_client.CinderClient,
          base: cinder_client.CinderBackup, cause: str | None) -> str | None:
    """Write on a base that an increment failed.

    :returns: why that cannot be done; None where it is
    """
    keeps = f'it keeps the next backup from being an increment on {base.id}'
    description = increment_base.with_failure(base, cause)
    if description is None:
        return f'{keeps}, whose description is full'
    try:
        client.describe(base.id, description)
    except (cinder_client.Refused, cinder_client.TrustRefused) as error:
        return f'{keeps}, whose description cannot be changed: {error}'
    return None


def delete(client: cinder_client.CinderClient, backup_id: str,
           job_id: str) -> str | None:
    """Ask Cinder to delete a failed backup of the job.

    It is looked at just before: an operator may have declared it good.

    :returns: why it stays; None where Cinder deletes it, or it is gone, or it
        is no failed backup of the job any more
    """
    try:
        return _delete(client, backup_id, job_id)
    except cinder_client.NotSent as error:
        return str(error)


def _delete(client: cinder_client.CinderClient, backup_id: str,
            job_id: str) -> str | None:
    """Do as :func:`delete`.

    :raises NotSent: nothing was asked for yet
    """
    try:
        for failed in of_job([client.backup(backup_id)], job_id):
            why = released(client, failed, client.backups(failed.volume_id))
            if why is not None:
                return why
            client.delete(backup_id)
    except cinder_client.NotSent:
        raise
    except cinder_client.CinderError as error:
        # A 404 may also mean a backup service that is gone.
        return None if _is_gone(client, backup_id) else str(error)
    return None


def _is_gone(client: cinder_client.CinderClient, backup_id: str) -> bool:
    try:
        return client.backup_if_there(backup_id) is None
    except cinder_client.CinderError:
        return False


class Clear(cinder_backup.BackupStep):
    """From a backup that failed, and is stored so, to the end of the try."""

    def _over(self) -> bool:
        return self._waited(
            self._engine_state.wait) > self._limits.busy_timeout

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
        if (backup.status != 'error'
                or self._engine_state.deleting
                or not self._of_this_run(backup)):
            return self._end(f'it stays in Cinder, {backup.status}')
        if not self._may_write():
            return self._again()
        # Waits while a login is due or Cinder is unavailable.
        why = _delete(self._client, cinder_id, self._context.job_id)
        if why is not None:
            return self._end(f'it stays in Cinder: {why}')
        return self._again(deleting=True,
                           wait=cinder_step.Wait(self._now()))

    def _end(self, left: str | None, retry: bool = True) -> base.Progress:
        """End the try, which failed before this began.

        :param left: why the backup is still there, as far as is known
        """
        reason = self._step.reason or (
            f'Cinder\'s backup {self._step.cinder_backup_id} ended in error')
        if left is not None:
            reason = f'{reason}; {left}'
        if self._aborting:
            return self._leave(reason, left=left is not None)
        return self._fail(reason, retry=retry)

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

The intent is stored before the POST. A POST whose outcome is not known, in
this process or in one that died, is resolved by looking for its marks among
the volume's backups. Only where they show for certain that nothing was made,
and nothing can be on its way any more, is a POST sent again.
"""

from __future__ import annotations

import dataclasses
import typing
import uuid

from oslo_log import log as logging

from freezer_api.domain import cinder_action
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import backup as cinder_backup
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import duplicates as cinder_duplicates
from freezer_scheduler.engines.cinder import failed_backups as cinder_failed
from freezer_scheduler.engines.cinder import increment as cinder_increment
from freezer_scheduler.engines.cinder import quota as cinder_quota
from freezer_scheduler.engines.cinder import step as cinder_step
from freezer_scheduler.engines.cinder import volume_step
from freezer_scheduler.freezer import messages

LOG = logging.getLogger(__name__)

# The API takes no report about many more records.
_MOST_CORRECTED = 100

# Failed backups that one call deletes.
_CLEARED_AT_ONCE = 10

_State = messages.StepState
_Blocked = cinder_backup.Blocked


class Submit(cinder_backup.BackupStep):
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
            if self._engine_state.blocked is _Blocked.VOLUME:
                return self._busy()
            if self._engine_state.blocked is _Blocked.QUOTA:
                return self._room()
            return self._begin()
        except cinder_action.Unusable as error:
            return self._fail(str(error))

    def _begin(self) -> base.Progress:
        """Read the action, clear up after the last try, store the intent."""
        action = self._action()
        self._container(action)
        self._clear_last_try()
        there = list(self._client.backups(action.volume_id or ''))
        if self._is_early(action, there):
            self._step = dataclasses.replace(
                self._step, volume_id=action.volume_id,
                reason='waits: Cinder makes another backup of the volume')
            return self._again(blocked=_Blocked.VOLUME)
        return self._intend(action, there, cinder_step.Wait(self._now()))

    def _is_early(self, action: cinder_action.CinderAction,
                  there: list[cinder_client.CinderBackup]) -> bool:
        """Whether the last increment may still fail."""
        full = self._engine_state.full or self._step.full_because is not None
        return action.incremental and not full and any(
            backup.status == 'creating' and backup.is_incremental
            and not self._of_this_step(backup) for backup in there)

    def _intend(self, action: cinder_action.CinderAction,
                there: list[cinder_client.CinderBackup],
                wait: cinder_step.Wait) -> base.Progress:
        """Judge what there is, and store the intent.

        :param there: all backups of the volume
        :param wait: for what is in the way of the request
        """
        made = self._oldest_promising(
            list(filter(self._of_this_step, there)))
        if made is not None:
            # A request of an earlier try came late.
            return self._submitted(made.id)
        corrected = self._clear_duplicates(there)
        full = (self._engine_state.full or not action.incremental
                or cinder_increment.full_is_due(there, action.full_every))
        because = self._step.full_because
        if not full and because is None:
            because = self._obstacle(action, there)
        failed = cinder_failed.of_job(there, self._context.job_id)
        self._step = dataclasses.replace(
            self._step, state=_State.SUBMITTING, reason=None,
            volume_id=action.volume_id,
            backup_id=self._step.backup_id or uuid.uuid4().hex,
            cinder_backup_id=None, full_because=because,
            posts=self._step.posts + 1,
            started_at=self._step.started_at or self._epoch())
        return base.Progress(
            self._step, engine_state=dataclasses.replace(
                self._engine_state, ready=True, blocked=None,
                full=full or because is not None,
                failed=tuple(backup.id for backup in failed),
                nothing_since=None, wait=wait),
            backups=corrected
            + self._record('creating', **self._intent(action)))

    def _container(self, action: cinder_action.CinderAction) -> str:
        """Return the container to ask for; empty for none.

        :raises Unusable: where the operator does not accept it
        """
        return self._dependencies.containers().chosen(action)

    def _obstacle(self, action: cinder_action.CinderAction,
                  there: list[cinder_client.CinderBackup],
                  ) -> str | None:
        """Return why no increment can be asked for."""
        try:
            volume = self._client.volume(action.volume_id or '')
        except cinder_client.Refused:
            # The request for the backup shows what that means.
            volume = None
        found = cinder_increment.obstacle(
            there, volume, self._context.job_id, self._container(action),
            action.availability_zone)
        if found is not None:
            LOG.info('Run %s: volume %s: %s', self._context.run_id,
                     action.volume_id, cinder_increment.words(found))
        return found

    def _clear_last_try(self) -> None:
        """Delete what an earlier try left in error; it is of no use."""
        failed = self._step.cinder_backup_id
        if failed is None or not self._may_write():
            return
        why = cinder_failed.delete(self._client, failed, self._context.job_id)
        if why is not None:
            LOG.info('Run %s: backup %s of an earlier try stays: %s',
                     self._context.run_id, failed, why)

    def _clear_failed(self) -> base.Progress:
        """Delete some of what failed before, in this run or earlier ones."""
        failed, stay = self._engine_state.failed, self._engine_state.stay
        for number, cinder_id in enumerate(failed[:_CLEARED_AT_ONCE]):
            if not self._may_write():
                failed = failed[number:]
                break
            why = cinder_failed.delete(self._client, cinder_id,
                                       self._context.job_id)
            LOG.info('Run %s: failed backup %s of volume %s %s',
                     self._context.run_id, cinder_id, self._step.volume_id,
                     'is deleted' if why is None else f'stays: {why}')
            if why is not None:
                stay = f'{cinder_id}: {why}'
        else:
            failed = failed[_CLEARED_AT_ONCE:]
        return base.Progress(self._step, engine_state=dataclasses.replace(
            self._engine_state, failed=failed, stay=stay))

    def _clear_duplicates(self, there: list[cinder_client.CinderBackup],
                          ) -> tuple[messages.Backup, ...]:
        """Delete what requests that came late have made beside others.

        :param there: the volume's backups; what is deleted is taken out
        :returns: what is to be told of records, where they are this job's
        """
        corrected: list[messages.Backup] = []
        for found in list(cinder_duplicates.among(there)):
            if len(corrected) == _MOST_CORRECTED:
                break
            gone = cinder_duplicates.delete(
                found, self._client, self._context.run_id,
                lambda _: self._may_write())
            there[:] = [backup for backup in there if backup not in gone]
            record = cinder_backup.record_of(found.kept)
            if gone and record is not None and found.kept.metadata.get(
                    'freezer_job_id') == self._context.job_id:
                corrected.append(messages.Backup(
                    record, 'available',
                    {'cinder_backup_id': found.kept.id}))
        return tuple(corrected)

    def _busy(self) -> base.Progress:
        """Wait until Cinder is done with the volume.

        It may have been busy with what an earlier request of this try made,
        or with an increment of another run, which failed.
        """
        status = self._client.volume_status(self._step.volume_id or '')
        if status not in cinder_step.BUSY:
            return self._intend(
                self._action(),
                list(self._client.backups(self._step.volume_id or '')),
                self._engine_state.wait)
        waited = self._waited(self._engine_state.wait)
        if waited > self._limits.busy_timeout:
            return self._fail(f'the volume stayed {status} for '
                              f'{waited:.0f} seconds', retry=True)
        return self._again()

    def _post(self) -> base.Progress:
        """Ask Cinder for the backup. The intent is stored by now."""
        if self._engine_state.failed and self._may_write():
            return self._clear_failed()
        with self._dependencies.requests.alone(self._step.volume_id
                                               or '') as alone:
            return self._request() if alone else self._again()

    def _request(self) -> base.Progress:
        action = self._action()
        container = self._container(action)
        self._client.login()
        if not self._may_write():
            return self._again()
        self._engine_state = dataclasses.replace(
            self._engine_state, asked=True)
        new = cinder_client.NewBackup(
            volume_id=self._step.volume_id or '', name=action.name,
            container=container,
            availability_zone=action.availability_zone,
            incremental=action.incremental and not self._engine_state.full,
            metadata={**self._marks(),
                      cinder_backup.CONTAINER_MARK: container})
        try:
            return self._submitted(self._client.create(new))
        except cinder_client.Refused as error:
            refused = error
        except cinder_client.Unknown as error:
            refused, unknown = None, error
        if refused is not None:
            return self._refused(action, refused)
        LOG.warning('Run %s: %s to the request for a backup of volume %s; '
                    'looking for it', self._context.run_id, unknown,
                    self._step.volume_id)
        return self._again(ready=False,
                           wait=cinder_step.Wait(self._now(), after=1))

    def _refused(self, action: cinder_action.CinderAction,
                 error: cinder_client.Refused) -> base.Progress:
        """Cinder said no. That is certain, so that asking again is safe."""
        if error.status == 404:
            return self._volume_is_gone(
                action, f'{error}: the volume is not there')
        if error.status == 413:
            return self._over_quota(action, error)
        if error.status != 400:
            return self._fail(str(error), retry=error.status != 406)
        status = self._client.volume_status(self._step.volume_id or '')
        if status in cinder_step.BUSY:
            return self._wait(_Blocked.VOLUME, f'the volume is {status}')
        if action.incremental and not self._engine_state.full:
            LOG.info('Run %s: no incremental backup of volume %s (%s); '
                     'making a full one', self._context.run_id,
                     self._step.volume_id, error)
            self._step = dataclasses.replace(
                self._step,
                full_because=cinder_increment.stored(
                    cinder_increment.FullReason.REFUSED, str(error)))
            return self._again(full=True)
        return self._fail(str(error), retry=True)

    def _over_quota(self, action: cinder_action.CinderAction,
                    error: cinder_client.Refused) -> base.Progress:
        """Wait for what Cinder deletes; else say what is in the way."""
        there = list(self._client.backups(self._step.volume_id or ''))
        if (cinder_quota.is_getting_room(there)
                and self._waited(self._engine_state.wait)
                <= self._limits.busy_timeout):
            return self._wait(_Blocked.QUOTA, 'Cinder deletes backups, and '
                              'the quota is full')
        if action.removal.prune_first and not self._engine_state.made_room:
            LOG.info('Run %s: makes room for a backup of volume %s: %s',
                     self._context.run_id, self._step.volume_id, error)
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

    def _room(self) -> base.Progress:
        """Wait until Cinder has deleted what counts in the quota."""
        there = list(self._client.backups(self._step.volume_id or ''))
        if (cinder_quota.is_getting_room(there)
                and self._waited(self._engine_state.wait)
                <= self._limits.busy_timeout):
            return self._again()
        return self._intend(self._action(), there, self._engine_state.wait)

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
        LOG.info('Run %s: Cinder makes backup %s of volume %s (project %s, '
                 'job %s)', self._context.run_id, cinder_id,
                 self._step.volume_id, self._context.project_id,
                 self._context.job_id)
        wait = cinder_step.Wait(self._now())
        return base.Progress(
            self._step, after=wait.after, engine_state=dataclasses.replace(
                self._engine_state, ready=False, blocked=None, wait=wait),
            backups=self._record('creating', cinder_backup_id=cinder_id))

    def _resolve(self) -> base.Progress:
        """Find out what became of a POST."""
        if self._too_long(self._engine_state.wait):
            return self._give_up('Cinder did not show in time what it did',
                                 retry=False)
        made = self._oldest_promising(self._made())
        if made is not None:
            return self._submitted(made.id)
        nothing_since = self._engine_state.nothing_since
        if nothing_since is None:
            return self._again(nothing_since=self._now())
        if self._now() - nothing_since < self._limits.settle:
            return self._again()
        # Cinder answers, and what was sent had time enough to arrive.
        if self._aborting:
            return self._leave('nothing was submitted')
        if self._step.posts >= volume_step.MOST_POSTS:
            return self._fail(f'Cinder was asked {self._step.posts} times and '
                              'made no backup', retry=True)
        return base.Progress(
            dataclasses.replace(self._step, state=_State.PENDING),
            engine_state=dataclasses.replace(
                self._engine_state, wait=cinder_step.Wait(self._now())))

    def _intent(self, action: cinder_action.CinderAction,
                ) -> dict[str, typing.Any]:
        """Return the record as it is before Cinder knows of the backup."""
        record = cinder_step.not_used(self._epoch(),
                                      self._dependencies.hostname)
        record.update(
            action='backup', mode=cinder_action.MODE,
            backup_media=cinder_action.MODE, backup_name=action.name,
            container=self._container(action),
            cindernative_vol_id=action.volume_id,
            cindernative_backup_az=action.availability_zone or '',
            cindernative_backup_container=self._container(action),
            cinder_backup_id='', fail_reason='')
        return record

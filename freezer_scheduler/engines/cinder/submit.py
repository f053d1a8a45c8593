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

from freezer_scheduler import documents
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import action as cinder_action
from freezer_scheduler.engines.cinder import backup as cinder_backup
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import duplicates as cinder_duplicates
from freezer_scheduler.engines.cinder import increment as cinder_increment
from freezer_scheduler.engines.cinder import step as cinder_step

LOG = logging.getLogger(__name__)

_MOST_POSTS = 3

# The API takes no report about many more records.
_MOST_CORRECTED = 100

_State = documents.StepState
_Phase = cinder_backup.Phase


class Submit(cinder_backup.BackupStep):
    """From a pending step to a submitted one."""

    def _next(self) -> base.Progress:
        phase = self._memory.phase
        if self._aborting and phase is not _Phase.RESOLVE:
            self._clear_last_try()
            return self._leave('nothing was submitted')
        try:
            if phase is _Phase.BEGIN:
                return self._begin()
            if phase is _Phase.BUSY:
                return self._busy()
            if phase is _Phase.READY:
                return self._post()
        except cinder_action.Unusable as error:
            return self._fail(str(error))
        return self._resolve()

    def _begin(self) -> base.Progress:
        """Read the action, clear up after the last try, store the intent."""
        action = self._action()
        self._clear_last_try()
        there = list(self._client.backups(action.volume_id or ''))
        made = self._oldest_promising(
            list(filter(self._of_this_step, there)))
        if made is not None:
            # A request of an earlier try came late.
            return self._submitted(made.id)
        corrected = self._clear_duplicates(there)
        full = (self._memory.full or not action.incremental
                or cinder_increment.full_is_due(there, action.full_every))
        self._step = dataclasses.replace(
            self._step, state=_State.SUBMITTING, reason=None,
            volume_id=action.volume_id,
            backup_id=self._step.backup_id or uuid.uuid4().hex,
            cinder_backup_id=None,
            started_at=self._step.started_at or self._epoch())
        return base.Progress(
            self._step, memory=dataclasses.replace(
                self._memory, phase=_Phase.READY, full=full,
                nothing_since=None, wait=cinder_step.Wait(self._now())),
            backups=corrected
            + self._record('creating', **self._intent(action)))

    def _clear_last_try(self) -> None:
        """Delete what an earlier try left in error; it is of no use."""
        failed = self._step.cinder_backup_id
        if failed is None or not self._may_write():
            return
        try:
            if self._of_this_run(self._client.backup(failed)):
                self._client.delete(failed)
        except cinder_client.CinderError as error:
            LOG.info('Run %s: backup %s of an earlier try stays: %s',
                     self._order.run_id, failed, error)

    def _clear_duplicates(self, there: list[cinder_client.CinderBackup],
                          ) -> tuple[documents.Backup, ...]:
        """Delete what requests that came late have made beside others.

        :param there: the volume's backups; what is deleted is taken out
        :returns: what is to be told of records, where they are this job's
        """
        corrected: list[documents.Backup] = []
        for found in list(cinder_duplicates.among(there)):
            if len(corrected) == _MOST_CORRECTED:
                break
            gone = cinder_duplicates.delete(
                found, self._client, self._order.run_id,
                lambda _: self._may_write())
            there[:] = [backup for backup in there if backup not in gone]
            record = cinder_backup.record_of(found.kept)
            if gone and record is not None and found.kept.metadata.get(
                    'freezer_job_id') == self._order.job_id:
                corrected.append(documents.Backup(
                    record, 'available',
                    {'cinder_backup_id': found.kept.id}))
        return tuple(corrected)

    def _busy(self) -> base.Progress:
        """Wait until Cinder is done with the volume.

        It may have been busy with what an earlier request of this try made.
        """
        status = self._client.volume_status(self._step.volume_id or '')
        if status not in cinder_step.BUSY:
            made = self._oldest_promising(self._made())
            if made is not None:
                return self._submitted(made.id)
            return base.Progress(
                dataclasses.replace(self._step, state=_State.SUBMITTING,
                                    reason=None),
                memory=dataclasses.replace(self._memory, phase=_Phase.READY))
        waited = self._waited(self._memory.wait)
        if waited > self._limits.busy_timeout:
            return self._fail(f'the volume stayed {status} for '
                              f'{waited:.0f} seconds', retry=True)
        return self._again()

    def _post(self) -> base.Progress:
        """Ask Cinder for the backup. The intent is stored by now."""
        with self._tools.requests.alone(self._step.volume_id or '') as alone:
            return self._request() if alone else self._again()

    def _request(self) -> base.Progress:
        action = self._action()
        self._client.login()
        if not self._may_write():
            return self._again()
        self._memory = dataclasses.replace(
            self._memory, posts=self._memory.posts + 1)
        new = cinder_client.NewBackup(
            volume_id=self._step.volume_id or '', name=action.name,
            container=action.container,
            availability_zone=action.availability_zone,
            incremental=action.incremental and not self._memory.full,
            metadata=self._marks())
        try:
            return self._submitted(self._client.create(new))
        except cinder_client.Refused as error:
            refused = error
        except cinder_client.Unknown as error:
            refused, unknown = None, error
        if refused is not None:
            return self._refused(action, refused)
        LOG.warning('Run %s: %s to the request for a backup of volume %s; '
                    'looking for it', self._order.run_id, unknown,
                    self._step.volume_id)
        return self._again(phase=_Phase.RESOLVE,
                           wait=cinder_step.Wait(self._now(), after=1))

    def _refused(self, action: cinder_action.CinderAction,
                 error: cinder_client.Refused) -> base.Progress:
        """Cinder said no. That is certain, so that asking again is safe."""
        if error.status == 404:
            return self._fail(f'{error}: the volume is not there')
        if error.status != 400:
            return self._fail(str(error), retry=error.status != 406)
        status = self._client.volume_status(self._step.volume_id or '')
        if status in cinder_step.BUSY:
            self._step = dataclasses.replace(
                self._step, state=_State.PENDING,
                reason=f'waits: the volume is {status}')
            return self._again(phase=_Phase.BUSY)
        if action.incremental and not self._memory.full:
            LOG.info('Run %s: no incremental backup of volume %s (%s); '
                     'making a full one', self._order.run_id,
                     self._step.volume_id, error)
            return self._again(full=True)
        return self._fail(str(error), retry=True)

    def _submitted(self, cinder_id: str) -> base.Progress:
        self._step = dataclasses.replace(
            self._step, state=_State.SUBMITTED, cinder_backup_id=cinder_id)
        LOG.info('Run %s: Cinder makes backup %s of volume %s (project %s, '
                 'job %s)', self._order.run_id, cinder_id,
                 self._step.volume_id, self._order.project_id,
                 self._order.job_id)
        wait = cinder_step.Wait(self._now())
        return base.Progress(
            self._step, after=wait.after, memory=dataclasses.replace(
                self._memory, phase=_Phase.FOLLOW, wait=wait),
            backups=self._record('creating', cinder_backup_id=cinder_id))

    def _resolve(self) -> base.Progress:
        """Find out what became of a POST."""
        if self._too_long(self._memory.wait):
            return self._give_up('Cinder did not show in time what it did',
                                 retry=False)
        made = self._oldest_promising(self._made())
        if made is not None:
            return self._submitted(made.id)
        nothing_since = self._memory.nothing_since
        if nothing_since is None:
            return self._again(nothing_since=self._now())
        if self._now() - nothing_since < self._limits.settle:
            return self._again()
        # Cinder answers, and what was sent had time enough to arrive.
        if self._aborting:
            return self._leave('nothing was submitted')
        if self._memory.posts >= _MOST_POSTS:
            return self._fail(
                f'Cinder was asked {self._memory.posts} times and made no '
                f'backup', retry=True)
        return base.Progress(
            dataclasses.replace(self._step, state=_State.PENDING),
            memory=dataclasses.replace(self._memory, phase=_Phase.BEGIN,
                                       wait=cinder_step.Wait(self._now())))

    def _intent(self, action: cinder_action.CinderAction,
                ) -> dict[str, typing.Any]:
        """Return the record as it is before Cinder knows of the backup."""
        record = cinder_step.not_used(self._epoch(), self._tools.hostname)
        record.update(
            action='backup', mode=cinder_action.MODE,
            backup_media=cinder_action.MODE, backup_name=action.name,
            container=action.container,
            cindernative_vol_id=action.volume_id,
            cindernative_backup_az=action.availability_zone or '',
            cindernative_backup_container=action.container,
            cinder_backup_id='', fail_reason='')
        return record

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

"""One cinder-native restore, into the volume itself.

A restore leaves no mark of its run in Cinder. So where nobody knows whether
one was begun, it is looked for as long as it could still arrive, and then the
action fails and says so: to begin another one is the user's decision.
"""

from __future__ import annotations

import dataclasses

from oslo_log import log as logging

from freezer_scheduler import documents
from freezer_scheduler.engines import base
from freezer_scheduler.engines import cinder_action
from freezer_scheduler.engines import cinder_client
from freezer_scheduler.engines import cinder_step

LOG = logging.getLogger(__name__)

_State = documents.StepState
_RESTORING = 'restoring-backup'


@dataclasses.dataclass(frozen=True)
class Memory:
    """What this process knows beyond the stored step.

    :ivar ready: nothing was sent yet
    :ivar idle_since: when the volume was first seen not being restored,
        after a request whose outcome is not known
    :ivar away: whether Keystone or Cinder could not be reached last time
    """

    wait: cinder_step.Wait
    ready: bool = False
    idle_since: float | None = None
    away: bool = False


class CinderRestoreStep(cinder_step.CinderStep):
    """One call about a restore."""

    def go_on(self, aborting: bool) -> base.Progress:
        """Do the next thing, towards the end of the restore."""
        memory = self._order.memory
        if not isinstance(memory, Memory):
            memory = Memory(cinder_step.Wait(self._now()))
        state = self._step.state
        if aborting and (state is _State.PENDING or memory.ready):
            return self._end(_State.ABORTED,
                             'aborted: nothing was restored')
        try:
            if state is _State.PENDING:
                return self._begin(memory)
            if memory.ready:
                return self._post(memory)
            if state is _State.SUBMITTING:
                return self._resolve(memory)
            return self._follow(memory, aborting)
        except cinder_action.Unusable as error:
            return self._end(_State.FAIL, str(error))
        except (cinder_client.NotSent, cinder_client.Unknown) as error:
            away = str(error)
        except cinder_client.CinderError as error:
            return self._end(_State.FAIL, f'{error}{self._unknown_end()}')
        if self._over(memory):
            return self._end(_State.FAIL, f'{away}{self._unknown_end()}')
        if not memory.away:
            LOG.warning('Run %s: %s; trying again', self._order.run_id, away)
        return self._again(dataclasses.replace(memory, away=True))

    def _begin(self, memory: Memory) -> base.Progress:
        """Choose the backup, look at the volume, store the intent."""
        action = self._action()
        backup = self._choose(action)
        volume_id = action.volume_id or backup.volume_id
        status = self._client.volume_status(volume_id)
        if status != 'available':
            return self._end(
                _State.FAIL, f'the volume is {status}: it must be available '
                '(detached) to be restored into')
        step = dataclasses.replace(
            self._step, state=_State.SUBMITTING, reason=None,
            volume_id=volume_id, backup_id=None, cinder_backup_id=backup.id,
            started_at=self._step.started_at or self._epoch())
        return base.Progress(step, memory=dataclasses.replace(
            memory, ready=True))

    def _choose(self, action: cinder_action.CinderAction,
                ) -> cinder_client.CinderBackup:
        if action.backup_id is not None:
            backup = self._client.backup(action.backup_id)
            if backup.status != 'available':
                raise cinder_action.Unusable(
                    f'cindernative_backup_id: the backup is {backup.status}')
            return backup
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

    def _post(self, memory: Memory) -> base.Progress:
        self._client.login()
        if not self._may_write():
            return self._again(memory)
        step = self._step
        try:
            self._client.restore(step.cinder_backup_id or '',
                                 step.volume_id or '')
        except cinder_client.Unknown:
            return base.Progress(step, after=1, memory=Memory(
                cinder_step.Wait(self._now(), after=1)))
        except cinder_client.Refused as error:
            # Busy volumes and quotas pass; that is what retries are for.
            return self._end(_State.FAIL, str(error),
                             retry=error.status not in (404, 406))
        return self._submitted()

    def _submitted(self) -> base.Progress:
        step = self._step
        LOG.info('Run %s: Cinder restores backup %s into volume %s (project '
                 '%s, job %s)', self._order.run_id, step.cinder_backup_id,
                 step.volume_id, self._order.project_id, self._order.job_id)
        return base.Progress(
            dataclasses.replace(step, state=_State.SUBMITTED), after=1,
            memory=Memory(cinder_step.Wait(self._now())))

    def _resolve(self, memory: Memory) -> base.Progress:
        """Find out whether Cinder began to restore."""
        status = self._client.volume_status(self._step.volume_id or '')
        if status == _RESTORING:
            return self._submitted()
        now = self._now()
        if memory.idle_since is None:
            return self._again(dataclasses.replace(memory, idle_since=now))
        if now - memory.idle_since < self._limits.settle:
            return self._again(memory)
        return self._end(
            _State.FAIL, f'whether backup {self._step.cinder_backup_id} was '
            f'restored is not known; the volume is {status}')

    def _follow(self, memory: Memory, aborting: bool) -> base.Progress:
        step = self._step
        status = self._client.volume_status(step.volume_id or '')
        if status == _RESTORING:
            if self._too_long(memory.wait):
                return self._end(
                    _State.FAIL, 'the volume is still being restored after '
                    f'{self._limits.backup_timeout:.0f} seconds')
            return self._again(memory)
        if status.startswith('error'):
            return self._end(
                _State.FAIL, f'restoring backup {step.cinder_backup_id} left '
                f'the volume in status {status}', retry=False)
        backup = self._client.backup(step.cinder_backup_id or '')
        if backup.status == 'restoring':
            return self._again(memory)
        if aborting:
            return self._end(
                _State.ABORTED, 'aborted: Cinder does not stop a restore; '
                f'it ended and the volume is {status}')
        return self._end(_State.SUCCESS, None)

    def _over(self, memory: Memory) -> bool:
        if self._step.state is _State.PENDING or memory.ready:
            return self._waited(memory.wait) > self._limits.busy_timeout
        return self._too_long(memory.wait)

    def _unknown_end(self) -> str:
        if self._step.state is _State.SUBMITTED:
            return '; how the restore ended is not known'
        return ''

    def _end(self, state: _State, reason: str | None,
             retry: bool = False) -> base.Progress:
        return base.Progress(self._ended(state, reason), retry=retry)

    def _again(self, memory: Memory) -> base.Progress:
        wait = memory.wait
        return base.Progress(
            self._step, after=wait.after, memory=dataclasses.replace(
                memory, wait=wait.longer(self._limits.poll_interval)))

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

"""One cinder-native restore, into the volume itself or into a new one.

A restore leaves no mark of its run in Cinder. So where nobody knows whether
one into the volume itself was begun, it is looked for as long as it could
still arrive, and then the action fails and says so: to begin another one is
the user's decision. A new volume does bear marks, and nobody else uses it; to
restore into it again does no harm.
"""

from __future__ import annotations

import dataclasses

from oslo_log import log as logging

from freezer_api.domain import cinder_action
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import step as cinder_step
from freezer_scheduler.engines.cinder import volume_step
from freezer_scheduler.freezer import messages

LOG = logging.getLogger(__name__)

_State = messages.StepState
_RESTORING = 'restoring-backup'
_BUSY_BACKUP = frozenset(('creating', 'restoring'))


@dataclasses.dataclass(frozen=True)
class EngineState(volume_step.EngineState):
    """What this process knows beyond the stored step.

    :ivar idle_since: when a request whose outcome is not known was first
        seen to have done nothing
    """

    idle_since: float | None = None


class CinderRestoreStep(volume_step.VolumeStep):
    """One call about a restore into the volume itself."""

    _known = EngineState
    _engine_state: EngineState

    def _next(self) -> base.Progress:
        state = self._step.state
        if self._aborting and (state is _State.PENDING
                               or self._engine_state.ready):
            return self._leave()
        if state is _State.PENDING:
            return self._begin()
        if state is _State.SUBMITTED:
            return self._follow()
        if self._engine_state.ready:
            return self._ask()
        return self._resolve()

    def _leave(self) -> base.Progress:
        return self._end(_State.ABORTED, 'aborted: nothing was restored')

    # -- the beginning --

    def _begin(self) -> base.Progress:
        """Choose the backup, look at the volume, store the intent."""
        action = self._action()
        backup = self._choose(action)
        if backup.status in _BUSY_BACKUP:
            return self._busy(f'backup {backup.id} is {backup.status}')
        if backup.status != 'available':
            raise cinder_action.Unusable(
                f'cindernative_backup_id: the backup is {backup.status}')
        volume_id = self._target(action, backup)
        if volume_id is not None:
            status = self._client.volume_status(volume_id)
            if status in cinder_step.BUSY:
                return self._busy(f'the volume is {status}')
            if status != 'available':
                return self._end(
                    _State.FAIL, f'the volume is {status}: it must be '
                    'available (detached) to be restored into')
        self._step = dataclasses.replace(
            self._step, state=_State.SUBMITTING, reason=None,
            volume_id=volume_id, new_volume=volume_id is None, posts=1,
            backup_id=None, cinder_backup_id=backup.id,
            started_at=self._step.started_at or self._epoch())
        return base.Progress(self._step, engine_state=EngineState(
            cinder_step.Wait(self._now()), ready=True))

    def _target(self, action: cinder_action.CinderAction,
                backup: cinder_client.CinderBackup) -> str | None:
        return action.volume_id or backup.volume_id

    def _choose(self, action: cinder_action.CinderAction,
                ) -> cinder_client.CinderBackup:
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
        waited = self._waited(self._engine_state.wait)
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
        step = self._step
        refused = None
        try:
            self._client.restore(step.cinder_backup_id or '',
                                 step.volume_id or '')
        except cinder_client.Unknown:
            return self._resolve_soon()
        except cinder_client.Refused as error:
            refused = error
        return self._submitted() if refused is None else self._refused(
            refused)

    def _resolve_soon(self) -> base.Progress:
        return self._again(ready=False, idle_since=None,
                           wait=cinder_step.Wait(self._now(), after=1))

    def _refused(self, error: cinder_client.Refused) -> base.Progress:
        """Cinder said no. That is certain, so that asking again is safe."""
        if error.status == 400:
            status = self._client.volume_status(self._step.volume_id or '')
            if status in cinder_step.BUSY:
                return self._busy(f'the volume is {status}')
        return self._end(_State.FAIL, str(error),
                         retry=error.status not in (404, 406))

    def _submitted(self) -> base.Progress:
        step = self._step
        LOG.info(
            'Run %s: Cinder restores backup %s into volume %s (project '
            '%s, job %s)', self._context.run_id, step.cinder_backup_id,
            step.volume_id, self._context.project_id, self._context.job_id)
        return base.Progress(
            dataclasses.replace(step, state=_State.SUBMITTED), after=1,
            engine_state=EngineState(cinder_step.Wait(self._now())))

    def _resolve(self) -> base.Progress:
        """Find out whether Cinder began to restore."""
        status = self._client.volume_status(self._step.volume_id or '')
        if status == _RESTORING:
            return self._submitted()
        if not self._settled():
            return self._again()
        return self._end(
            _State.FAIL, f'whether backup {self._step.cinder_backup_id} was '
            f'restored is not known; the volume is {status}')

    def _settled(self) -> bool:
        """Whether a request that did nothing so far will never do it."""
        now = self._now()
        if self._engine_state.idle_since is None:
            self._engine_state = dataclasses.replace(self._engine_state,
                                                     idle_since=now)
        return now - (self._engine_state.idle_since
                      or now) >= self._limits.settle

    # -- the restore --

    def _follow(self) -> base.Progress:
        step = self._step
        status = self._client.volume_status(step.volume_id or '')
        if status == _RESTORING:
            if self._too_long(self._engine_state.wait):
                return self._end(
                    _State.FAIL, 'the volume is still being restored after '
                    f'{self._limits.backup_timeout:.0f} seconds')
            return self._again()
        if status.startswith('error'):
            waited = self._waited(self._engine_state.wait)
            return self._end(
                _State.FAIL, f'restoring backup {step.cinder_backup_id}'
                f'{self._where()} left the volume in status {status} after '
                f'{waited:.0f} seconds; Cinder tells the reason only in the '
                f'log of cinder-backup: ask the operator')
        backup = self._client.backup(step.cinder_backup_id or '')
        if backup.status == 'restoring':
            return self._again()
        return self._done(status)

    def _where(self) -> str:
        """Return where the backup is that could not be restored.

        Cinder gives no reason. Its Ceph driver restores from one pool only.
        """
        try:
            backup = self._client.backup(self._step.cinder_backup_id or '')
        except cinder_client.Refused:
            return ''
        return f' (in container {backup.container})' if (
            backup.container) else ''

    def _done(self, status: str) -> base.Progress:
        if self._aborting:
            return self._end(
                _State.ABORTED, 'aborted: Cinder does not stop a restore; '
                f'it ended and the volume is {status}')
        return self._end(_State.SUCCESS, None)

    def _give_up(self, reason: str, retry: bool) -> base.Progress:
        """Fail for good: whoever tries again restores a second time."""
        if self._step.state is _State.SUBMITTED:
            reason += '; how the restore ended is not known'
        return self._end(_State.FAIL, reason)

    def _end(self, state: _State, reason: str | None,
             retry: bool = False) -> base.Progress:
        return base.Progress(self._ended(state, reason), retry=retry)

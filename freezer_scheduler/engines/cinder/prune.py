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

"""Removing old backups of a volume, one after the other.

Before each deletion, the next backup is chosen anew, from what Cinder lists
then. The choice is stored before Cinder is asked to delete the backup, so that
its record goes with it after a crash too. A second request for the deletion
does no harm.

A backup that Cinder does not delete stays, and what it depends on; the others
go on. The next run tries it again.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import typing

from oslo_log import log as logging

from freezer_api.domain import cinder_action
from freezer_api.domain import cinder_keys
from freezer_api.domain import retention
from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import backup as cinder_backup
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import deleted_volumes
from freezer_scheduler.engines.cinder import failed_backups
from freezer_scheduler.engines.cinder import increment as cinder_increment
from freezer_scheduler.engines.cinder import operation
from freezer_scheduler.engines.cinder import views
from freezer_scheduler.freezer import messages

LOG = logging.getLogger(__name__)

# How often Cinder is asked to delete a backup whose status does not change.
_MOST_REQUESTS = 3

# Backups whose reason to stay is told.
_TOLD = 3

_State = messages.StepState


@dataclasses.dataclass(frozen=True)
class EngineState(operation.EngineState):
    """The state of the deletion of one backup, and known facts.

    After a reclaim, the new holder finds out all of it again.

    :ivar sent: whether Cinder accepted the deletion
    :ivar asked: number of requests for it with an unknown outcome
    :ivar trouble: the last of these outcomes
    :ivar gone_at: when the last backup was found gone
    :ivar refused: why Cinder does not delete a backup, by its id
    :ivar marks: the jobs, by the marks of their backups, that the API was
        asked about
    :ivar gone_marks: those of them that are gone
    :ivar kept: chains of the action's volume that the rule names and that stay
    :ivar volumes: deleted volumes, of which the first is the current one; None
        until the action's own volume is done
    """

    sent: bool = False
    asked: int = 0
    trouble: str = ''
    gone_at: float | None = None
    refused: Mapping[str, str] = dataclasses.field(default_factory=dict)
    marks: frozenset[str] = frozenset()
    gone_marks: frozenset[str] = frozenset()
    kept: tuple[retention.Kept, ...] = ()
    volumes: tuple[str, ...] | None = None


class Prune(operation.Operation):
    """One call about the old backups of a volume.

    They are removed by an action of their own, or after a backup. That backup
    is good already: it has succeeded, whatever happens to the old ones.
    """

    _known = EngineState
    _engine_state: EngineState

    def _over(self) -> bool:
        if self._engine_state.sent:
            return self._too_long
        return self._waited > self._limits.busy_timeout

    def _next(self) -> base.Progress:
        if self._aborting and (self._step.removing is None
                               or self._engine_state.ready):
            return self._end(_State.ABORTED, 'aborted')
        if self._step.state is _State.PENDING:
            return self._begin()
        if self._step.removing is None:
            return self._choose()
        if self._engine_state.ready:
            return self._delete()
        return self._look()

    def _begin(self) -> base.Progress:
        """Begin an action that only removes; an earlier try may be a backup.
        """
        return base.Progress(dataclasses.replace(
            self._step, state=_State.PRUNING, reason=None,
            backup_id=None, cinder_backup_id=None,
            volume_id=self._step.volume_id or self._action().volume_id,
            started_at=self._step.started_at or self._epoch()))

    @property
    def _made(self) -> bool:
        """Whether this comes after a backup that is good."""
        return (self._step.action == cinder_keys.BACKUP
                and not self._step.volume_deleted)

    @property
    def _deleted_volume(self) -> str | None:
        """The deleted volume whose backups are removed now."""
        return next(iter(self._engine_state.volumes or ()), None)

    @property
    def _volume_id(self) -> str:
        return self._deleted_volume or self._step.volume_id or ''

    # -- the choice --

    def _choose(self) -> base.Progress:
        """Choose the next backup, and store the intent to delete it."""
        removal, due = self._action().removal, self._due()
        backups = list(self._client.backups(self._volume_id))
        scope = retention.Scope(
            frozenset() if removal.whole_volume else self._living(backups),
            self._engine_state.refused.keys(),
            None if self._deleted_volume else self._step.cinder_backup_id,
            now=due)
        rule = removal.rule(due, self._context.zone)
        if self._is_deleted(removal):
            rule = retention.of_deleted(
                rule, backups, removal.keep_deleted_days, due, scope,
                removal.freezer_only)
        plan = retention.Plan[views.Backup]()
        if rule is not None:
            plan = self._plan(backups, rule, scope)
        if plan.deletions:
            old = plan.deletions[0]
            record = cinder_backup.record_of(old)
            self._step = dataclasses.replace(
                self._step, removing=old.id, removing_record=(
                    None if record == self._step.backup_id else record))
            stays = (failed_backups.released(self._client, old, backups)
                     if old.status == 'error' else None)
            if stays is not None:
                return self._skip(stays)
            return self._go(ready=True)
        gone_at = self._engine_state.gone_at
        if (gone_at is not None and any(one.unclear for one in plan.kept)
                and self._now() - gone_at < self._limits.settle):
            # Cinder deletes a backup first, and then subtracts it from the
            # count of its parent.
            return self._again()
        return self._another_volume(plan.kept)

    def _living(self, backups: list[views.Backup]) -> frozenset[str]:
        """Return the marks of other jobs that may exist.

        The API is asked about each mark once.
        """
        marks = retention.other_marks(backups, self._context.job_id)
        new = marks - self._engine_state.marks
        if new:
            self._engine_state = dataclasses.replace(
                self._engine_state, marks=self._engine_state.marks | new,
                gone_marks=self._engine_state.gone_marks
                | self._gone_jobs(new))
        return marks - self._engine_state.gone_marks

    def _plan(self, backups: list[views.Backup], rule: retention.Rule,
              scope: retention.Scope) -> retention.Plan[views.Backup]:
        return retention.plan(backups, rule, scope)

    def _is_deleted(self, removal: cinder_action.Removal) -> bool:
        """Return whether the volume is deleted, if that matters."""
        made = (self._step.cinder_backup_id is not None
                and self._deleted_volume is None)
        return (removal.keep_deleted_days is not None and not made
                and self._client.volume_if_there(self._volume_id) is None)

    def _another_volume(self, kept: tuple[retention.Kept, ...],
                        ) -> base.Progress:
        """Go on with deleted volumes that the job once backed up, or end."""
        for _backup in (one for chain in kept for one in chain.failed):
            self._dependencies.old_backup(False)
        volumes = (self._engine_state.volumes or ())[1:]
        if self._engine_state.volumes is None and self._context.alone:
            volumes = deleted_volumes.Search(
                self._client, self._context, self._action().removal,
                self._due(), self._gone_jobs, deleted_volumes.FOR_ONE).find(
                    (self._volume_id,))
        # Of a deleted volume only failures are told.
        self._engine_state = dataclasses.replace(
            self._engine_state, volumes=volumes,
            kept=self._engine_state.kept + tuple(
                one for one in kept if one.failed or not self._deleted_volume))
        return self._go() if volumes else self._end(_State.SUCCESS,
                                                    self._stay())

    def _stay(self) -> str | None:
        """Return why backups stay that the rule names."""
        refused, kept = self._engine_state.refused, self._engine_state.kept
        words = [f'backup {backup_id} stays: {why}'
                 for backup_id, why in list(refused.items())[:_TOLD]]
        if len(refused) > _TOLD:
            words.append(f'{len(refused) - _TOLD} more stay')
        if kept:
            first = min(kept, key=lambda one: not one.failed)
            what = ('all stay' if first.first is None
                    else f'the chain of backup {first.first} stays')
            more = f', and {len(kept) - 1} more' if len(kept) > 1 else ''
            words.append(f'{what}{more}: {first.reason}')
        return '; '.join(words) or None

    # -- its deletion --

    def _delete(self) -> base.Progress:
        """Ask Cinder for the deletion. The intent is stored by now."""
        old = self._step.removing or ''
        self._client.login()
        if not self._may_write():
            return self._again()
        LOG.info('Deletes old backup %s of volume %s', old, self._volume_id)
        try:
            self._client.delete(old)
        except cinder_client.Unknown as error:
            return self._go(asked=self._engine_state.asked + 1,
                            trouble=str(error))
        except cinder_client.Refused as error:
            status = self._status(old)
            if status is None:
                return self._gone()
            if status != 'deleting':
                return self._skip(str(error))
        return self._go(sent=True)

    def _look(self) -> base.Progress:
        """Check the result of a deletion."""
        status = self._status(self._step.removing or '')
        if status is None:
            return self._gone()
        if status == 'deleting':
            if not self._too_long:
                return self._again()
            return self._skip(
                f'it is still being deleted after '
                f'{self._limits.backup_timeout:.0f} seconds')
        if self._engine_state.sent:
            return self._skip(f'Cinder did not delete it, and it is {status} '
                              'now')
        if not self._engine_state.asked:
            # After a reclaim: perhaps nothing was asked for.
            return self._go(another=True)
        if self._waited < self._limits.settle:
            # A request may still arrive.
            return self._again()
        if self._engine_state.asked < _MOST_REQUESTS:
            return self._go(ready=True, asked=self._engine_state.asked)
        return self._skip(self._engine_state.trouble)

    def _status(self, backup_id: str) -> str | None:
        """Return a backup's status, in error with its reason; None if gone."""
        backup = self._client.backup_if_there(backup_id)
        if backup is None:
            return None
        if backup.status.startswith('error') and backup.fail_reason:
            return f'{backup.status} ({backup.fail_reason})'
        return backup.status

    def _gone(self) -> base.Progress:
        records: tuple[messages.Backup, ...] = ()
        if self._step.removing_record is not None:
            # By Cinder's id the API sees whether the record is of this
            # backup, or of another try's.
            records = (messages.Backup(
                self._step.removing_record, 'deleted',
                {'cinder_backup_id': self._step.removing}),)
        self._dependencies.old_backup(True)
        self._step = dataclasses.replace(self._step,
                                         removed=self._step.removed + 1)
        return dataclasses.replace(
            self._go(another=True, gone_at=self._now()), backups=records)

    def _skip(self, why: str) -> base.Progress:
        """Go on without a backup that Cinder does not delete."""
        old = self._step.removing or ''
        LOG.warning('Old backup %s of volume %s stays, and what it depends '
                    'on: %s', old, self._volume_id, why)
        self._dependencies.old_backup(False)
        return self._go(another=True, refused={
            **self._engine_state.refused, old: why})

    # -- going on and ends --

    def _go(self, another: bool = False, **stage: typing.Any) -> base.Progress:
        """Come to the next stage.

        :param another: whether to choose another backup then
        :param stage: of the engine state; the rest of it is about a deletion
            and begins anew, or is known for longer
        """
        if another:
            self._step = dataclasses.replace(
                self._step, removing=None, removing_record=None)
        wait = operation.Wait(self._now())
        stage = {'wait': wait, 'unavailable': False, 'ready': False,
                 'sent': False, 'asked': 0, 'trouble': '', 'gone_at': None,
                 **stage}
        return base.Progress(
            self._step, after=wait.after if stage['sent'] else 0,
            engine_state=dataclasses.replace(self._engine_state, **stage))

    def _give_up(self, reason: str, retry: bool) -> base.Progress:
        if self._made or self._step.volume_deleted:
            return self._end(_State.SUCCESS, f'old backups stay: {reason}')
        return self._end(_State.FAIL, reason, retry)

    def _end(self, state: _State, why: str | None,
             retry: bool = False) -> base.Progress:
        """End, and say what was done and what was not.

        An action that only removes says so even if there was nothing.
        """
        removed, made = self._step.removed, self._made
        words = []
        if made and state is not _State.SUCCESS:
            words.append(f'Cinder\'s backup {self._step.cinder_backup_id} is '
                         'available')
        if removed or not made or (why and state is not _State.SUCCESS):
            words.append(f'old backups removed: {removed}')
        if why:
            words.append(why)
        if state is _State.ABORTED:
            words.insert(0, words.pop())
        if self._step.reason is not None and state is _State.SUCCESS:
            # There was no volume to back up.
            state = _State.FAIL
            words.insert(0, self._step.reason)
        step = dataclasses.replace(
            self._ended(state, '; '.join(words) or None), removing=None,
            removing_record=None, removed=0)
        return base.Progress(step, retry=retry and not made)


class MakeRoom(Prune):
    """One call about old backups in the way of a new one, in a full quota.

    Its removals would come after the new backup too, so the rule holds as soon
    as that backup is good. The newest good chain is never removed.
    """

    def _plan(self, backups: list[views.Backup], rule: retention.Rule,
              scope: retention.Scope) -> retention.Plan[views.Backup]:
        action = self._action()
        full = (not action.incremental
                or self._step.full_because is not None
                or cinder_increment.full_is_due(backups, action.full_every))
        return retention.make_room(backups, rule, full, self._due(), scope)

    def _is_deleted(self, removal: cinder_action.Removal) -> bool:
        return False

    def _another_volume(self, kept: tuple[retention.Kept, ...],
                        ) -> base.Progress:
        return self._end(_State.SUCCESS, None)

    def _end(self, state: _State, why: str | None,
             retry: bool = False) -> base.Progress:
        """Go on with the backup, however much room there is now."""
        self._step = dataclasses.replace(self._step, removing=None,
                                         removing_record=None)
        if state is not _State.ABORTED:
            return base.Progress(
                dataclasses.replace(self._step, state=_State.PENDING,
                                    reason=why),
                engine_state=cinder_backup.EngineState(
                    operation.Wait(self._now()), made_room=True))
        reason = 'nothing was submitted'
        if self._step.removed:
            reason += f'; old backups removed: {self._step.removed}'
        return base.Progress(
            self._ended(state, f'aborted: {reason}'),
            backups=(messages.Backup(self._step.backup_id or '', 'deleted',
                                     {'fail_reason': reason}),))

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

"""One cinder-native backup: what its operations share.

A backup begins, stores ``submitting``, sends one POST, stores ``submitted``,
and polls Cinder until the backup has ended. The first half is in
:mod:`.submit`, the second in :mod:`.poll`; the ways to end are here.
:mod:`.failed_backups` deletes what ended in error.
"""

from __future__ import annotations

from collections.abc import Iterable
import dataclasses
import enum
import re

from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import operation
from freezer_scheduler.engines.cinder import views
from freezer_scheduler.freezer import messages

_State = messages.StepState

# Two backups with the same of these were made for one action of one run.
MARKS = ('created_by', 'freezer_run_id', 'freezer_action_id',
         'freezer_backup_id')

# A backup in restoration is as good as an available one.
USABLE = frozenset(('available', 'restoring'))
PROMISING = USABLE | {'creating'}

# The container that was asked for; empty where none was.
CONTAINER_MARK = 'freezer_container'

_RECORD = re.compile('[0-9a-f]{32}')


def record_of(backup: views.Backup) -> str | None:
    """Return the id of a backup's record.

    Users can write the metadata of a backup, so it may hold anything.
    """
    record = backup.metadata.get('freezer_backup_id')
    return (record if isinstance(record, str) and _RECORD.fullmatch(record)
            else None)


def failed_of_job(backups: Iterable[views.Backup],
                  job_id: str) -> tuple[views.Backup, ...]:
    """Return the backups that a job made and that surely failed."""
    return tuple(
        backup for backup in backups if backup.status == 'error'
        and backup.metadata.get('created_by') == 'freezer'
        and backup.metadata.get('freezer_job_id') == job_id)


class Blocked(enum.Enum):
    """What a pending step waits for."""

    VOLUME = enum.auto()
    """Cinder does something else with the volume."""
    QUOTA = enum.auto()
    """The quota is full, while Cinder still deletes backups."""


@dataclasses.dataclass(frozen=True)
class EngineState(operation.EngineState):
    """What this process knows beyond the stored step.

    :ivar blocked: what the step waits for, if it is pending
    :ivar asked: whether this process asked for the backup
    :ivar deleting: whether Cinder accepted the deletion of the backup
    :ivar full: whether a full backup is asked for
    :ivar failed: ids of failed backups to be deleted before the request
    :ivar made_room: whether old backups were removed for this one
    :ivar stay: why one of the failed backups could not be deleted
    """

    blocked: Blocked | None = None
    asked: bool = False
    deleting: bool = False
    full: bool = False
    failed: tuple[str, ...] = ()
    stay: str | None = None
    made_room: bool = False


class BackupOperation(operation.Operation):
    """One call about a backup."""

    _known = EngineState
    _engine_state: EngineState

    @property
    def _in_doubt(self) -> bool:
        """Whether it is unknown if Cinder makes a backup."""
        return (self._step.state is _State.SUBMITTING
                and not self._engine_state.ready)

    # -- ends --

    def _fail(self, reason: str, retry: bool = False) -> base.Progress:
        return base.Progress(
            self._ended(_State.FAIL, reason), retry=retry,
            backups=self._record('error', fail_reason=reason))

    def _leave(self, reason: str, left: bool = False) -> base.Progress:
        """End as aborted.

        :param left: whether something of ours may stay in Cinder
        """
        return base.Progress(
            self._ended(_State.ABORTED, f'aborted: {reason}'),
            backups=self._record('error' if left else 'deleted',
                                 fail_reason=reason))

    def _give_up(self, reason: str, retry: bool) -> base.Progress:
        """End, perhaps without knowing what Cinder did or will do.

        Then there is no other try: it could make a second backup.
        """
        unknown = ''
        if self._step.state is _State.SUBMITTED:
            unknown = (f'; what became of Cinder\'s backup '
                       f'{self._step.cinder_backup_id} is not known')
        elif self._in_doubt:
            unknown = '; whether Cinder made a backup is not known'
        if self._aborting:
            return self._leave(f'{reason}{unknown}', left=bool(unknown))
        return self._fail(f'{reason}{unknown}', retry=retry and not unknown)

    # -- marks and records --

    def _marks(self) -> dict[str, str]:
        return {**super()._marks(),
                'freezer_backup_id': self._step.backup_id or ''}

    def _made(self) -> list[views.Backup]:
        """List what Cinder has made for this action, newest first."""
        return [backup for backup in self._client.backups(self._volume_id)
                if self._has_marks(backup, *MARKS)]

    def _oldest_promising(self, made: list[views.Backup],
                          ) -> views.Backup | None:
        """Return the backup to go on with, of those made for this action.

        A backup of another try may come late, but not in error.
        """
        return next((backup for backup in reversed(made)
                     if self._has_marks(backup)
                     or backup.status in PROMISING), None)

    def _of_this_run(self, backup: views.Backup) -> bool:
        """Return whether it is ours to delete."""
        return self._has_marks(backup, 'freezer_run_id', 'freezer_action_id')

    def _record(self, status: str,
                **metadata: object) -> tuple[messages.Backup, ...]:
        """Return what the API is told of the record; nothing without one."""
        backup_id = self._step.backup_id
        if backup_id is None:
            return ()
        return (messages.Backup(backup_id, status, metadata),)

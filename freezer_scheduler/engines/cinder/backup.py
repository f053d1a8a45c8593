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

"""One cinder-native backup: what its steps share.

The way is: begin, store ``submitting``, one POST, store ``submitted``, poll
until Cinder says how it ended. The first half is in :mod:`.submit`, the second
in :mod:`.poll`; how each may end is here. What ended in error is deleted in
:mod:`.failed`.
"""

from __future__ import annotations

import dataclasses
import enum
import re
import typing

from oslo_log import log as logging

from freezer_scheduler.engines import base
from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.engines.cinder import volume_step
from freezer_scheduler.freezer import messages

LOG = logging.getLogger(__name__)

_State = messages.StepState

# Two backups with the same of these were made for one action of one run.
MARKS = ('created_by', 'freezer_run_id', 'freezer_action_id',
         'freezer_backup_id')

# While it is restored from it is as good as available.
USABLE = frozenset(('available', 'restoring'))
PROMISING = USABLE | {'creating'}

# The container that was asked for; empty where none was.
CONTAINER_MARK = 'freezer_container'

_RECORD = re.compile('[0-9a-f]{32}')


def record_of(backup: cinder_client.CinderBackup) -> str | None:
    """Return the id of a backup's record.

    Its metadata can be written by users, so it may hold anything.
    """
    record = backup.metadata.get('freezer_backup_id')
    return (record if isinstance(record, str) and _RECORD.fullmatch(record)
            else None)


class Blocked(enum.Enum):
    """What a pending step waits for."""

    VOLUME = enum.auto()
    """Cinder does something else with the volume."""
    QUOTA = enum.auto()
    """The quota is full, while Cinder still deletes backups."""


@dataclasses.dataclass(frozen=True)
class EngineState(volume_step.EngineState):
    """What this process knows beyond the stored step.

    :ivar blocked: what the step waits for, if it is pending
    :ivar asked: whether this process asked for the backup
    :ivar deleting: whether Cinder took on the deletion of the backup
    :ivar nothing_since: when a listing first showed no backup of ours
    :ivar full: whether a full backup is asked for
    :ivar failed: ids of failed backups to be deleted before the request
    :ivar made_room: whether old backups were removed for this one
    :ivar stay: why one of those could not be deleted
    """

    blocked: Blocked | None = None
    asked: bool = False
    deleting: bool = False
    nothing_since: float | None = None
    full: bool = False
    failed: tuple[str, ...] = ()
    stay: str | None = None
    made_room: bool = False


class BackupStep(volume_step.VolumeStep):
    """One call about a backup."""

    _known = EngineState
    _engine_state: EngineState

    @property
    def _in_doubt(self) -> bool:
        """Whether nobody knows if Cinder makes a backup."""
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
        """End without knowing, perhaps, what Cinder did or will do.

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
        """Return what is written on a backup in Cinder to find it by."""
        step = self._step
        return {
            'created_by': 'freezer', 'freezer_run_id': self._context.run_id,
            'freezer_job_id': self._context.job_id, 'freezer_action_id':
                step.action_id,
            'freezer_step': f'{step.position}.{step.tries}',
            'freezer_backup_id': step.backup_id or ''
        }

    def _of_this_try(self, backup: cinder_client.CinderBackup) -> bool:
        return all(backup.metadata.get(key) == value
                   for key, value in self._marks().items())

    def _made(self) -> list[cinder_client.CinderBackup]:
        """Ask Cinder what it has made for this action, newest first."""
        return [backup for backup
                in self._client.backups(self._step.volume_id or '')
                if self._of_this_step(backup)]

    def _of_this_step(self, backup: cinder_client.CinderBackup) -> bool:
        marks = self._marks()
        return all(marks[key] and backup.metadata.get(key) == marks[key]
                   for key in MARKS)

    def _oldest_promising(self, made: list[cinder_client.CinderBackup],
                          ) -> cinder_client.CinderBackup | None:
        """Return the one to go on with, of those made for this action.

        What another try made may come late, but not in error.
        """
        return next((backup for backup in reversed(made)
                     if self._of_this_try(backup)
                     or backup.status in PROMISING), None)

    def _of_this_run(self, backup: cinder_client.CinderBackup) -> bool:
        """Whether it is ours to delete."""
        marks = self._marks()
        return all(backup.metadata.get(key) == marks[key]
                   for key in ('freezer_run_id', 'freezer_action_id'))

    def _record(self, status: str,
                **metadata: typing.Any) -> tuple[messages.Backup, ...]:
        """Return what is to be told of the record; nothing without one."""
        backup_id = self._step.backup_id
        if backup_id is None:
            return ()
        return (messages.Backup(backup_id, status, metadata),)

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

"""The backup that Cinder builds an increment on, and what is known of it.

That an increment on a backup failed has to outlive the failed one, which is
deleted. So the base bears it, in its description: when Cinder is told new
metadata it replaces all of them, and a hold that a user sets at that moment
would be lost.
"""

from __future__ import annotations

from collections.abc import Iterable
import datetime

from freezer_scheduler.engines.cinder import client as cinder_client
from freezer_scheduler.freezer import messages

_MARK = 'an incremental backup on this one failed'
_BETWEEN = '; '
_CAUSE = ': '

# Cinder takes no longer one.
_LONGEST = 255

_NEVER = datetime.datetime.min.replace(tzinfo=datetime.UTC)


def of(backups: Iterable[cinder_client.CinderBackup],
       ) -> cinder_client.CinderBackup | None:
    """Return what Cinder builds an increment of a volume on.

    :param backups: of the volume
    """
    return max((backup for backup in backups
                if backup.status == 'available'),
               key=lambda backup: backup.data_at or made_at(backup),
               default=None)


def made_at(backup: cinder_client.CinderBackup) -> datetime.datetime:
    """Return when Cinder was asked for a backup."""
    return backup.created_at or _NEVER


def failure(base: cinder_client.CinderBackup) -> str | None:
    """Return why an increment on a backup failed.

    :returns: Cinder's words, empty where they are not known; None where no
        failure is written on the backup
    """
    _before, mark, cause = base.description.partition(_MARK)
    return cause.removeprefix(_CAUSE) if mark else None


def with_failure(base: cinder_client.CinderBackup,
                 cause: str | None) -> str | None:
    """Return a backup's description after an increment on it failed.

    :param cause: Cinder's words, as many as there is room for
    :returns: None where there is no room
    """
    text = base.description + (_BETWEEN if base.description else '') + _MARK
    room = _LONGEST - len(text) - len(_CAUSE)
    if cause and room > 0:
        return f'{text}{_CAUSE}{_short(cause, room)}'
    return text if len(text) <= _LONGEST else None


def _short(text: str, room: int) -> str:
    return (messages.shortened(text, max(room, 3)) or '')[:room]

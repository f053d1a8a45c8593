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

"""The text for users when the project's quota has no room for a backup."""

from __future__ import annotations

from collections.abc import Sequence

from freezer_api.domain import cinder_action
from freezer_scheduler.engines.cinder import views


def reason(refusal: str, backups: Sequence[views.Backup],
           job_id: str, removal: cinder_action.Removal,
           stay: str | None) -> str:
    """Return why the quota has no room for a backup, and what to do.

    :param refusal: Cinder's words
    :param backups: all backups of the volume
    :param job_id: of the job that asked
    :param stay: which failed backup could not be deleted, and why
    """
    own = [backup for backup in backups
           if backup.metadata.get('freezer_job_id') == job_id]
    failed = [backup for backup in own
              if backup.status in ('error', 'error_deleting')]
    told = [f'{refusal}: the quota {_which(refusal)} is full',
            f'of {len(backups)} backups of this volume {len(own)} are this '
            f'job\'s, {len(failed)} of these in error']
    if stay is not None:
        told.append(f'cannot be deleted: {stay}')
    if any(key is not None for key in (
            removal.fullbackup_rotation, removal.remove_older_than,
            removal.remove_before)):
        told.append(_removal(removal))
    return '; '.join(told)


def _which(refusal: str) -> str:
    """Return the name of the quota that Cinder speaks of."""
    said = refusal.lower()
    if 'gigabytes' in said:
        return 'backup_gigabytes'
    if 'number of backups' in said:
        return 'backups'
    return 'of the project'


def _removal(removal: cinder_action.Removal) -> str:
    number = removal.fullbackup_rotation
    what = ('old backups are' if number is None else
            f'fullbackup_rotation keeps {number} chains, and an older one is')
    if removal.prune_first:
        return ('prune_first finds nothing that may go: the newest good '
                'chain stays')
    return (f'{what} removed only after the new backup is good; raise the '
            f'quota, or set "prune_first": true')

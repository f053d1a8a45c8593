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

"""Whether a backup can be an incremental one, or is to be a full one."""

from __future__ import annotations

from collections.abc import Iterable

from freezer_scheduler.engines.cinder import backup as cinder_backup
from freezer_scheduler.engines.cinder import client as cinder_client


def full_is_due(newest_first: Iterable[cinder_client.CinderBackup],
                every: int | None) -> bool:
    """Return whether the next backup of a volume is to be a full one.

    Cinder builds an increment on the newest available backup, whoever made
    it. So each counts, and where the newest full one is of no use, there is
    to be another.

    :param newest_first: all backups of the volume, in whatever state
    :param every: of how many backups one is full; None for no more than
        the first
    """
    base = False
    increments = 0
    for backup in newest_first:
        base = base or backup.status == 'available'
        if base and every is None:
            return False
        usable = backup.status in cinder_backup.USABLE
        if every is not None and not backup.is_incremental:
            return not base or not usable or increments >= every - 1
        increments += usable
    return True

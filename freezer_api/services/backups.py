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

"""Reading and changing backup records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm

from freezer_api.db import backups
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import serializers
from freezer_api.db import usage
from freezer_api import errors
from freezer_api.schemas import budgets
from freezer_api.services import noun


class BackupService(noun.NounService[models.Backup]):
    """The backup records of projects."""

    noun = noun.Noun(
        'No backup with ID', models.Backup, backups.SEARCHED,
        backups.of_project, backups.find, serializers.shown_backup,
        serializers.backup)

    def create(self, project_id: str, user_id: str,
               metadata: Mapping[str, Any], status: str) -> str:
        """Add a backup and return its ID.

        :param metadata: validated
        :raises freezer_api.domain.quota.Exceeded: if the project has reached
            its limit
        """
        return self._quotas.write(project_id, lambda session: backups.add(
            session, project_id, user_id, metadata, status).id)

    def update(self, project_id: str, backup_id: str,
               metadata: Mapping[str, Any], status: str | None,
               ) -> dict[str, Any]:
        """Merge metadata into a backup and return its document.

        :param metadata: validated
        :param status: the new status, None to keep the stored one
        :raises freezer_api.errors.ApiError: not_found
        :raises freezer_api.schemas.InvalidDocument: if the metadata becomes
            too large
        :raises freezer_api.domain.quota.Exceeded: if the project has reached
            its limit
        """

        def work(session: orm.Session) -> dict[str, Any]:
            backup = _locked(session, project_id, backup_id)
            stored = backup.backup_metadata
            ended = status not in (None, backup.status)
            backups.update(backup, metadata, status)
            budgets.check(
                'backup_metadata', backup.backup_metadata, stored)
            counted = usage.watched(session)
            if ended and counted is not None and counted.limits is not None:
                # A legacy scheduler reports the end of a backup in this way.
                counted.limits = counted.limits.with_reserve()
            return serializers.shown_backup(backup)

        return self._quotas.write(project_id, work)

    def delete(self, project_id: str, backup_id: str) -> None:
        """Delete a record; the backup itself stays.

        :raises freezer_api.errors.ApiError: not_found
        """
        now = self._clock()
        self._database.write(lambda session: rows.delete(
            _locked(session, project_id, backup_id), now))


def _locked(session: orm.Session, project_id: str,
            backup_id: str) -> models.Backup:
    return errors.found(
        backups.find(session, project_id, backup_id, lock=True),
        f'Backup not registered with ID {backup_id}')

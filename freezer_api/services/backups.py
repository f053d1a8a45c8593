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

from collections.abc import Generator
from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm

from freezer_api.db import backups
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import search
from freezer_api.db import serializers
from freezer_api.db import usage
from freezer_api.domain import search as domain_search
from freezer_api import errors
from freezer_api.schemas import budgets
from freezer_api.services import dependencies


class BackupService:
    """The backup records of projects."""

    def __init__(self, services: dependencies.Services) -> None:
        self._database = services.database
        self._quotas = services.quotas
        self._clock = services.clock

    def list(self, project_id: str, wanted: domain_search.ListParams,
             ) -> Generator[dict[str, Any]]:
        """Yield the documents of a page of a project's backups.

        :raises freezer_api.domain.search.UnknownMarker: when none has the
            marker's id
        """
        with self._database.read() as session:
            yield from search.page(
                session, backups.of_project(project_id), models.Backup,
                backups.SEARCHED, wanted,
                lambda found: map(serializers.backup, found))

    def get(self, project_id: str, backup_id: str) -> dict[str, Any]:
        """Return the document of a backup.

        :raises freezer_api.errors.ApiError: not_found
        """
        with self._database.read() as session:
            backup = backups.find(session, project_id, backup_id)
            if backup is None:
                raise errors.ApiError(
                    'not_found', f'No backup with ID {backup_id}')
            return serializers.shown_backup(backup)

    def create(self, project_id: str, user_id: str,
               metadata: Mapping[str, Any], status: str) -> str:
        """Add a backup and return its id.

        :param metadata: checked
        :raises freezer_api.domain.quota.Exceeded: when the project may have
            no more
        """
        return self._quotas.write(project_id, lambda session: backups.add(
            session, project_id, user_id, metadata, status).id)

    def update(self, project_id: str, backup_id: str,
               metadata: Mapping[str, Any], status: str | None,
               ) -> dict[str, Any]:
        """Merge metadata into a backup and return its document.

        :param metadata: checked
        :param status: the new status, None to keep the stored one
        :raises freezer_api.errors.ApiError: not_found
        :raises freezer_api.schemas.InvalidDocument: when the metadata gets
            too large
        :raises freezer_api.domain.quota.Exceeded: when the project may store
            no more
        """

        def work(session: orm.Session) -> dict[str, Any]:
            backup = _locked(session, project_id, backup_id)
            stored = backup.backup_metadata
            ended = status not in (None, backup.status)
            backups.update(backup, metadata, status)
            budgets.BACKUP_METADATA.check(
                'backup_metadata', backup.backup_metadata, stored)
            counted = usage.watched(session)
            if ended and counted is not None and counted.limits is not None:
                # How a legacy scheduler reports that a backup is complete.
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
    backup = backups.find(session, project_id, backup_id, lock=True)
    if backup is None:
        raise errors.ApiError(
            'not_found', f'Backup not registered with ID {backup_id}')
    return backup

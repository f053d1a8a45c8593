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

"""Backups: the records of what was backed up."""

from __future__ import annotations

from typing import Any

import falcon
from sqlalchemy import orm

from freezer_api.api import answers
from freezer_api.api import errors
from freezer_api.api import request
from freezer_api.api import services
from freezer_api.db import backups
from freezer_api.db import documents
from freezer_api.db import models
from freezer_api.db import rows
from freezer_api.db import search
from freezer_api.db import usage
from freezer_api.schemas import backups as schema
from freezer_api.schemas import budgets


class Backups(services.Resource):
    """``/v2/{project_id}/backups``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str) -> None:
        self._caller(req).must('backups:get_all', project_id)
        wanted = request.wanted(req, self._conf)
        with self._database.read() as session:
            answers.show_list(req, resp, 'backups', search.page(
                session, backups.of_project(project_id), models.Backup,
                backups.SEARCHED, wanted.search, wanted.page,
                lambda found: map(documents.backup, found)),
                'backup_id')

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str) -> None:
        caller = self._caller(req)
        caller.must('backups:create', project_id)
        sent = request.body(req)
        schema.validate_create(sent)
        metadata = {key: value for key, value in sent.items()
                    if key != 'status'}
        backup = self._quotas.write(project_id, lambda session: backups.add(
            session, project_id, caller.user_id, metadata,
            sent.get('status', 'available')))
        resp.status = falcon.HTTP_201
        resp.media = {'backup_id': backup.id}


class Backup(services.Resource):
    """``/v2/{project_id}/backups/{backup_id}``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str, backup_id: str) -> None:
        self._caller(req).must('backups:get', project_id)
        with self._database.read() as session:
            backup = backups.find(session, project_id, backup_id)
            if backup is None:
                raise errors.not_found(f'No backup with ID {backup_id}')
            resp.media = documents.backup(backup)

    def on_patch(self, req: falcon.Request, resp: falcon.Response,
                 project_id: str, backup_id: str) -> None:
        self._caller(req).must('backups:update', project_id)
        sent = request.body(req)
        if sent == {}:
            raise errors.bad_request('Missing request body')
        schema.validate_update(sent)
        # Stock schedulers send the metadata flat, beside the status.
        nested = sent.get('backup_metadata')
        metadata = {key: value for key, value in sent.items() if key not in (
            'status', 'user_id', 'backup_id', 'project_id',
            'backup_metadata')} | (nested or {})

        def work(session: orm.Session) -> dict[str, Any]:
            backup = backups.find(session, project_id, backup_id, lock=True)
            if backup is None:
                raise errors.not_found(
                    f'Backup not registered with ID {backup_id}')
            stored = backup.backup_metadata
            ended = sent.get('status') not in (None, backup.status)
            backups.update(backup, metadata, sent.get('status'))
            budgets.BACKUP_METADATA.check(
                'backup_metadata', backup.backup_metadata, stored)
            counted = usage.watched(session)
            if ended and counted is not None and counted.limits is not None:
                # How a legacy scheduler reports that a backup is complete.
                counted.limits = counted.limits.with_reserve()
            return documents.backup(backup)

        resp.media = self._quotas.write(project_id, work)

    def on_delete(self, req: falcon.Request, resp: falcon.Response,
                  project_id: str, backup_id: str) -> None:
        self._caller(req).must('backups:delete', project_id)
        now = self._now()

        def work(session: orm.Session) -> None:
            backup = backups.find(session, project_id, backup_id, lock=True)
            if backup is None:
                raise errors.not_found(
                    f'Backup not registered with ID {backup_id}')
            rows.delete(backup, now)

        self._database.write(work)
        resp.status = falcon.HTTP_204

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

import falcon

from freezer_api.api import base
from freezer_api.api import params
from freezer_api.api import responses
from freezer_api import errors
from freezer_api.schemas import backups as schema
from freezer_api.services import backups
from freezer_api.services import dependencies


class _Resource(base.Resource):

    def __init__(self, services: dependencies.Services) -> None:
        super().__init__(services)
        self._backups = backups.BackupService(services)


class Backups(_Resource):
    """``/v2/{project_id}/backups``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str) -> None:
        self._caller(req).must('backups:get_all', project_id)
        wanted = params.wanted(req, self._conf)
        responses.show_list(req, resp, 'backups', self._backups.list(
            project_id, wanted), 'backup_id')

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str) -> None:
        caller = self._caller(req)
        caller.must('backups:create', project_id)
        sent = params.body(req)
        schema.validate_create(sent)
        metadata = {key: value for key, value in sent.items()
                    if key != 'status'}
        resp.media = {'backup_id': self._backups.create(
            project_id, caller.user_id, metadata,
            sent.get('status', 'available'))}
        resp.status = falcon.HTTP_201


class Backup(_Resource):
    """``/v2/{project_id}/backups/{backup_id}``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str, backup_id: str) -> None:
        self._caller(req).must('backups:get', project_id)
        resp.media = self._backups.get(project_id, backup_id)

    def on_patch(self, req: falcon.Request, resp: falcon.Response,
                 project_id: str, backup_id: str) -> None:
        self._caller(req).must('backups:update', project_id)
        sent = params.body(req)
        if sent == {}:
            raise errors.ApiError('bad_request', 'Missing request body')
        schema.validate_update(sent)
        # Stock schedulers send the metadata flat, beside the status.
        nested = sent.get('backup_metadata')
        metadata = {key: value for key, value in sent.items() if key not in (
            'status', 'user_id', 'backup_id', 'project_id',
            'backup_metadata')} | (nested or {})
        resp.media = self._backups.update(
            project_id, backup_id, metadata, sent.get('status'))

    def on_delete(self, req: falcon.Request, resp: falcon.Response,
                  project_id: str, backup_id: str) -> None:
        self._caller(req).must('backups:delete', project_id)
        self._backups.delete(project_id, backup_id)
        resp.status = falcon.HTTP_204

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

"""Backups: the records of backups."""

from __future__ import annotations

import falcon

from freezer_api.api import base
from freezer_api.api import params
from freezer_api.api import responses
from freezer_api import errors
from freezer_api.schemas import backups as schema
from freezer_api.services import backups

# Stock schedulers send the metadata beside these keys.
_NO_METADATA = {'status', 'user_id', 'backup_id', 'project_id',
                'backup_metadata'}


class Backups(base.Resource[backups.BackupService]):
    """``/v2/{project_id}/backups``"""

    service = backups.BackupService

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str) -> None:
        """List backups.

        Statuses: 200.
        """
        self._allow(req, 'backups:get_all', project_id)
        responses.show_list(req, resp, 'backups', self._service.list(
            project_id, params.list_params(req, self._conf)), 'backup_id')

    def on_post(self, req: falcon.Request, resp: falcon.Response,
                project_id: str) -> None:
        """Create the record of a backup.

        Statuses: 201.
        """
        caller = self._allow(req, 'backups:create', project_id)
        sent = params.body(req)
        schema.validate_create(sent)
        status = sent.pop('status', 'available')
        resp.media = {'backup_id': self._service.create(
            project_id, caller.user_id, sent, status)}
        resp.status = falcon.HTTP_201


class Backup(base.Resource[backups.BackupService]):
    """``/v2/{project_id}/backups/{backup_id}``"""

    service = backups.BackupService

    def on_get(self, req: falcon.Request, resp: falcon.Response,
               project_id: str, backup_id: str) -> None:
        """Show a backup.

        Statuses: 200, 404.
        """
        self._allow(req, 'backups:get', project_id)
        resp.media = self._service.get(project_id, backup_id)

    def on_patch(self, req: falcon.Request, resp: falcon.Response,
                 project_id: str, backup_id: str) -> None:
        """Update the status and the metadata of a backup.

        Statuses: 200, 404.
        """
        self._allow(req, 'backups:update', project_id)
        sent = params.body(req)
        if sent == {}:
            raise errors.ApiError('bad_request', 'Missing request body')
        schema.validate_update(sent)
        metadata = {key: value for key, value in sent.items()
                    if key not in _NO_METADATA}
        resp.media = self._service.update(
            project_id, backup_id,
            metadata | (sent.get('backup_metadata') or {}),
            sent.get('status'))

    def on_delete(self, req: falcon.Request, resp: falcon.Response,
                  project_id: str, backup_id: str) -> None:
        """Delete the record of a backup; the backup itself stays.

        Statuses: 204, 404.
        """
        self._allow(req, 'backups:delete', project_id)
        self._service.delete(project_id, backup_id)
        resp.status = falcon.HTTP_204

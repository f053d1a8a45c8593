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

from typing import Any

import hypothesis

from freezer_api.schemas import backups
from tests.unit.freezer_api.schemas import base

KEYS = ['backup_name', 'status', 'container', 'hostname', 'job_id',
        'backup_metadata', 'time_stamp']
BACKUP = {'backup_name': 'b', 'container': 'c', 'hostname': 'h'}


class TestBackups(base.SchemaTestCase):

    def test_documents_of_known_clients(self) -> None:
        backups.validate_create({
            **BACKUP, 'time_stamp': 1459349846, 'curr_backup_level': 0,
            'backup_id': 'x', 'ssh_key': None, 'job_id': 'j'})
        backups.validate_create({
            'status': 'creating', 'mode': 'cindernative', 'action': 'backup',
            'backup_media': 'cindernative', 'backup_name': 'n',
            'container': None, 'cindernative_vol_id': 'V',
            'time_stamp': 1795334914})

    def test_place_is_needed_where_there_is_a_backup(self) -> None:
        for status in ({}, {'status': 'available'}, {'status': 'deleted'}):
            backups.validate_create({**BACKUP, **status})
            for field in ('container', 'hostname'):
                for wrong in (None, '', 1):
                    self.refused(
                        backups.validate_create,
                        {**BACKUP, **status, field: wrong}, field,
                        'Bad Data Format')
                without = {**BACKUP, **status}
                del without[field]
                self.refused(backups.validate_create, without, field,
                             'Bad Data Format')
        for name in ('creating', 'error', 'deleting'):
            backups.validate_create({'backup_name': 'b', 'status': name})
            self.refused(
                backups.validate_create,
                {'backup_name': 'b', 'status': name, 'container': ''},
                'container', 'Bad Data Format')

    def test_wrong_values(self) -> None:
        for field, value in (
                ('status', 'zz'), ('status', None), ('backup_name', ''),
                ('backup_name', None), ('job_id', 'j' * 37),
                ('job_id', ['j'])):
            self.refused(backups.validate_create, {**BACKUP, field: value},
                         field, 'Bad Data Format')
        self.refused(
            backups.validate_create, {**BACKUP, 'x': 'y' * 65536},
            'backup_metadata', 'Bad Data Format')
        self.refused(backups.validate_create, None, '', 'Bad Data Format')

    def test_update(self) -> None:
        backups.validate_update({'status': 'error'})
        backups.validate_update({'backup_metadata': {'x': [1]}, 'y': None})
        self.refused(backups.validate_update, {}, '', 'Missing request body')
        self.refused(
            backups.validate_update, {'status': 'nope'}, 'status',
            "'nope' is not one of ['creating', 'available', 'error', "
            "'deleting', 'deleted']")
        self.refused(backups.validate_update, {'backup_metadata': None},
                     'backup_metadata')
        self.refused(
            backups.validate_update, {'backup_metadata': {'job_id': 5}},
            'backup_metadata.job_id')
        self.refused(
            backups.validate_update,
            {'backup_metadata': {'x': 'y' * 65536}}, 'backup_metadata')

    @hypothesis.given(base.documents_of(KEYS))
    def test_any_json(self, document: Any) -> None:
        self.only_invalid_document(backups.validate_create, document)
        self.only_invalid_document(backups.validate_update, document)

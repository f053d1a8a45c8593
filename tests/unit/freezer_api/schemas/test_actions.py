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

from freezer_api.schemas import actions
from tests.unit.freezer_api.schemas import base

KEYS = ['freezer_action', 'action_id', 'max_retries', 'mandatory', 'action',
        'max_retries_interval', 'mode', 'backup_name', 'timeout', 'log_file']


class TestActions(base.SchemaTestCase):

    def test_document_of_the_test_plugin(self) -> None:
        actions.validate_create({
            'freezer_action': {
                'action': 'backup', 'mode': 'fs', 'backup_name': 'b',
                'path_to_backup': '/x', 'container': 'c', 'priority': 2,
                'no_incremental': True, 'hostname': False,
                'max_backup_level': 1, 'always_backup_level': 0,
                'max_cpu_priority': False, 'log_file': '/tmp/log',
                'timeout': None},
            'max_retries': 2, 'max_retries_interval': 60, 'mandatory': True,
            'user_id': 'u', 'exit_status': 'success'})

    def test_what_is_required(self) -> None:
        self.refused(actions.validate_create, {}, 'freezer_action',
                     "'freezer_action' is a required property")
        self.refused(actions.validate_create, {'freezer_action': {}},
                     'freezer_action.action',
                     "'action' is a required property")
        actions.validate_update({})
        actions.validate_update({'freezer_action': {}})

    def test_update_of_a_part(self) -> None:
        actions.validate_update({'freezer_action': {'backup_name': 'n'}})
        actions.validate_update(
            {'max_retries': None, 'max_retries_interval': None})

    def test_wrong_values(self) -> None:
        for field, value in (
                ('action', 'zzz'), ('action', None), ('action', ['backup']),
                ('mode', 'zzz'), ('mode', 'fs\n'), ('mode', ['fs']),
                ('backup_name', 1), ('backup_name', 'b' * 256),
                ('container', {}), ('container', 'c' * 256),
                ('path_to_backup', 'p' * 256), ('log_file', 'l' * 256),
                ('log_file', ['x']), ('restore_abs_path', 1),
                ('cindernative_freezer_only', 'true'),
                ('timeout', 2 ** 31), ('priority', -2 ** 31 - 1)):
            document: Any = {
                'freezer_action': {'action': 'backup', field: value}}
            for validate in (actions.validate_create,
                             actions.validate_update):
                self.refused(validate, document, f'freezer_action.{field}')
        cases: list[tuple[str, Any]] = [
            ('freezer_action', None), ('freezer_action', 'backup'),
            ('freezer_action', []), ('action_id', 'a b'),
            ('action_id', 'a' * 37), ('action_id', 1),
            ('max_retries', -1), ('max_retries', '5'),
            ('max_retries', 2 ** 31), ('max_retries_interval', 1.0),
            ('mandatory', 'yes')]
        for field, value in cases:
            self.refused(actions.validate_update, {field: value}, field)

    def test_what_does_not_fit_its_column(self) -> None:
        self.refused(
            actions.validate_create,
            {'freezer_action': {'action': 'backup', 'x': 'y' * 65536}},
            'freezer_action', 'freezer_action is too large')

    @hypothesis.given(base.documents_of(KEYS))
    def test_any_json(self, document: Any) -> None:
        self.only_invalid_document(actions.validate_create, document)
        self.only_invalid_document(actions.validate_update, document)

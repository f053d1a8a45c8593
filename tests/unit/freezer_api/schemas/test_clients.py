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

import time
from typing import Any

import hypothesis

from freezer_api.domain import capabilities
from freezer_api import schemas
from freezer_api.schemas import clients
from tests.unit.freezer_api.schemas import base

KEYS = ['client_id', 'hostname', 'description', 'uuid', 'supported_actions',
        'supported_modes', 'supported_storages', 'supported_engines',
        'is_central', 'claims', 'project_id']


class TestClients(base.SchemaTestCase):

    def test_registration_of_a_stock_scheduler(self) -> None:
        clients.validate_create({
            'client_id': '4f8b_node-1.example.com', 'hostname': 'node-1',
            'supported_actions': list(capabilities.ACTIONS),
            'supported_modes': list(capabilities.MODES),
            'supported_storages': list(capabilities.STORAGES),
            'supported_engines': list(capabilities.ENGINES),
            'is_central': False})

    def test_registration_of_a_central_client(self) -> None:
        native = capabilities.CINDER_NATIVE
        clients.validate_create({
            'client_id': 'central', 'hostname': 'host', 'is_central': True,
            'claims': True, 'supported_actions': list(native.actions),
            'supported_modes': list(native.modes),
            'supported_storages': list(native.storages),
            'supported_engines': list(native.engines)})

    def test_keys_that_known_clients_add(self) -> None:
        clients.validate_create({
            'client_id': 'test-tenant_5253_test-hostname_19544',
            'hostname': 'test-hostname_19544', 'description': 'd',
            'uuid': 'u', 'config_id': 'c', 'project_id': 'p'})

    def test_client_ids(self) -> None:
        for right in ('a', 'n1', 'a.b', 'a_b_c', 'p-1_host-2.example.com',
                      'padawan-ccp-c1-m1-mgmt', '4_' + 'a' * 63):
            clients.validate_create({'client_id': right})
        for wrong in ('', 'a_', '-a', 'a-', 'a..b', '.a', 'a b', 'a\n',
                      'p_h.b_c', 'bad%project$id_host.domain.tld',
                      'u_bad_hostname.bad/domain.b', '\u00e9', 'a' * 64,
                      'a.' * 127 + 'aa', None, 5, ['a']):
            self.refused(
                clients.validate_create, {'client_id': wrong}, 'client_id')

    def test_messages(self) -> None:
        self.refused(clients.validate_create, {}, 'client_id',
                     "'client_id' is a required property")
        self.refused(clients.validate_create, {'client_id': 'bad id!'},
                     'client_id', "'bad id!' does not match ")
        self.refused(
            clients.validate_create,
            {'client_id': 'a', 'supported_actions': ['backup', 'zzz']},
            'supported_actions.1', "'zzz' is not one of ['backup', "
            "'restore', 'info', 'admin', 'exec']")

    def test_wrong_values(self) -> None:
        for field, value in (
                ('hostname', None), ('hostname', ''), ('hostname', '...'),
                ('hostname', 'a' * 129), ('hostname', 'a\nb'),
                ('description', None), ('description', 'd' * 256),
                ('uuid', 'u' * 37), ('uuid', 1), ('is_central', 'true'),
                ('is_central', 1), ('is_central', None), ('claims', 1),
                ('supported_modes', None), ('supported_modes', 'fs'),
                ('supported_modes', ['fs'] * 9)):
            self.refused(clients.validate_create,
                         {'client_id': 'a', field: value}, field)

    def test_patterns_cost_little(self) -> None:
        started = time.process_time()
        for text in ('a_' * 127, 'a.' * 127, 'a' * 255, 'a-' * 127,
                     '_' * 255, 'a_' * 100000, 'a.' * 100000 + '!'):
            for field in ('client_id', 'hostname'):
                self.only_invalid_document(
                    clients.validate_create, {'client_id': 'a', field: text})
        self.assertLess(time.process_time() - started, 2)

    @hypothesis.given(base.documents_of(KEYS))
    def test_any_json(self, document: Any) -> None:
        self.only_invalid_document(clients.validate_create, document)

    @hypothesis.given(base.json_values)
    def test_any_client_id_that_passes_fits(self, value: Any) -> None:
        try:
            clients.validate_create({'client_id': value})
        except schemas.InvalidDocument:
            return
        self.assertTrue(isinstance(value, str) and value.isascii()
                        and 0 < len(value) <= 255)

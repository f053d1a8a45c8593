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

"""The OpenAPI document says what the API does, all of it."""

from __future__ import annotations

from collections.abc import Iterator
import json
import re
from typing import Any

from falcon import inspect
import openapi_spec_validator

from freezer_api.api.openapi import operations
from freezer_api import policies
from tests.functional import base
from tools import openapi
from tools import roles


class OpenApiTests(base.ApiTestCase):

    def setUp(self) -> None:
        super().setUp()
        result = self.client.simulate_get('/v2/openapi.json')
        self.assertEqual((200, 'application/json'), (
            result.status_code, result.headers['content-type']))
        self.document: dict[str, Any] = result.json

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        for path, methods in self.document['paths'].items():
            for method, operation in methods.items():
                yield method.upper(), path, operation

    def test_it_is_openapi(self) -> None:
        openapi_spec_validator.validate(self.document)

    def test_every_route_is_in_it_and_nothing_else(self) -> None:
        routes = {(method.method, route.path)
                  for route in inspect.inspect_routes(self.app)
                  for method in route.methods if not method.internal}

        self.assertEqual(routes, {
            (method, path) for method, path, _ in self.operations()})

    def test_nothing_is_said_of_routes_that_are_not(self) -> None:
        self.assertEqual(
            {(row.method, row.path) for row in roles.ROWS},
            set(operations.OPERATIONS))

    def test_every_policy_rule_is_named(self) -> None:
        rules = {rule.name for rule in policies.list_rules()}

        self.assertEqual(rules, set(self.document['x-openstack-policies']))
        self.assertEqual(
            {name for name in rules if ':' in name},
            {name for _, _, operation in self.operations()
             for name in operation.get('x-openstack-policies', ())})

    def test_each_request_names_the_rules_that_decide(self) -> None:
        said = {(method, path): set(operation['x-openstack-policies'])
                for method, path, operation in self.operations()
                if 'x-openstack-policies' in operation}
        for row in roles.ROWS:
            self.assertIn(
                row.rule, said[row.method, f'/v2/{{project_id}}{row.path}'])

    def test_each_path_parameter_is_named(self) -> None:
        for _, path, operation in self.operations():
            self.assertEqual(re.findall(r'{(\w+)}', path), [
                parameter['name']
                for parameter in operation.get('parameters', ())
                if parameter['in'] == 'path'])

    def test_every_schema_is_used(self) -> None:
        text = json.dumps(self.document)
        self.assertEqual([], [
            name for name in self.document['components']['schemas']
            if f'"#/components/schemas/{name}"' not in text])

    def test_the_home_document_leads_to_it(self) -> None:
        home = self.call(base.MEMBER, 'GET', '/v2', status=200)

        href = home['resources']['rel/openapi']['href']
        self.assertEqual(self.document, self.call(
            base.MEMBER, 'GET', href, status=200))

    def test_the_file_of_the_reference_is_up_to_date(self) -> None:
        """``python -m tools.openapi`` writes it."""
        self.assertEqual(openapi.text(),
                         openapi.FILE.read_text(encoding='utf-8'))

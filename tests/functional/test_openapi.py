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

    def test_whoever_asks_however_gets_it_or_a_refusal(self) -> None:
        path = '/v2/openapi.json'
        people: list[dict[str, Any]] = [{}, *(
            who.environ() for who in (base.MEMBER, base.READER, base.SERVICE,
                                      base.ADMIN))]
        people += [{**people[1], 'HTTP_X_IDENTITY_STATUS': 'Invalid'},
                   {'HTTP_X_AUTH_TOKEN': 'x' * 10_000},
                   {'HTTP_X_ROLES': '\x00', 'HTTP_X_PROJECT_ID': '\xff'}]
        odd: list[tuple[str, str, dict[str, Any], bytes, set[int]]] = [
            *(('GET', query, {}, b'', {200}) for query in (
                '', 'limit=-1', 'x=%00', '%ff=%ff', '&&==', 'a' * 9_000,
                'all_projects=x')),
            *(('GET', '', {'HTTP_ACCEPT': accept}, b'', {status})
              for accept, status in (
                  ('*/*', 200), ('application/*', 200), ('', 200),
                  ('text/html', 406), ('application/json;q=0', 406),
                  ('\x00', 406), (';;,,', 406), ('q=' * 3_000, 406))),
            ('GET', '', {'HTTP_TRANSFER_ENCODING': 'chunked'}, b'', {411}),
            *(('GET', '', {}, body, {200}) for body in (
                b'{', b'\xff', b'[' * 9_000)),
            *((method, '', {}, b'{}', {405}) for method in (
                'POST', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'HEAD')),
            ('OPTIONS', '', {}, b'', {200}),
            ('NONSENSE', '', {}, b'', {400}),
        ]
        for person in people:
            for method, query, more, body, allowed in odd:
                result = self.client.simulate_request(
                    method, path, body=body,
                    headers={'Content-Length': str(len(body))} if body else {},
                    extras={**person, **more, 'QUERY_STRING': query})
                about = f'{method} {query[:50]} {more} {person}'
                self.assertIn(result.status_code, allowed, about)
                if method == 'GET' and result.status_code == 200:
                    self.assertEqual(self.document, result.json, about)
        for odd_path, status in (
                (f'{path}/', 200), (f'{path}/x', 404), ('/v2/openapi', 404),
                ('/V2/openapi.json', 404), ('/v2//openapi.json', 404)):
            self.assertIn(self.client.simulate_get(odd_path).status_code,
                          {status, 401}, odd_path)

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

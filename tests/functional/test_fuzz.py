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

"""Thousands of requests, each wrong in one way, on each engine."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from typing import Any

import hypothesis
from hypothesis import strategies as st

from freezer_api.api.openapi import operations
from freezer_api import schemas
from tests.functional import base
from tests.functional import fixtures
from tests.functional import fuzz


# Why a document is refused that its schema lets pass.
MEANING = re.compile(
    'schedule|carriage return|too large|job_id not found|requested tag|'
    'job_actions|release needs|not valid JSON|Missing request body')


class FieldTests(fuzz.FuzzTestCase):
    """Each field of each request, on and beyond its limits."""

    others = 3

    def test_each_field(self) -> None:
        seeds = fuzz.valid_bodies()
        others = itertools.cycle(fuzz.ANYTHING)
        for (method, path), schema in fuzz.WRITES.items():
            for seed in seeds[method, path]:
                for place, inner in fuzz.fields(schema):
                    for value in (*fuzz.limits(inner), *itertools.islice(
                            others, self.others)):
                        self.check_field(method, path, place, fuzz.changed(
                            seed, place, value))

    def check_field(self, method: str, path: str, place: fuzz.Path,
                    document: Any) -> None:
        request = fuzz.Request(method, path, fuzz.encoded(document),
                               fixtures.persona_for(method, path))
        answer = self.send(request)
        if answer.status == 400:
            self.check_names(request, answer, document, place)
            if self.fits(request):
                self.assertRegex(answer.description, MEANING,
                                 f'{method} {path} {place}')

    @staticmethod
    def fits(request: fuzz.Request) -> bool:
        """Whether a body is all that its schema asks for."""
        try:
            fuzz.CHECKS[request.method, request.path](
                json.loads(request.body or b''))
        except schemas.InvalidDocument:
            return False
        return True


class FieldTestsMySQL(base.MySQL, FieldTests):
    others = 1


class FieldTestsPostgreSQL(base.PostgreSQL, FieldTests):
    others = 1


class RequestTestCase(fuzz.FuzzTestCase):
    """Sends each route its sample, with something else that is odd."""

    def setUp(self) -> None:
        super().setUp()
        self.seeds = fuzz.valid_bodies()

    def routes(self) -> list[tuple[str, str]]:
        return sorted(operations.OPERATIONS)

    def request(self, method: str, path: str, **more: Any) -> fuzz.Request:
        bodies = self.seeds[method, path]
        return dataclasses.replace(fuzz.Request(
            method, path, fuzz.encoded(bodies[0]) if bodies else None,
            fixtures.persona_for(method, path)), **more)


class UrlTests(RequestTestCase):
    """Ids and queries, of which each engine has its own opinion."""

    ids = ('%00', '\0', 'a\0b', '\ud800', '\udcff', '\U0001f600', ' ', '.',
           "'", '\\', '\u0660', 'x' * 37, 'x' * 256, 'x' * 5000)

    queries = (
        'limit=-1', 'limit=x', 'limit=', 'limit=1.0', 'limit=2147483648',
        'limit=99999999999999999999', 'limit=%00', 'limit=1&limit=-2',
        'limit=%D9%A1', 'limit=1_0', 'limit=+1', f'limit={"9" * 5000}',
        'offset=-1', 'offset=2147483647', 'offset=2147483648', 'offset=NaN',
        'marker=', 'marker=nope', 'marker=%00', 'marker=%ED%A0%80',
        'marker=%FF', 'marker=%F0%9F%98%80', f'marker={"x" * 5000}',
        'marker=a&marker=b', 'all_projects=maybe', 'all_projects=',
        'all_projects=TRUE', 'all_projects=%00', '&&&', '=', '%', '%%%',
        'a=b;c=d', '\xff', 'x' * 10_000)

    def test_ids(self) -> None:
        for method, path in self.routes():
            for name in fixtures.IDS:
                if f'{{{name}}}' not in path:
                    continue
                for text in self.ids:
                    answer = self.send(self.request(
                        method, path, ids={name: text}))
                    if answer.status == 400:
                        self.assertIn(name, answer.description, path)

    def test_queries(self) -> None:
        for method, path in self.routes():
            if method != 'GET':
                continue
            for query in self.queries:
                answer = self.send(fuzz.Request(method, path, query=query))
                if answer.status == 400:
                    self.assertIn(query.partition('=')[0],
                                  answer.description, query)


class UrlTestsMySQL(base.MySQL, UrlTests):
    pass


class UrlTestsPostgreSQL(base.PostgreSQL, UrlTests):
    pass


class TransportTests(RequestTestCase):
    """What is odd before the database has a say."""

    def test_bodies(self) -> None:
        for method, path in self.routes():
            if operations.OPERATIONS[method, path].request is None:
                continue
            for body in BODIES:
                self.send(self.request(method, path, body=body))

    def test_personas(self) -> None:
        for method, path in self.routes():
            for persona in fuzz.PERSONAS:
                answer = self.send(self.request(
                    method, path, persona=persona))
                if persona is fuzz.NOBODY:
                    self.assertEqual(401, answer.status, path)

    def test_headers(self) -> None:
        for method, path in self.routes():
            for name, value in HEADERS:
                self.send(self.request(method, path, headers={name: value}))

    def test_methods(self) -> None:
        for path in sorted({path for _, path in operations.OPERATIONS}):
            url = fuzz.Request('GET', path).url
            for method in ('HEAD', 'TRACE', 'PUT', 'DELETE', 'OPTIONS',
                           'PATCH', 'POST', 'GET'):
                if (method, path) in operations.OPERATIONS:
                    continue
                result = self.client.simulate_request(
                    method, url, extras=fixtures.MEMBER.environ())
                self.assertEqual(200 if method == 'OPTIONS' else 405,
                                 result.status_code, f'{method} {path}')
                self.assertEqual([], self.snapshot.changes())


class MutationTests(RequestTestCase):
    """Any request, with anything anywhere in its body."""

    def test_any_mutation(self) -> None:
        samples = [(*route, body) for route, bodies in sorted(
            self.seeds.items()) for body in bodies]
        samples += [(method, path, fixtures.sample('search-request'))
                    for method, path in self.routes()
                    if method == 'GET'
                    and operations.OPERATIONS[method, path].request]

        @hypothesis.settings(
            derandomize=True, database=None, deadline=None,
            max_examples=self.examples,
            suppress_health_check=list(hypothesis.HealthCheck))
        @hypothesis.given(st.data())
        def check(data: st.DataObject) -> None:
            method, path, body = data.draw(st.sampled_from(samples))
            place = data.draw(st.sampled_from(list(fuzz.places(body))))
            if data.draw(st.integers(0, 9)) == 0:
                body = fuzz.without(body, place)
            else:
                body = fuzz.changed(body, place, data.draw(VALUES))
            request = self.request(
                method, path, body=fuzz.encoded(body),
                persona=data.draw(st.sampled_from(
                    (fixtures.persona_for(method, path), *fuzz.PERSONAS))))
            answer = self.send(request)
            if answer.status == 400:
                self.check_names(request, answer, body, place)

        check()

    examples = 1200


VALUES = st.recursive(
    st.sampled_from(fuzz.ANYTHING) | st.text(max_size=300) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.text(max_size=20), inner, max_size=3), max_leaves=5)

BODIES = (
    b'', b' ', b'null', b'true', b'1', b'"x"', b'[]', b'[{}]', b'{}',
    b'{', b'}', b'{"a"}', b"{'a': 1}", b'{"a": 1,}', b'{"a": 01}',
    b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e400}', b'{"": ""}',
    b'{"a": 1, "a": 2}', b'\xff\xfe{}', b'\xef\xbb\xbf{}', b'{"a": "\xff"}',
    b'{"a": "\xed\xa0\x80"}', '{}'.encode('utf-16'), '{}'.encode('utf-32'),
    b'{"a": "\\ud800"}', b'{"a": "\x00"}', b'{"a": "\\u0000"}',
    b'[' * 100_000, b'{"a":' * 20_000, b'[' * 50_000 + b']' * 50_000,
    b'{"a":' * 500 + b'1' + b'}' * 500, b'{"a": ' + b'9' * 5000 + b'}',
    b'{"a": "' + b'x' * 100_000 + b'"}', b' ' * 100_000 + b'{}',
    b'x' * 1_000_000, b'%PDF', b'a=b&c=d', b'<a/>', b'{"status": {"a": 1}}',
    b'{"backup_metadata": null}', b'{"job_actions": null}',
    b'{"freezer_action": null}', b'{"schedule": null}', b'{"jobs": [1]}')

HEADERS = (
    ('Content-Type', ''), ('Content-Type', 'text/html; charset=utf-16'),
    ('Content-Type', 'multipart/form-data'), ('Content-Type', '\xff'),
    ('Accept', ''), ('Accept', '*/*'), ('Accept', ';;;,,'),
    ('Accept', 'application/json;q=0'), ('Accept', 'application/xml'),
    ('Accept', 'application/json;q=x'), ('Accept', '\xff/\xff'),
    ('Content-Length', '0'), ('Content-Length', '99999999999999999999'),
    ('Content-Length', '1'), ('Transfer-Encoding', 'chunked'),
    ('Content-Encoding', 'gzip'), ('Expect', '100-continue'),
    ('X-Project-Id', 'p2'), ('X-Roles', 'admin'), ('X-User-Id', ''),
    ('X-Openstack-Request-Id', 'a\tb'), ('X-HTTP-Method-Override', 'DELETE'),
    ('Range', 'bytes=0-1'), ('If-None-Match', '*'), ('If-Match', '"x"'))
